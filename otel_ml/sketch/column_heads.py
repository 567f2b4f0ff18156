"""What every column says of itself: its key, its counters and its moments, of many columns at once.

This is for what well-behaved senders send, as column_decoding.py has it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.proto.views import views
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.feature_decoding import ROLES, read_counters
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.moment_columns import MomentColumns
from otel_ml.sketch.sketch import CountArray

_MOMENTS: Final = views(
    "otel_ml.moment_columns",
    {
        "Moments": {
            "counts": (1, "uint64"),
            "mean": (2, "double"),
            "m2": (3, "double"),
            "minimum": (4, "double"),
            "maximum": (5, "double"),
        },
    },
)["Moments"]
_MOMENT_TAGS: Final = {tag: row for row, tag in enumerate(b"\x11\x19\x21\x29")}
_REMEMBERED_BYTES: Final = 64 * 1024
"""Of the names in a snapshot that are kept for the next one."""


def read_keys(names: tuple[bytes, ...], roles: tuple[int, ...]) -> tuple[tuple[FeatureKey, ...], frozenset[FeatureKey]]:
    """What the columns are, in order and as a set.

    Raises:
        CorruptSnapshotError: That is not the key of a column.
    """
    return (_remembered if sum(map(len, names)) <= _REMEMBERED_BYTES else _remembered.__wrapped__)(names, roles)


def read_counter_columns(rows: list[bytes]) -> tuple[CountArray, CountArray]:
    """(columns, 5) counters, and (columns,) how many values they leave. Most columns have the same ones.

    Raises:
        CorruptSnapshotError: They contradict themselves, or tell more than the matrices hold.
    """
    distinct = {row: place for place, row in enumerate(dict.fromkeys(rows))}
    read = [read_counters(pb.Counters.FromString(row)) for row in distinct]
    if any(one.unchecked for one in read):
        raise CorruptSnapshotError("counters: unchecked rows")
    table = np.array(
        [(c.rows, c.missing, c.mismatched, c.positive_infinite, c.negative_infinite, c.valid) for c in read]
    )
    matrix = table[[distinct[row] for row in rows]]
    return matrix[:, :5], matrix[:, 5]


def read_moment_columns(rows: list[bytes], valid: CountArray) -> MomentColumns | None:
    """The moments of each row, of so many values; None if one is written in an unusual way or contradicts itself."""
    read = _moments(rows)
    return None if read is None else checked_moments(read, valid)


def checked_moments(moments: MomentColumns, valid: CountArray) -> MomentColumns | None:
    """The moments, with what they say of squares that are not known; None if they are not of so many values."""
    if not _agree(moments, valid):
        return None
    # The largest double stands for squares that overflowed, or are not known.
    is_unknown = moments.m2 == sys.float_info.max
    return moments._replace(m2=np.where(is_unknown, np.inf, moments.m2)) if is_unknown.any() else moments


# Senders repeat themselves: a model's columns are the same in every interval and every replica.
@lru_cache(maxsize=64)
def _remembered(
    names: tuple[bytes, ...], roles: tuple[int, ...]
) -> tuple[tuple[FeatureKey, ...], frozenset[FeatureKey]]:
    try:
        keys = tuple(FeatureKey(ROLES[role], name.decode()) for name, role in zip(names, roles, strict=True))
    except (KeyError, UnicodeDecodeError):
        raise CorruptSnapshotError("features: no role or no name") from None
    if any(key.role is FeatureRole.JOINT for key in keys):
        raise CorruptSnapshotError("features: several features together have no bins")
    return keys, frozenset(keys)


def _moments(rows: list[bytes]) -> MomentColumns | None:
    """The moments of each row; None if one of them is written in an unusual way."""
    everywhere = range(len(rows))
    whole = _aligned(rows, range(4))
    if whole is not None:
        return MomentColumns(whole[0], *whole[1])
    # A zero is not written. With the count ahead, the tags of the others stand nine bytes apart.
    alike: dict[bytes, list[int]] = defaultdict(list)
    for place in everywhere:
        row = rows[place]
        alike[row[1 + (len(row) - 1) % 9 :: 9]].append(place)
    counts, doubles = np.zeros(len(rows), np.int64), np.zeros((4, len(rows)))
    for tags, places in alike.items():
        if not all(tag in _MOMENT_TAGS for tag in tags):
            return None
        present = [_MOMENT_TAGS[tag] for tag in tags]
        part = _aligned([rows[place] for place in places], present)
        if part is None:
            return None
        counts[places] = part[0]
        doubles[:, places] = part[1]
    return MomentColumns(counts, *doubles)


def _aligned(rows: list[bytes], present: Sequence[int]) -> tuple[CountArray, Any] | None:
    """(rows,) counts and (4, rows) the rest, of rows that have a count and just these others; None if not all do."""
    columns = _MOMENTS.FromString(b"".join(rows))
    lists = columns.mean, columns.m2, columns.minimum, columns.maximum
    size = len(rows)
    if len(columns.counts) != size or any(len(one) != size * (place in present) for place, one in enumerate(lists)):
        return None
    counts = np.array(columns.counts, np.uint64)
    if counts.max() > MAX_COUNT:
        return None
    doubles = np.zeros((4, size))
    for place in present:
        doubles[place] = lists[place]
    return counts.view(np.int64), doubles


def _agree(moments: MomentColumns, valid: CountArray) -> bool:
    """Whether all is well with the moments of so many values: what `read_moments` and `read_numbers` ask of each."""
    counts, mean, m2, low, high = moments
    with np.errstate(over="ignore", invalid="ignore"):
        slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
        # What is not finite fails one of these, but for infinite ends and squares.
        sound = (low - slack <= mean) & (mean <= high + slack) & (low <= high) & (m2 >= 0) & (counts == valid)
    is_finite = np.isfinite(moments[1:]).all()
    return bool(is_finite and sound.all() and counts.all())

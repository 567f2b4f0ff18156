"""Reading the columns that are nothing but counts in bins all at once, which is fifty times as fast as one by one.

The bytes of many messages joined are, to protobuf, one message that says everything many times. Read by a schema in
which every field is repeated, they come out as columns. This is for what well-behaved senders send; whatever is unusual
in any way is left to the reader of single features, who accepts it or says what is wrong with it.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple, overload

import numpy as np
from google.protobuf.message import DecodeError

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.proto.views import views
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.exemplar import Exemplar
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.feature_decoding import ROLES, read_counters, read_exemplars
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.moment_columns import MomentColumns
from otel_ml.sketch.sketch import CountArray
from otel_ml.sketch.summary import FeatureSummary

_EXEMPLARS: Final = 16
_PLAIN_FIELDS: Final = ("names", "roles", "kinds", "counters", "moments")
_VIEWS: Final = views(
    "otel_ml.columns",
    {
        "Features": {
            "names": (1, "bytes"),
            "roles": (2, "uint64"),
            "kinds": (3, "uint64"),
            "counters": (4, "bytes"),
            "moments": (5, "bytes"),
            **{f"field_{number}": (number, "bytes") for number in range(6, _EXEMPLARS)},
            "exemplars": (_EXEMPLARS, "bytes"),
        },
        "Moments": {
            "counts": (1, "uint64"),
            "mean": (2, "double"),
            "m2": (3, "double"),
            "minimum": (4, "double"),
            "maximum": (5, "double"),
        },
    },
)
_FRAME: Final = 10
"""Bytes of a feature's five fields beside its name, counters and moments, where each of these is below 128 bytes."""
_SHORT: Final = 128
_MOMENT_TAGS: Final = {tag: row for row, tag in enumerate(b"\x11\x19\x21\x29")}
_REMEMBERED_BYTES: Final = 64 * 1024
"""Of the names in a snapshot that are kept for the next one."""


class Matrix(NamedTuple):
    """The rows of a bin matrix, of sizes that fit together.

    Attributes:
        indexes: Of the features that they belong to.
        counts: (rows, bins) none too large.
    """

    indexes: list[int]
    edges_hashes: list[int]
    counts: CountArray

    @property
    def held(self) -> CountArray:
        """(rows,) how many values were counted."""
        totals: CountArray = self.counts.sum(axis=1)
        return totals

    def of(self, places: Container[int]) -> Matrix:
        """The rows of some features."""
        rows = [row for row, index in enumerate(self.indexes) if index in places]
        if len(rows) == len(self.indexes):
            return self
        return Matrix([self.indexes[row] for row in rows], [self.edges_hashes[row] for row in rows], self.counts[rows])


class Columns(NamedTuple):
    """What was read.

    Attributes:
        blocks: With the places of their features in the snapshot.
        places: Of all of them.
        keys: Likewise.
    """

    blocks: Sequence[tuple[BinnedColumns, Sequence[int]]] = ()
    places: frozenset[int] = frozenset()
    keys: frozenset[FeatureKey] = frozenset()


class SummariesOnDemand(Sequence[FeatureSummary]):
    """The features of a snapshot in their order, taken out of matrices when somebody asks for them.

    Args:
        blocks: Columns, and the place of each.
        others: The other features by place.
    """

    def __init__(
        self, blocks: Sequence[tuple[BinnedColumns, Sequence[int]]], others: dict[int, FeatureSummary]
    ) -> None:
        # Blocks may grow: what they hold now is what counts.
        self._blocks = [(block.copy(), places) for block, places in blocks]
        self._others = others
        self._length = len(others) + sum([len(places) for _, places in blocks])
        self._summaries: list[FeatureSummary] | None = None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> FeatureSummary: ...
    @overload
    def __getitem__(self, index: slice) -> list[FeatureSummary]: ...
    def __getitem__(self, index: int | slice) -> FeatureSummary | list[FeatureSummary]:
        return self._all()[index]

    def __iter__(self) -> Iterator[FeatureSummary]:
        return iter(self._all())

    def _all(self) -> list[FeatureSummary]:
        if self._summaries is None:
            by_place = dict(self._others)
            for block, places in self._blocks:
                by_place.update(zip(places, block.summaries(), strict=True))
            self._summaries = [by_place[place] for place in range(self._length)]
        return self._summaries


def read_columns(features: Sequence[bytes], matrices: Sequence[Matrix]) -> Columns:
    """The features that are nothing but bins; none where there is anything unusual about them."""
    places = [index for matrix in matrices for index in matrix.indexes]
    is_usual = len({matrix.counts.shape[1] for matrix in matrices}) == len(matrices) and all(
        matrix.indexes == sorted(matrix.indexes) for matrix in matrices
    )
    if not places or not is_usual or len(set(places)) < len(places):
        return Columns()
    try:
        found = _read(features, places, matrices)
        if found is None:
            # Of texts and of vectors there are bins as well, beside more.
            plain = {place for place in places if _is_plain(features[place])}
            if 0 < len(plain) < len(places):
                matrices = [part for matrix in matrices if (part := matrix.of(plain)).indexes]
                found = _read(features, [index for matrix in matrices for index in matrix.indexes], matrices)
    except (DecodeError, CorruptSnapshotError):
        return Columns()
    if found is None:
        return Columns()
    keys, distinct, counters, moments, exemplars = found
    blocks: list[tuple[BinnedColumns, Sequence[int]]] = []
    start = 0
    for indexes, edges_hashes, counts in matrices:
        end = start + len(indexes)
        block = BinnedColumns(
            keys[start:end],
            tuple(edges_hashes),
            counts,
            counters[start:end],
            moments.mean[start:end],
            moments.m2[start:end],
            moments.minimum[start:end],
            moments.maximum[start:end],
            {place - start: of_one for place, of_one in exemplars.items() if start <= place < end},
        )
        blocks.append((block, indexes))
        start = end
    # As they come when features are read one by one.
    blocks.sort(key=lambda pair: pair[1][0])
    return Columns(blocks, frozenset(index for _, indexes in blocks for index in indexes), distinct)


def _is_plain(feature: bytes) -> bool:
    fields = {field.number for field, _ in pb.Feature.FromString(feature).ListFields()}
    return fields <= {1, 2, 3, 4, 5, _EXEMPLARS}


def _read(
    features: Sequence[bytes], places: Sequence[int], matrices: Sequence[Matrix]
) -> tuple[tuple[FeatureKey, ...], frozenset[FeatureKey], CountArray, MomentColumns, dict[int, list[Exemplar]]] | None:
    """Keys, counters, moments and exemplars of numeric features that these bins are all of; None for any other."""
    rows = [features[place] for place in places]
    held = np.concatenate([matrix.held for matrix in matrices])
    columns = _VIEWS["Features"].FromString(b"".join(rows))
    names, counters, moments = list(columns.names), list(columns.counters), list(columns.moments)
    # What is left of each feature tells where fields belong: none is there twice in one and lacking in another. (Two
    # of the same length may be; such a sender has only itself to blame for whose they are taken to be.)
    surplus = [
        len(row) - len(name) - len(of_row) - len(of_values)
        for row, name, of_row, of_values in zip(rows, names, counters, moments, strict=False)
    ]
    size = len(rows)
    if (
        not (len(names) == len(counters) == len(moments) == len(columns.roles) == len(columns.kinds) == size)
        or any(field.name not in _PLAIN_FIELDS and field.number < _EXEMPLARS for field, _ in columns.ListFields())
        or max(map(len, names)) >= _SHORT
        or set(columns.kinds) != {pb.KIND_NUMERIC}
    ):
        return None
    keys, distinct = _keys(tuple(names), tuple(columns.roles))
    counted, valid = _counters(counters)
    read = _moments(moments)
    if len(distinct) < size or read is None or not _agree(read, valid, held):
        return None
    exemplars: dict[int, list[Exemplar]] = {}
    for place, more in enumerate(surplus):
        if more != _FRAME:
            feature = pb.Feature.FromString(rows[place])
            if [field.number for field, _ in feature.ListFields()] != [1, 2, 3, 4, 5, _EXEMPLARS]:
                return None
            exemplars[place] = read_exemplars(feature.exemplars)
    if bool(exemplars) != bool(columns.exemplars):
        return None
    return keys, distinct, counted, _with_unknown(read), {place: kept for place, kept in exemplars.items() if kept}


def _keys(names: tuple[bytes, ...], roles: tuple[int, ...]) -> tuple[tuple[FeatureKey, ...], frozenset[FeatureKey]]:
    """What the columns are, in order and as a set.

    Raises:
        CorruptSnapshotError: That is not the key of a column.
    """
    return (_remembered if sum(map(len, names)) <= _REMEMBERED_BYTES else _remembered.__wrapped__)(names, roles)


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


def _counters(rows: list[bytes]) -> tuple[CountArray, CountArray]:
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
    columns = _VIEWS["Moments"].FromString(b"".join(rows))
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


def _with_unknown(moments: MomentColumns) -> MomentColumns:
    """The largest double stands for squares that overflowed, or are not known."""
    is_unknown = moments.m2 == sys.float_info.max
    return moments._replace(m2=np.where(is_unknown, np.inf, moments.m2)) if is_unknown.any() else moments


def _agree(moments: MomentColumns, valid: CountArray, held: CountArray) -> bool:
    """Whether all is well with the moments of so many values: what `read_moments` and `read_numbers` ask of each."""
    counts, mean, m2, low, high = moments
    with np.errstate(over="ignore", invalid="ignore"):
        slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
        # What is not finite fails one of these, but for infinite ends and squares.
        sound = (low - slack <= mean) & (mean <= high + slack) & (low <= high) & (m2 >= 0) & (counts == valid)
    is_finite = np.isfinite(moments[1:]).all()
    return bool(is_finite and sound.all() and counts.all() and (held == valid).all())

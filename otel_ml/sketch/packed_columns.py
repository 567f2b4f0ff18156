"""Columns that are nothing but counts in bins, as the arrays of a message and back.

Reading takes as many steps for one column as for a thousand, and what the columns are is understood once for all
snapshots that name the same ones. Nothing is taken on trust: sizes are those of the bytes that are there.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.bins import MAX_BINS
from otel_ml.sketch.exemplar import Exemplar
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.feature_decoding import MAX_EXEMPLARS, NAME_LENGTH, ROLES, read_exemplars
from otel_ml.sketch.feature_encoding import ROLE_NUMBERS, bounded_name, write_exemplars
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.numbers_decoding import fail
from otel_ml.sketch.sketch import CountArray, FloatArray

_COUNTERS: Final = 5
_MOMENTS: Final = 4
_DOUBLE: Final = np.dtype("<f8")
_WIDTHS: Final = {width: np.dtype(f"<u{width}") for width in (1, 2, 4, 8)}
_LONG: Final = 8
_LARGEST: Final = sys.float_info.max
_HUGE: Final = 0x7F
_HUGE_NEGATIVE: Final = 0xFF
_VALID: Final = np.array([1, -1, -1, -1, -1])
"""What the counters are to be multiplied by for those rows that have a value."""
_REMEMBERED_BYTES: Final = 12 * 1024 * 1024
"""About; that is enough for a thousand models with fifty columns each."""
_HEAD_BYTES: Final = 1000
_HEAD_FACTOR: Final = 10
"""How much more memory a head takes, beside some for itself, than bytes on the wire."""


class _Head(NamedTuple):
    keys: tuple[FeatureKey, ...]
    distinct: frozenset[FeatureKey]
    edges_hashes: tuple[int, ...]
    bins: int


class _Heads:
    """What heads stand for: a model's columns are the same in every interval and every replica."""

    def __init__(self) -> None:
        self._known: dict[bytes, _Head] = {}
        self._size = 0

    def read(self, encoded: bytes) -> _Head:
        """What this one stands for.

        Raises:
            CorruptSnapshotError: It contradicts itself.
        """
        known = self._known.get(encoded)
        if known is None:
            known = _read_head(encoded)
            size = _HEAD_BYTES + _HEAD_FACTOR * len(encoded)
            if self._size + size > _REMEMBERED_BYTES:
                self._known, self._size = {}, 0
            self._known[encoded] = known
            self._size += size
        return known


_HEADS: Final = _Heads()


def write_packed_columns(message: pb.PackedColumns, columns: BinnedColumns) -> None:
    """Fill an empty message. Moments that overflowed become the largest double."""
    message.head.names.extend([bounded_name(key.name) for key in columns.keys])
    message.head.roles.extend([ROLE_NUMBERS[key.role] for key in columns.keys])
    message.head.edges_hashes.extend(columns.edges_hashes)
    message.head.bins = columns.counts.shape[1]
    message.counters = _narrowest(columns.counters)
    message.moments = _bounded_moments(columns).tobytes()
    message.counts = _narrowest(columns.counts)
    for position, exemplars in sorted(columns.exemplars.items()):
        write_exemplars(message.exemplars, exemplars)
        message.exemplar_columns.extend([position] * (len(message.exemplars) - len(message.exemplar_columns)))


class Fields(NamedTuple):
    """Of a PackedColumns whose head is still bytes."""

    head: bytes
    counters: bytes
    moments: bytes
    counts: bytes


class Packed(NamedTuple):
    """Columns, and what they are as a set."""

    columns: BinnedColumns
    distinct: frozenset[FeatureKey]


def read_packed_columns(messages: Sequence[Any]) -> list[Packed | CorruptSnapshotError]:
    """What each message holds, or what is wrong with it.

    Replicas of a model say the same of the same columns, differing in numbers only: those that do are read together,
    as if they were one with so many times the columns, at the price of one.

    Args:
        messages: Each a PackedColumns whose head is still bytes.
    """
    fields = [Fields(one.head, one.counters, one.moments, one.counts) for one in messages]
    if len(fields) == 1:
        (one,) = _read_each(fields)
        return [one if isinstance(one, CorruptSnapshotError) else _with_exemplars(one, messages[0])]
    alike: dict[tuple[bytes, int, int, int], list[int]] = {}
    for place, (head, *others) in enumerate(fields):
        counters, moments, counts = map(len, others)
        alike.setdefault((head, counters, moments, counts), []).append(place)
    found: dict[int, Packed | CorruptSnapshotError] = {}
    for places in alike.values():
        for place, one in zip(places, _read_each([fields[place] for place in places]), strict=True):
            found[place] = one if isinstance(one, CorruptSnapshotError) else _with_exemplars(one, messages[place])
    return [found[place] for place in range(len(fields))]


def _read_each(alike: Sequence[Fields]) -> list[Packed | CorruptSnapshotError]:
    try:
        return [*_read(alike)]
    except CorruptSnapshotError as error:
        # It is about one of them; the others are none the worse for it.
        return [error] if len(alike) == 1 else [read for one in alike for read in _read_each([one])]


def _read(alike: Sequence[Fields]) -> list[Packed]:
    """Columns of messages that have the same head, and as many bytes in each field."""
    heads, counters_of, moments_of, counts_of = zip(*alike, strict=True)
    head = _HEADS.read(heads[0])
    each, size = len(head.keys), len(head.keys) * len(alike)
    counters = _counts(b"".join(counters_of), size, _COUNTERS, "counters")
    counts = _counts(b"".join(counts_of), size, head.bins, "counts")
    valid, held = counters.dot(_VALID), np.add.reduce(counts, axis=1)
    if held.tobytes() != valid.tobytes():
        place = int((held == valid).argmin())
        fail(f"{head.keys[place % each].name!r}: bins of {held[place]} values, where the counters leave {valid[place]}")
    low, mean, high, m2 = _moments(moments_of, held, head)
    read: list[Packed] = []
    for start in range(0, size, each):
        own = slice(start, start + each)
        columns = BinnedColumns(
            head.keys,
            head.edges_hashes,
            counts[own],
            counters[own],
            mean[own],
            m2[own],
            low[own],
            high[own],
            {},
            held[own],
        )
        read.append(Packed(columns, head.distinct))
    return read


def _with_exemplars(read: Packed, message: Any) -> Packed | CorruptSnapshotError:
    if message.exemplars or message.exemplar_columns:
        try:
            read.columns.exemplars = _exemplars(message, len(read.columns.keys))
        except CorruptSnapshotError as error:
            return error
    return read


def _read_head(encoded: bytes) -> _Head:
    try:
        head = pb.PackedColumns.Head.FromString(encoded)
    except DecodeError:
        fail(f"head: {len(encoded)} bytes are no otel_ml.v1.PackedColumns.Head")
    size, bins = len(head.names), head.bins
    if not size or len(head.roles) != size or len(head.edges_hashes) != size:
        fail(f"head: {size} names, {len(head.roles)} roles, {len(head.edges_hashes)} hashes (as many, at least 1)")
    if not 2 <= bins <= MAX_BINS:
        fail(f"head: {bins} bins (2 to {MAX_BINS})")
    names = list(head.names)
    if max(map(len, names)) > NAME_LENGTH:
        fail(f"head: a name of more than {NAME_LENGTH} characters")
    roles = [ROLES.get(role) for role in head.roles]
    keys = tuple([FeatureKey(role, name) for role, name in zip(roles, names, strict=True) if role is not None])
    if len(keys) < size or any(key.role is FeatureRole.JOINT for key in keys):
        fail("head: a role that is unknown, or that of several features together, which have no bins")
    distinct = frozenset(keys)
    if len(distinct) < size:
        fail("head: a column is there already")
    return _Head(keys, distinct, tuple(head.edges_hashes), bins)


def _counts(encoded: bytes, size: int, columns: int, subject: str) -> CountArray:
    """(size, columns) none so large that adding them up overflows."""
    width, rest = divmod(len(encoded), size * columns)
    if rest or width not in _WIDTHS:
        fail(f"{subject}: {len(encoded)} bytes for {size} times {columns} (1, 2, 4 or 8 each)")
    counts: npt.NDArray[Any] = np.ndarray((size, columns), _WIDTHS[width], encoded)
    if width == _LONG and int(counts.max()) > MAX_COUNT:
        fail(f"{subject}: a count of {int(counts.max())} (at most {MAX_COUNT})")
    return counts.astype(np.int64)


def _moments(
    encoded: Sequence[bytes], held: CountArray, head: _Head
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Minimum, mean, maximum and m2 of each column of all messages."""
    row = _DOUBLE.itemsize * len(head.keys)
    if len(encoded[0]) != _MOMENTS * row:
        fail(f"moments: {len(encoded[0])} bytes for {len(head.keys)} columns ({_MOMENTS * _DOUBLE.itemsize} each)")
    size = len(held)
    # What comes message by message, moment by moment.
    joined = (
        encoded[0]
        if len(encoded) == 1
        else b"".join([one[start : start + row] for start in range(0, _MOMENTS * row, row) for one in encoded])
    )
    moments: npt.NDArray[np.float64] = np.ndarray((_MOMENTS, size), _DOUBLE, joined)
    # The last byte of a double is its sign and most of its exponent: what is not finite, or nearly so, has all
    # bits of these set. Asking bytes is several times as quick as asking numbers.
    last = joined[_DOUBLE.itemsize - 1 :: _DOUBLE.itemsize]
    is_usual = (
        _HUGE not in last
        and _HUGE_NEGATIVE not in last
        and last[(_MOMENTS - 1) * size :].isascii()
        and np.count_nonzero(moments[:2] <= moments[1:3]) == 2 * size
        and np.count_nonzero(held) == size
    )
    low, mean, high, m2 = moments if is_usual else _unusual(moments, held, head)
    return low, mean, high, m2


def _unusual(moments: npt.NDArray[np.float64], held: CountArray, head: _Head) -> npt.NDArray[np.float64]:
    """Moments of which some are very large, of no values, or wrong."""
    low, mean, high, m2 = moments
    with np.errstate(over="ignore", invalid="ignore"):
        # A mean is rounded.
        slack = 1e-9 * np.maximum(np.abs(low), np.abs(high))
        sound = (low <= high) & (low - slack <= mean) & (mean <= high + slack) & (m2 >= 0)
    if not (sound.all() and np.isfinite(moments).all()):
        fail("moments: not finite, or a mean out of its range, or a negative m2")
    is_empty = held == 0
    is_wrong = is_empty & moments.any(axis=0)
    if is_wrong.any():
        place = int(is_wrong.argmax()) % len(head.keys)
        fail(f"moments: of {head.keys[place].name!r}, which has no values (must be 0)")
    # The largest double stands for squares that overflowed, or are not known.
    m2 = np.where(m2 == _LARGEST, np.inf, m2)
    return np.array([np.where(is_empty, np.inf, low), mean, np.where(is_empty, -np.inf, high), m2])


def _exemplars(message: Any, size: int) -> dict[int, list[Exemplar]]:
    columns = message.exemplar_columns
    if len(columns) != len(message.exemplars) or max(columns) >= size:
        fail(f"exemplars: {len(message.exemplars)} with {len(columns)} columns (as many, each below {size})")
    by_column: dict[int, list[Any]] = defaultdict(list)
    for column, exemplar in zip(columns, message.exemplars, strict=True):
        by_column[column].append(exemplar)
    if max(map(len, by_column.values())) > MAX_EXEMPLARS:
        raise CorruptSnapshotError(f"exemplars: more than {MAX_EXEMPLARS} of one column")
    read = {column: read_exemplars(of_one) for column, of_one in by_column.items()}
    return {column: of_one for column, of_one in read.items() if of_one}


def _narrowest(counts: CountArray) -> bytes:
    """In as few bytes each as the largest needs."""
    largest = int(counts.max(initial=0))
    width = next(width for width in _WIDTHS if largest < 1 << 8 * width)
    return counts.astype(_WIDTHS[width]).tobytes()


def _bounded_moments(columns: BinnedColumns) -> npt.NDArray[np.float64]:
    """(4, columns) what readers accept: finite, and 0 where there are no values."""
    low, high = columns.minimum, columns.maximum
    # Sums of values near 1e308 overflow. Halves of the ends of no values are no numbers either.
    with np.errstate(invalid="ignore"):
        middle = low / 2 + high / 2
        mean = np.where(np.isnan(columns.mean), middle, columns.mean)
        # Not by the larger and the smaller of two: of 0.0 and -0.0 that is either.
        mean = np.where(mean < low, low, np.where(mean > high, high, mean))
    m2 = np.where(np.isnan(columns.m2), _LARGEST, np.minimum(columns.m2, _LARGEST))
    return np.where(columns.totals > 0, np.array([low, mean, high, m2]), 0.0).astype(_DOUBLE)

"""Reading and writing the binary image of a DataSketches KLL sketch, without the library.

The library's own reader copies level offsets and items unchecked, and a mutated image crashes the process, often only
when it is used. Nothing from the network reaches it: what other processes sent is read here, in numpy, and refused
unless every part agrees with every other.

Format: Apache DataSketches, KLL serial versions 1 and 2, little endian. An image holds, level by level, the items kept
of a stream; an item of level h stands for 2^h values. Algorithm: Karnin, Lang & Liberty, "Optimal quantile
approximation in streams" (2016).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final, Literal, TypeAlias

import numpy as np

from otel_ml.errors import CorruptSketchError
from otel_ml.sketch.sketch import CountArray, FloatArray

KllKind: TypeAlias = Literal["doubles", "floats"]
"""The type of an image's items, which the image itself does not tell."""

MAX_BYTES: Final = 64 * 1024
MAX_K: Final = 4096
MAX_LEVELS: Final = 61
MAX_COUNT: Final = 1 << 53
"""Counts beyond it no longer survive as doubles, and 1,000 of them still add up within 64 bits."""

_MIN_K: Final = 8
_MIN_CAPACITY: Final = 8
_FAMILY: Final = 15
_EMPTY, _LEVEL_ZERO_SORTED, _SINGLE = 1, 2, 4
# preamble ints, serial version, family, flags, k, m, unused
_PREFIX: Final = struct.Struct("<BBBBHBx")
# n, min k, levels, unused
_BODY: Final = struct.Struct("<QHBx")
_WEIGHTS: Final = np.int64(1) << np.arange(MAX_LEVELS)
_LEVELS_AT: Final = _PREFIX.size + _BODY.size
_DTYPES: Final[dict[KllKind, np.dtype[np.floating]]] = {"doubles": np.dtype("<f8"), "floats": np.dtype("<f4")}


@dataclass(frozen=True, slots=True, eq=False)
class KllContents:
    """What an image holds.

    Attributes:
        k: Size of the largest level; decides the capacity of all.
        min_k: The smallest k ever merged in; decides the error.
        minimum: Smallest value seen, NaN when there was none.
        maximum: Largest value seen, likewise.
        items: All items, level by level from height 0, sorted within each level, shape (sum of lengths,).
        lengths: Items per level; each item of height h stands for 2^h values.
    """

    k: int
    min_k: int
    minimum: float
    maximum: float
    items: FloatArray
    lengths: tuple[int, ...]

    @classmethod
    def of_levels(
        cls, levels: Sequence[FloatArray], *, k: int, min_k: int, minimum: float, maximum: float
    ) -> KllContents:
        """Contents whose items come level by level."""
        items = np.concatenate(levels) if levels else np.empty(0)
        return cls(k, min_k, minimum, maximum, items, tuple(map(len, levels)))

    @property
    def count(self) -> int:
        """How many values the items stand for."""
        return sum(length << height for height, length in enumerate(self.lengths))

    @property
    def weights(self) -> CountArray:
        """How many values each of `items` stands for."""
        return np.repeat(_WEIGHTS[: len(self.lengths)], self.lengths)

    @property
    def levels(self) -> list[FloatArray]:
        """The items per level."""
        starts = list(accumulate(self.lengths, initial=0))
        return [self.items[start:end] for start, end in pairwise(starts)]


@lru_cache(maxsize=512)
def capacities(k: int, levels: int) -> tuple[int, ...]:
    """How many items each of so many levels may hold, lowest first: k·(2/3)^depth, at least 8.

    Rounded as the library rounds, because the image's first offset is the sum less the items present.
    """
    return tuple(max(_MIN_CAPACITY, _capacity(k, levels - height - 1)) for height in range(levels))


def _capacity(k: int, depth: int) -> int:
    if depth > 30:  # The library halves deep exponents to stay within 64 bits, and rounds twice.
        half = depth // 2
        return _capacity(_capacity(k, half), depth - half)
    return (((k << 1 + depth) // int(3**depth)) + 1) >> 1


def parse(image: bytes, kind: KllKind) -> KllContents:
    """The contents of an image.

    Raises:
        CorruptSketchError: The image contradicts itself, or is larger than any we would write.
    """
    dtype = _DTYPES[kind]
    size = len(image)
    if size > MAX_BYTES:
        raise CorruptSketchError(f"KLL image: {size} bytes (at most {MAX_BYTES})")
    if size < _PREFIX.size:
        raise CorruptSketchError(f"KLL image: {size} bytes (at least {_PREFIX.size})")
    preamble, version, family, flags, k, m = _PREFIX.unpack_from(image)
    if family != _FAMILY:
        raise CorruptSketchError(f"KLL image: family {family} ({_FAMILY} is KLL)")
    if m != _MIN_CAPACITY or not _MIN_K <= k <= MAX_K:
        raise CorruptSketchError(f"KLL image: k={k}, m={m} (k in [{_MIN_K}, {MAX_K}], m={_MIN_CAPACITY})")
    if (preamble, version, flags & ~_LEVEL_ZERO_SORTED) not in {(2, 1, _EMPTY), (2, 2, _SINGLE), (5, 1, 0)}:
        raise CorruptSketchError(f"KLL image: preamble {preamble}, version {version}, flags {flags:#x} are no image's")
    if flags & _EMPTY:
        if size != _PREFIX.size:
            raise CorruptSketchError(f"KLL image: {size} bytes of an empty sketch ({_PREFIX.size})")
        return KllContents(k, k, np.nan, np.nan, np.empty(0), ())
    if flags & _SINGLE:
        if size != _PREFIX.size + dtype.itemsize:
            raise CorruptSketchError(f"KLL image: {size} bytes of one item ({_PREFIX.size + dtype.itemsize})")
        item = _doubles(image, dtype, 1, _PREFIX.size)
        if not np.isfinite(item[0]):
            raise CorruptSketchError("KLL image: an item is not finite")
        return KllContents(k, k, float(item[0]), float(item[0]), item, (1,))
    return _parse_levels(image, dtype, k, level_zero_sorted=bool(flags & _LEVEL_ZERO_SORTED))


def _parse_levels(image: bytes, dtype: np.dtype[np.floating], k: int, *, level_zero_sorted: bool) -> KllContents:
    size = len(image)
    if size < _LEVELS_AT:
        raise CorruptSketchError(f"KLL image: {size} bytes, cut off in the header ({_LEVELS_AT})")
    count, min_k, height = _BODY.unpack_from(image, _PREFIX.size)
    if not 1 <= height <= MAX_LEVELS or not _MIN_K <= min_k <= k or not 1 <= count <= MAX_COUNT:
        raise CorruptSketchError(f"KLL image: n={count}, levels={height}, min k={min_k} of k={k} are out of range")
    values_at = _LEVELS_AT + 4 * height
    retained, rest = divmod(size - values_at, dtype.itemsize)
    retained -= 2  # the minimum and the maximum come first
    if rest or retained < 1:
        raise CorruptSketchError(f"KLL image: {size} bytes do not hold whole items")
    capacity = sum(capacities(k, height))
    offsets = np.frombuffer(image, "<u4", height, _LEVELS_AT).tolist()
    offsets.append(capacity)
    lengths = [end - start for start, end in pairwise(offsets)]
    if offsets[0] != capacity - retained or min(lengths) < 0:
        raise CorruptSketchError(f"KLL image: level offsets do not fit {retained} items in {capacity} places")
    if sum(length << level for level, length in enumerate(lengths)) != count:
        raise CorruptSketchError(f"KLL image: the items' weights do not add up to n={count}")

    values = _doubles(image, dtype, retained + 2, values_at)
    minimum, maximum, items = float(values[0]), float(values[1]), values[2:]
    if not (np.isfinite(values).all() and minimum <= items.min() and items.max() <= maximum):
        raise CorruptSketchError("KLL image: items are not finite or not within [minimum, maximum]")
    if not level_zero_sorted:
        items[: lengths[0]].sort()
    descents = np.flatnonzero(items[1:] < items[:-1]) + 1
    if not {offset + offsets[0] for offset in descents.tolist()} <= set(offsets):
        raise CorruptSketchError("KLL image: a level is not sorted")
    return KllContents(k, min_k, minimum, maximum, items, tuple(lengths))


def _doubles(image: bytes, dtype: np.dtype[np.floating], count: int, offset: int) -> FloatArray:
    with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is converted
        return np.frombuffer(image, dtype, count, offset).astype(np.float64)


def write(contents: KllContents, kind: KllKind) -> bytes:
    """An image the library reads.

    Args:
        contents: Its levels sorted, finite, and at most as long together as `capacities` says.
        kind: Items are rounded to it.
    """
    dtype = _DTYPES[kind]
    count = contents.count
    if count == 0:
        return _PREFIX.pack(2, 1, _FAMILY, _EMPTY, contents.k, _MIN_CAPACITY)
    if count == 1:
        return _PREFIX.pack(2, 2, _FAMILY, _SINGLE, contents.k, _MIN_CAPACITY) + contents.items.astype(dtype).tobytes()
    height = max(level + 1 for level, length in enumerate(contents.lengths) if length)
    lengths = contents.lengths[:height]
    free = sum(capacities(contents.k, height)) - sum(lengths)
    if free < 0:
        raise ValueError(f"{sum(lengths)} items in {height} levels are too many for k={contents.k}")
    offsets = free + np.cumsum([0, *lengths[:-1]])
    return b"".join(
        (
            _PREFIX.pack(5, 1, _FAMILY, _LEVEL_ZERO_SORTED, contents.k, _MIN_CAPACITY),
            _BODY.pack(count, contents.min_k, height),
            offsets.astype("<u4").tobytes(),
            np.array([contents.minimum, contents.maximum], dtype).tobytes(),
            contents.items.astype(dtype).tobytes(),
        )
    )

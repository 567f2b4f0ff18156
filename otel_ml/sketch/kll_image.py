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
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from otel_ml.errors import CorruptSketchError
from otel_ml.sketch.sketch import CountArray

KllKind: TypeAlias = Literal["doubles", "floats"]
"""The type of an image's items, which the image itself does not tell."""
ItemArray: TypeAlias = npt.NDArray[np.floating]
"""Of double precision, or of single precision as an image of floats has them."""

MAX_BYTES: Final = 64 * 1024
MAX_K: Final = 4096
MAX_LEVELS: Final = 61
MAX_COUNT: Final = 1 << 53
"""Counts beyond it no longer survive as doubles, and 1,000 of them still add up within 64 bits."""

_MIN_K: Final = 8
_MIN_CAPACITY: Final = 8
_FAMILY: Final = 15
_EMPTY, _LEVEL_ZERO_SORTED, _SINGLE = 1, 2, 4
_FORMS: Final = frozenset(((2, 1, _EMPTY), (2, 2, _SINGLE), (5, 1, 0)))
"""What preamble, serial version and flags go together."""
# preamble ints, serial version, family, flags, k, m, unused
_PREFIX: Final = struct.Struct("<BBBBHBx")
# n, min k, levels, unused
_BODY: Final = struct.Struct("<QHBx")
_WEIGHTS: Final = np.int64(1) << np.arange(MAX_LEVELS)
_LEVELS_AT: Final = _PREFIX.size + _BODY.size
_HEIGHT_AT: Final = 18
_DTYPES: Final[dict[KllKind, np.dtype[np.floating]]] = {"doubles": np.dtype("<f8"), "floats": np.dtype("<f4")}


# Not frozen: that would take several times as long, for each column of each snapshot.
@dataclass(slots=True, eq=False)
class KllContents:
    """What an image holds; never changed.

    Attributes:
        k: Size of the largest level; decides the capacity of all.
        min_k: The smallest k ever merged in; decides the error.
        minimum: Smallest value seen, NaN when there was none.
        maximum: Largest value seen, likewise.
        items: All items, level by level from height 0, sorted within each level, shape (sum of lengths,); of single
            precision where the image was one of floats.
        lengths: Items per level; each item of height h stands for 2^h values.
        count: How many values the items stand for.
    """

    k: int
    min_k: int
    minimum: float
    maximum: float
    items: ItemArray
    lengths: tuple[int, ...]
    count: int

    @classmethod
    def of_levels(
        cls, levels: Sequence[ItemArray], *, k: int, min_k: int, minimum: float, maximum: float
    ) -> KllContents:
        """Contents whose items come level by level."""
        items = np.concatenate(levels) if levels else np.empty(0)
        lengths = tuple(map(len, levels))
        return cls(k, min_k, minimum, maximum, items, lengths, _count(lengths))

    def detached(self) -> KllContents:
        """The same, without what else came in one message with it."""
        if self.items.base is None:
            return self
        items = self.items.copy()
        return KllContents(self.k, self.min_k, self.minimum, self.maximum, items, self.lengths, self.count)

    @property
    def is_rounded(self) -> bool:
        """Whether the items are of single precision."""
        return self.items.itemsize == _DTYPES["floats"].itemsize

    @property
    def weights(self) -> CountArray:
        """How many values each of `items` stands for."""
        return np.repeat(_WEIGHTS[: len(self.lengths)], self.lengths)

    @property
    def levels(self) -> list[ItemArray]:
        """The items per level."""
        levels, start = [], 0
        for length in self.lengths:
            levels.append(self.items[start : start + length])
            start += length
        return levels


class _Head(NamedTuple):
    """What comes before an image's values, which are the minimum, the maximum and then the items.

    Attributes:
        values_at: Where they start in the image.
        size: How many values there are; 0 of an empty sketch.
        total: How many values the items stand for.
        level_starts: Which of them are the first items of the levels, which may be smaller than the one before.
    """

    k: int
    min_k: int
    values_at: int
    size: int
    lengths: tuple[int, ...]
    total: int
    level_starts: tuple[int, ...]
    is_level_zero_sorted: bool = True

    @property
    def is_single(self) -> bool:
        """Whether the only value is all that there is."""
        return self.values_at == _PREFIX.size


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
    return parse_all([(image, kind)])[0]


def parse_all(images: Sequence[tuple[bytes, KllKind]]) -> list[KllContents]:
    """The contents of several images, in hardly more steps than those of one.

    Raises:
        CorruptSketchError: One of them contradicts itself, or is larger than any we would write: of the first of these
            it is told what `parse` tells.
    """
    found: dict[int, KllContents | CorruptSketchError] = {}
    filled: dict[KllKind, list[tuple[int, _Head]]] = {kind: [] for kind in _DTYPES}
    for place, (image, kind) in enumerate(images):
        # Of a sketch of one value the header is all that comes before it.
        start = image[: _LEVELS_AT + 4 * image[_HEIGHT_AT]] if len(image) >= _LEVELS_AT else image[: _PREFIX.size]
        try:
            head = _head(start, len(image), _DTYPES[kind].itemsize)
        except CorruptSketchError as error:
            found[place] = error
            break
        if head.size:
            filled[kind].append((place, head))
        else:
            found[place] = KllContents(head.k, head.min_k, np.nan, np.nan, np.empty(0), (), 0)
    for kind, placed in filled.items():
        if placed:
            values = [images[place][0][head.values_at :] for place, head in placed]
            contents = _contents([head for _, head in placed], values, _DTYPES[kind])
            found.update(zip([place for place, _ in placed], contents, strict=True))
    parsed = []
    for place in range(len(found)):
        one = found[place]
        if isinstance(one, CorruptSketchError):
            raise one
        parsed.append(one)
    return parsed


# Columns of one interval mostly have as many values, and sketches of as many values the same header.
@lru_cache(maxsize=256)
def _head(start: bytes, size: int, item_bytes: int) -> _Head:
    """What the header says of an image of so many bytes."""
    if size > MAX_BYTES:
        raise CorruptSketchError(f"KLL image: {size} bytes (at most {MAX_BYTES})")
    if size < _PREFIX.size:
        raise CorruptSketchError(f"KLL image: {size} bytes (at least {_PREFIX.size})")
    preamble, version, family, flags, k, m = _PREFIX.unpack_from(start)
    if family != _FAMILY:
        raise CorruptSketchError(f"KLL image: family {family} ({_FAMILY} is KLL)")
    if m != _MIN_CAPACITY or not _MIN_K <= k <= MAX_K:
        raise CorruptSketchError(f"KLL image: k={k}, m={m} (k in [{_MIN_K}, {MAX_K}], m={_MIN_CAPACITY})")
    if (preamble, version, flags & ~_LEVEL_ZERO_SORTED) not in _FORMS:
        raise CorruptSketchError(f"KLL image: preamble {preamble}, version {version}, flags {flags:#x} are no image's")
    if flags & _EMPTY:
        if size != _PREFIX.size:
            raise CorruptSketchError(f"KLL image: {size} bytes of an empty sketch ({_PREFIX.size})")
        return _Head(k, k, size, 0, (), 0, ())
    if flags & _SINGLE:
        if size != _PREFIX.size + item_bytes:
            raise CorruptSketchError(f"KLL image: {size} bytes of one item ({_PREFIX.size + item_bytes})")
        return _Head(k, k, _PREFIX.size, 3, (1,), 1, (2,))

    if size < _LEVELS_AT:
        raise CorruptSketchError(f"KLL image: {size} bytes, cut off in the header ({_LEVELS_AT})")
    count, min_k, height = _BODY.unpack_from(start, _PREFIX.size)
    if not 1 <= height <= MAX_LEVELS or not _MIN_K <= min_k <= k or not 1 <= count <= MAX_COUNT:
        raise CorruptSketchError(f"KLL image: n={count}, levels={height}, min k={min_k} of k={k} are out of range")
    values_at = _LEVELS_AT + 4 * height
    retained, rest = divmod(size - values_at, item_bytes)
    retained -= 2  # the minimum and the maximum come first
    if rest or retained < 1:
        raise CorruptSketchError(f"KLL image: {size} bytes do not hold whole items")
    capacity = sum(capacities(k, height))
    offsets = [*struct.unpack_from(f"<{height}I", start, _LEVELS_AT), capacity]
    lengths = tuple([end - start for start, end in pairwise(offsets)])
    if offsets[0] != capacity - retained or min(lengths) < 0:
        raise CorruptSketchError(f"KLL image: level offsets do not fit {retained} items in {capacity} places")
    if _count(lengths) != count:
        raise CorruptSketchError(f"KLL image: the items' weights do not add up to n={count}")
    level_starts = tuple(accumulate(lengths[:-1], initial=2))
    is_sorted = bool(flags & _LEVEL_ZERO_SORTED)
    return _Head(k, min_k, values_at, retained + 2, lengths, count, level_starts, is_sorted)


def _count(lengths: Sequence[int]) -> int:
    return sum([length << height for height, length in enumerate(lengths)])


def _contents(
    heads: Sequence[_Head], encoded: Sequence[bytes], dtype: np.dtype[np.floating]
) -> list[KllContents | CorruptSketchError]:
    """The contents of images of one kind, none of them empty, or what is wrong with their values."""
    joined = b"".join([of_one * 3 if head.is_single else of_one for head, of_one in zip(heads, encoded, strict=True)])
    is_ready = all(head.is_level_zero_sorted for head in heads)
    values: ItemArray = np.frombuffer(joined, dtype).astype(dtype.newbyteorder("="), copy=not is_ready)
    starts = list(accumulate([head.size for head in heads[:-1]], initial=0))
    at = np.array(starts)
    with np.errstate(invalid="ignore"):  # a signalling NaN warns when it is compared
        lowest, highest = np.minimum.reduceat(values, at), np.maximum.reduceat(values, at)
        minimum, maximum = values[at], values[at + 1]
        # Where any value is not finite, one of its sketch's extremes is not.
        is_within = np.isfinite(lowest) & np.isfinite(highest) & (lowest == minimum) & (highest == maximum)
        if not is_ready:
            for start, head in zip(starts, heads, strict=True):
                if not head.is_level_zero_sorted:
                    values[start + 2 : start + 2 + head.lengths[0]].sort()
        # One more than there are values: the last levels may be empty, so that they start where the next image does.
        falls = np.zeros(len(values) + 1, bool)
        np.less(values[1:], values[:-1], out=falls[1:-1])
    falls[at] = False
    falls[[start + of_level for start, head in zip(starts, heads, strict=True) for of_level in head.level_starts]] = (
        False
    )
    is_sorted = np.ones(len(heads), bool)
    if falls.any():
        is_sorted[at.searchsorted(np.flatnonzero(falls), side="right") - 1] = False

    contents: list[KllContents | CorruptSketchError] = []
    for head, start, low, high, within, in_order in zip(
        heads, starts, minimum.tolist(), maximum.tolist(), is_within.tolist(), is_sorted.tolist(), strict=True
    ):
        if within and in_order:
            items = values[start + 2 : start + head.size]
            contents.append(KllContents(head.k, head.min_k, low, high, items, head.lengths, head.total))
        elif head.is_single:
            contents.append(CorruptSketchError("KLL image: an item is not finite"))
        elif not within:
            contents.append(CorruptSketchError("KLL image: items are not finite or not within [minimum, maximum]"))
        else:
            contents.append(CorruptSketchError("KLL image: a level is not sorted"))
    return contents


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

"""The OTLP exponential histogram: the whole range of doubles in at most 160 buckets a sign, of equal relative width.

Bucket i at a scale holds (bᵢ, bᵢ₊₁] with bᵢ = 2^(i / 2^scale); lowering the scale by one merges bucket pairs. Here a
value's bucket is decided by comparing it with the bounds themselves, never by its logarithm: bounds of one scale are
bounds of every higher one, bit for bit, so that the order of updates and merges leaves no trace, and counting a sorted
batch is one binary search per bucket.

Source: OpenTelemetry metrics data model, "ExponentialHistogram". As it allows, subnormals count as the smallest normal.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from otel_ml.sketch.distribution import NumericDistribution, just_below
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.sketch import CountArray, FloatArray

MAX_SCALE = 20
MIN_SCALE = -10
"""Two buckets then hold every double."""
MAX_BUCKETS = 160
"""Per sign; the OpenTelemetry SDKs' default."""

_MIN_NORMAL = float(np.finfo(np.float64).tiny)
_NEAR = 1e-6
_MAX = float(np.finfo(np.float64).max)


def _no_counts() -> CountArray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Counts of consecutive buckets of one sign; values of the negative sign are filed by magnitude.

    Attributes:
        offset: Index of the first bucket; 0 when there is none.
        counts: (m,) never changed in place.
    """

    offset: int = 0
    counts: CountArray = field(default_factory=_no_counts)

    @property
    def end(self) -> int:
        """The index after the last bucket."""
        return self.offset + len(self.counts)

    @property
    def is_trimmed(self) -> bool:
        """Whether there is no empty bucket at either end."""
        return len(self.counts) == 0 or bool(self.counts[0] and self.counts[-1])

    def trimmed(self) -> Buckets:
        """Without empty buckets at either end."""
        used = np.flatnonzero(self.counts)
        if used.size == 0:
            return Buckets()
        first, last = int(used[0]), int(used[-1])
        if last - first + 1 == len(self.counts):
            return self
        return Buckets(self.offset + first, self.counts[first : last + 1].copy())

    def downscaled(self, by: int) -> Buckets:
        """At a scale lower by `by` ≥ 0: each 2^by buckets, aligned to index 0, become one; exact."""
        if by == 0 or len(self.counts) == 0:
            return self
        offset = self.offset >> by
        starts = np.maximum((np.arange(offset, ((self.end - 1) >> by) + 1) << by) - self.offset, 0)
        return Buckets(offset, np.add.reduceat(self.counts, starts))

    def plus(self, other: Buckets) -> Buckets:
        """Both together, at the same scale."""
        if len(other.counts) == 0:
            return self
        if len(self.counts) == 0:
            return other
        if self.offset == other.offset and len(self.counts) == len(other.counts):
            return Buckets(self.offset, self.counts + other.counts)
        offset, end = min(self.offset, other.offset), max(self.end, other.end)
        counts = np.zeros(end - offset, dtype=np.int64)
        counts[self.offset - offset : self.end - offset] = self.counts
        counts[other.offset - offset : other.end - offset] += other.counts
        return Buckets(offset, counts)


@dataclass(slots=True, eq=False)
class ExponentialHistogram:
    """Counts by sign and magnitude, at the finest scale that needs no more than 160 buckets a sign.

    Attributes:
        scale: 20 down to -10; means nothing as long as there are no buckets.
        zero_count: Values that are exactly zero, of either sign.
        positive: Buckets of the positive values.
        negative: Buckets of the negative values, by magnitude.
    """

    scale: int = MAX_SCALE
    zero_count: int = 0
    positive: Buckets = field(default_factory=Buckets)
    negative: Buckets = field(default_factory=Buckets)

    @classmethod
    def of(cls, values: FloatArray, /) -> ExponentialHistogram:
        """The histogram of finite `values`."""
        histogram = cls()
        histogram.update(values)
        return histogram

    @property
    def count(self) -> int:
        """How many values were counted."""
        return self.zero_count + int(self.positive.counts.sum()) + int(self.negative.counts.sum())

    def update(self, values: FloatArray, /) -> None:
        """Count finite values, shape (n,)."""
        self.merge(_of_sorted(np.sort(np.asarray(values, dtype=np.float64)), None))

    def update_weighted(self, values: FloatArray, counts: CountArray, /) -> None:
        """Count finite values that came several times each, both of shape (n,)."""
        order = np.argsort(values)
        self.merge(_of_sorted(np.asarray(values, dtype=np.float64)[order], np.asarray(counts)[order]))

    def merge(self, other: ExponentialHistogram, /) -> None:
        """Add the counts of `other`, at the finest scale that fits both."""
        if self.scale == other.scale and _fit(self.negative, other.negative) and _fit(self.positive, other.positive):
            # Replicas of one model mostly see values of the same range.
            self.negative, self.positive = self.negative.plus(other.negative), self.positive.plus(other.positive)
            self.zero_count += other.zero_count
            return
        sides = (
            (self.negative.trimmed(), other.negative.trimmed()),
            (self.positive.trimmed(), other.positive.trimmed()),
        )
        # The scale of a histogram without buckets is no reason to coarsen the other.
        used = [
            histogram.scale
            for histogram, buckets in zip((self, other), zip(*sides, strict=True), strict=True)
            if any(len(side.counts) for side in buckets)
        ]
        scale = min(used, default=MAX_SCALE)
        pairs = [
            (mine.downscaled(self.scale - scale), theirs.downscaled(other.scale - scale)) for mine, theirs in sides
        ]
        # Found before anything is added up: 1 and 1e300, each alone at scale 20, lie a billion buckets apart.
        by = max(_excess_together(*pair) for pair in pairs)
        self.scale = scale - by
        self.negative, self.positive = (mine.downscaled(by).plus(theirs.downscaled(by)) for mine, theirs in pairs)
        self.zero_count += other.zero_count

    def downscale(self, scale: int, /) -> None:
        """Go down to `scale`, exactly; stays where it is when that is no lower."""
        if scale < self.scale:
            self.positive = self.positive.downscaled(self.scale - scale)
            self.negative = self.negative.downscaled(self.scale - scale)
            self.scale = scale

    def copy(self) -> ExponentialHistogram:
        """The same counts, independent of these."""
        # Buckets are never changed in place, so that sharing them is safe.
        return ExponentialHistogram(self.scale, self.zero_count, self.positive, self.negative)

    def distribution(self, moments: Moments | None = None) -> NumericDistribution:
        """The counts as a distribution function known at the bounds of the buckets.

        A negative bucket [-bᵢ₊₁, -bᵢ) lies between the doubles just below its bounds, and zero likewise, so that the
        function is right-continuous everywhere.

        Args:
            moments: Of the same values; without them the outermost bounds stand for the extremes.
        """
        below_zero = int(self.negative.counts.sum())
        points, cumulative = [], []
        if below_zero:
            bounds = bucket_bounds(self.scale, self.negative.offset, self.negative.end)
            points.append(just_below(-bounds[::-1]))
            cumulative.append(np.concatenate(([0], self.negative.counts[::-1].cumsum())))
        if self.zero_count:
            points.append(np.concatenate((just_below(np.zeros(1)), [0.0])))
            cumulative.append(np.array([below_zero, below_zero + self.zero_count]))
        if len(self.positive.counts):
            points.append(bucket_bounds(self.scale, self.positive.offset, self.positive.end))
            cumulative.append(np.concatenate(([0], self.positive.counts.cumsum())) + below_zero + self.zero_count)
        if not points:
            return NumericDistribution(np.empty(0), _no_counts(), 0, np.nan, np.nan, is_step=False)
        at, known = np.concatenate(points), np.concatenate(cumulative)
        # Nothing lies at or below a bound beyond the doubles; clipped, it would deny the largest negative one.
        at, known = np.minimum(at[at > -np.inf], _MAX), known[at > -np.inf]
        # Where bounds coincide, beyond the range of doubles or around zero, the last one has counted everything.
        last = np.append(at[1:] != at[:-1], values=True)
        minimum, maximum = float(at[0]), float(at[-1])
        if moments is not None and moments.count:
            minimum, maximum = moments.minimum, moments.maximum
        total = int(known[-1])
        of_the_same = moments if moments is not None and moments.count == total else None
        return NumericDistribution(at[last], known[last], total, minimum, maximum, is_step=False, moments=of_the_same)


def bucket_bounds(scale: int, first: int, last: int) -> FloatArray:
    """The bounds b_first … b_last at a scale, shape (last - first + 1,).

    0 below the smallest normal double, for subnormals belong to the bucket above it; infinite beyond the largest.
    """
    return bounds_at(max(scale, 0), max(-scale, 0), np.arange(first, last + 1, dtype=np.int64))


def bounds_at(finer: int | CountArray, coarser: int | CountArray, indexes: CountArray) -> FloatArray:
    """The bounds of these indexes, as `bucket_bounds` has them.

    Args:
        finer: Their scale, 0 where it is negative; of a shape that broadcasts to that of the indexes.
        coarser: Their scale without its sign, 0 where it is positive.
    """
    # In place: most of the time would go into memory for what is in between.
    bounds: FloatArray = (indexes & ((1 << finer) - 1)) / (1 << finer)
    np.exp2(bounds, out=bounds)
    exponents = indexes >> finer
    exponents <<= coarser
    np.clip(exponents, -1100, 1100, out=exponents)
    with np.errstate(over="ignore", under="ignore"):
        np.ldexp(bounds, exponents.astype(np.intc), out=bounds)
    bounds[bounds < _MIN_NORMAL] = 0.0
    return bounds


def bucket_index(magnitude: float, scale: int) -> int:
    """The bucket of a positive finite value at a scale."""
    magnitude = max(magnitude, _MIN_NORMAL)
    mantissa, exponent = math.frexp(magnitude)
    position = math.ldexp(math.log2(mantissa), MAX_SCALE)
    index = (exponent << MAX_SCALE) + math.ceil(position) - 1
    # The logarithm is good to about 1e-9 buckets: only next to a bound the bounds have to decide.
    if abs(position - round(position)) < _NEAR:
        nearby = bucket_bounds(MAX_SCALE, index - 1, index + 2)
        index += int(nearby.searchsorted(magnitude)) - 2
    return index >> (MAX_SCALE - scale)


def excess(first: int, last: int) -> int:
    """By how many scales the buckets `first` to `last` must go down to be no more than 160."""
    by = 0
    while (last >> by) - (first >> by) >= MAX_BUCKETS:
        by += 1
    return by


def _fit(left: Buckets, right: Buckets) -> bool:
    """Whether both together need no coarser scale, for certain: empty buckets at an end might be left out."""
    return (
        left.is_trimmed
        and right.is_trimmed
        and max(left.end, right.end) - min(left.offset, right.offset) <= MAX_BUCKETS
    )


def _excess_together(*parts: Buckets) -> int:
    used = [buckets for buckets in parts if len(buckets.counts)]
    return excess(min(b.offset for b in used), max(b.end for b in used) - 1) if used else 0


def _of_sorted(values: FloatArray, counts: CountArray | None) -> ExponentialHistogram:
    """The histogram of finite, increasing values, `counts` times each where given."""
    negative_end, positive_start = int(values.searchsorted(0.0)), int(values.searchsorted(0.0, side="right"))
    below = np.arange(values.size + 1) if counts is None else np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    # Mirrored, the negative ones are increasing magnitudes too; `below` is mirrored with them.
    magnitudes = -values[:negative_end][::-1], values[positive_start:]
    ranks = below[negative_end] - below[: negative_end + 1][::-1], below[positive_start:]
    by = max(
        (excess(*(bucket_index(float(end), MAX_SCALE) for end in side[[0, -1]])) for side in magnitudes if side.size),
        default=0,
    )
    scale = MAX_SCALE - by
    negative, positive = (_buckets(side, rank, scale) for side, rank in zip(magnitudes, ranks, strict=True))
    return ExponentialHistogram(scale, int(below[positive_start] - below[negative_end]), positive, negative)


def _buckets(magnitudes: FloatArray, ranks: CountArray, scale: int) -> Buckets:
    """The buckets of increasing magnitudes; `ranks[i]` is how often the first i of them count."""
    if magnitudes.size == 0:
        return Buckets()
    first, last = bucket_index(float(magnitudes[0]), scale), bucket_index(float(magnitudes[-1]), scale)
    at_or_below = magnitudes.searchsorted(bucket_bounds(scale, first, last + 1), side="right")
    return Buckets(first, np.diff(ranks[at_or_below]))

"""Data quality of one column: how many of its values are not what the model was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from otel_ml.drift import special
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.distribution import NumericDistribution, just_below
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.feature import FeatureKind
from otel_ml.sketch.summary import CategoricalSummary, EmbeddingSummary, FeatureSummary, NumericSummary

DEFAULT_INCREASE: Final = 0.01
"""Increase of a ratio above which it matters: one percentage point."""
MINIMUM_COUNT: Final = 5
"""Bad values below which no ratio matters: a few rows are an anecdote, whatever share of a small window they are."""

# A process that knows no baseline takes short texts, and points in time that came as JSON, for categories.
_WRITTEN: Final = frozenset((FeatureKind.CATEGORICAL, FeatureKind.TEXT, FeatureKind.DATETIME))
# Above this many bad values the exact test costs more than it tells over the normal one.
_EXACT_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class QualityRatio:
    """One kind of bad value: its share now, its share in the reference, and whether chance explains the increase.

    Attributes:
        count: Bad values in the current window.
        total: Values of the current window that were looked at.
        reference_count: Bad values in the reference. For what a reference cannot hold by its own definition (values
            outside its range, categories it does not have), the number expected of a further sample.
        reference_total: Values of the reference that were looked at.
        p_value: One-sided: the probability of at least `count` if the true ratio had not increased.
    """

    count: int
    total: int
    reference_count: int
    reference_total: int
    p_value: float

    @property
    def ratio(self) -> float:
        """Share of bad values in the current window."""
        return self.count / self.total

    @property
    def reference_ratio(self) -> float:
        """Share of bad values in the reference; 0 where it has no values."""
        return self.reference_count / self.reference_total if self.reference_total else 0.0

    @property
    def increase(self) -> float:
        """By how much the share grew; negative when it fell."""
        return self.ratio - self.reference_ratio

    def is_degraded(self, threshold: float = DEFAULT_INCREASE) -> bool:
        """Whether the increase is big enough to matter; it says nothing about significance."""
        return self.count >= MINIMUM_COUNT and self.increase > threshold


@dataclass(frozen=True, slots=True)
class DataQuality:
    """Shares of bad values in one column; None where they cannot be known or do not apply to its kind.

    Attributes:
        missing: None, NaN, null, or absent, of all rows.
        type_mismatch: Of another kind than the reference's, of all rows.
        infinite: ±inf, of all rows; numeric columns only.
        out_of_range: Outside the reference's range, of all finite values; numeric columns only.
        unseen_category: Not among the reference's categories, of all values; only where the reference knows all of its
            own.
    """

    missing: QualityRatio | None = None
    type_mismatch: QualityRatio | None = None
    infinite: QualityRatio | None = None
    out_of_range: QualityRatio | None = None
    unseen_category: QualityRatio | None = None

    @property
    def missing_ratio(self) -> float | None:
        """Share of `missing`."""
        return self.missing.ratio if self.missing else None

    @property
    def type_mismatch_ratio(self) -> float | None:
        """Share of `type_mismatch`."""
        return self.type_mismatch.ratio if self.type_mismatch else None

    @property
    def infinite_ratio(self) -> float | None:
        """Share of `infinite`."""
        return self.infinite.ratio if self.infinite else None

    @property
    def out_of_range_ratio(self) -> float | None:
        """Share of `out_of_range`."""
        return self.out_of_range.ratio if self.out_of_range else None

    @property
    def unseen_category_ratio(self) -> float | None:
        """Share of `unseen_category`."""
        return self.unseen_category.ratio if self.unseen_category else None


def data_quality(reference: FeatureSummary, current: FeatureSummary, layout: BinLayout | None = None) -> DataQuality:
    """How a column's data quality compares with its reference's.

    Args:
        reference: The baseline's summary.
        current: The window's summary of the same column.
        layout: The bins the baseline cut for the column's numbers, if it has any.
    """
    was, now = reference.counters, current.counters
    if now.rows == 0:
        return DataQuality()
    # A plain histogram counts finite values only: nobody knows what else there was.
    looked_at = now.rows - now.unchecked
    # Where the whole column changed its kind, its producer found nothing wrong with it.
    mismatched = looked_at - now.missing if _is_of_another_kind(reference, current) else now.mismatched
    is_numeric = reference.kind is FeatureKind.NUMERIC
    return DataQuality(
        missing=_compared(now.missing, looked_at, was.missing, was.rows),
        type_mismatch=_compared(mismatched, looked_at, was.mismatched, was.rows),
        infinite=_compared(
            now.positive_infinite + now.negative_infinite,
            looked_at,
            was.positive_infinite + was.negative_infinite,
            was.rows,
        )
        if is_numeric
        else None,
        out_of_range=_out_of_range(reference, current, layout),
        unseen_category=_unseen_category(reference, current),
    )


def _is_of_another_kind(reference: FeatureSummary, current: FeatureSummary) -> bool:
    was, now = reference.content, current.content
    if isinstance(was, EmbeddingSummary) and isinstance(now, EmbeddingSummary):
        return was.dimensions != now.dimensions and 0 not in (was.dimensions, now.dimensions)
    kinds = {reference.kind, current.kind}
    return len(kinds) > 1 and FeatureKind.OPAQUE not in kinds and not kinds <= _WRITTEN


def increase_p_value(count: int, total: int, reference_count: int, reference_total: int) -> float:
    """The probability of at least `count` bad values of `total` if their true ratio were that of the reference.

    Fisher's exact test, one-sided (Fisher, 1935); beyond 1,000 bad values the score test of two proportions.
    """
    bad, everything = count + reference_count, total + reference_total
    if count == 0 or reference_total == 0 or bad == everything:
        return 1.0
    if bad > _EXACT_LIMIT:
        share = bad / everything
        deviation = math.sqrt(share * (1 - share) * (1 / total + 1 / reference_total))
        return float(special.ndtr((reference_count / reference_total - count / total) / deviation))
    # Hypergeometric: of `bad` values drawn from everything, how many came from the current window.
    k = np.arange(count, min(bad, total) + 1)
    log_probability = (
        _log_choose(total, k) + _log_choose(reference_total, bad - k) - _log_choose(everything, np.array(bad))
    )
    return min(1.0, float(np.exp(np.logaddexp.reduce(log_probability[bad - k <= reference_total]))))


def _log_choose(
    n: int, k: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    chosen: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = (
        special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(np.maximum(n - k, 0) + 1)
    )
    return chosen


def _compared(
    count: int, total: int, reference_count: int, reference_total: int, *, presumed: int = 0
) -> QualityRatio | None:
    """Two ratios compared; `presumed` bad values of the reference count in the test, but not in its ratio."""
    if total == 0:
        return None
    tested = min(reference_count + presumed, reference_total)
    p_value = increase_p_value(count, total, tested, reference_total)
    return QualityRatio(count, total, reference_count, reference_total, p_value)


def _out_of_range(reference: FeatureSummary, current: FeatureSummary, layout: BinLayout | None) -> QualityRatio | None:
    was, now = reference.content, current.content
    if not isinstance(was, NumericSummary) or not isinstance(now, NumericSummary) or was.moments.count == 0:
        return None
    count = _count_outside(now, was.moments.minimum, was.moments.maximum, layout)
    # Without drift, the values outside the range of n others are those that come before the second of the n when all
    # are in random order (the two end gaps of an exchangeable sequence): exactly Fisher's test with one of the n bad.
    return _compared(count, now.moments.count, 0, was.moments.count, presumed=1)


def _count_outside(summary: NumericSummary, low: float, high: float, layout: BinLayout | None) -> int:
    if summary.moments.count == 0 or (low <= summary.moments.minimum and summary.moments.maximum <= high):
        return 0
    outside = 0
    for edges_hash, bins in summary.bins.items():
        # The first and the last bin of a baseline's layout hold exactly what is outside its range. Where the reference
        # is a window, its range ends within bins, and what is in those may be inside: only whole bins count.
        known = layout if layout is not None and edges_hash == layout.hash else bins.layout
        if known is not None and known.bins == len(bins.counts):
            outside += _bounds_outside(bins.distribution(known), low, high)[0]
    if summary.exact is not None:
        outside += _outside_of_exact(summary.exact, low, high)
    outside += _outside_of_sampled(summary, low, high)
    if not math.isfinite(summary.moments.m2):
        # Those of a plain histogram are mere bounds, as its variance is unknown.
        return outside
    # The extremes are exact, whatever the sketches say.
    return max(outside, (summary.moments.minimum < low) + (summary.moments.maximum > high))


def _outside_of_exact(counts: ExactCounts, low: float, high: float) -> int:
    distribution = counts.distribution()
    if distribution.total == 0:
        return 0
    below, inside = _at_most(distribution, float(just_below(np.float64(low)))), _at_most(distribution, high)
    return round(below + distribution.total - inside)


def _outside_of_sampled(summary: NumericSummary, low: float, high: float) -> int:
    """As the quantile sketch estimates it, within what the buckets of the histogram allow."""
    outside: float | None = None
    if summary.quantiles is not None and summary.quantiles.count:
        ranks = summary.quantiles.distribution()
        outside = _at_most(ranks, float(just_below(np.float64(low)))) + ranks.total - _at_most(ranks, high)
    if summary.histogram is not None and summary.histogram.count:
        buckets = summary.histogram.distribution()
        at_least, at_most = _bounds_outside(buckets, low, high)
        outside = (at_least + at_most) / 2 if outside is None else min(max(outside, at_least), at_most)
    return round(outside or 0.0)


def _at_most(distribution: NumericDistribution, value: float) -> float:
    return float(distribution.cdf(np.array([value]))[0]) * distribution.total


def _bounds_outside(buckets: NumericDistribution, low: float, high: float) -> tuple[int, int]:
    """How many values certainly are outside, and how many may be, since their bucket is partly so."""
    cumulative = np.concatenate(([0], buckets.cumulative, [buckets.total]))
    below_at_least = int(cumulative[buckets.points.searchsorted(low, side="left")])
    below_at_most = int(cumulative[min(buckets.points.searchsorted(low, side="left") + 1, len(cumulative) - 1)])
    not_above_at_least = int(cumulative[buckets.points.searchsorted(high, side="right")])
    not_above_at_most = int(cumulative[min(buckets.points.searchsorted(high, side="left") + 1, len(cumulative) - 1)])
    return (
        below_at_least + buckets.total - not_above_at_most,
        below_at_most + buckets.total - not_above_at_least,
    )


def _unseen_category(reference: FeatureSummary, current: FeatureSummary) -> QualityRatio | None:
    was, now = reference.content, current.content
    if not isinstance(was, CategoricalSummary) or not isinstance(now, CategoricalSummary):
        return None
    # A heavy-hitters summary has forgotten categories: what it does not name need not be new.
    if was.categories.other or not was.categories.counts:
        return None
    known = was.categories.counts
    count = sum(count for name, count in now.categories.counts.items() if name not in known)
    # Of the reference's own values, those whose category came once would have been unseen, had they come last: the
    # estimate of Good, "The population frequencies of species" (1953).
    seen_once = sum(count == 1 for count in known.values())
    return _compared(count, now.categories.count, seen_once, was.categories.count, presumed=1)

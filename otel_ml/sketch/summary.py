"""Everything that is kept about one column: counters, and the sketches that suit its kind."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exemplar import Exemplar, merged_exemplars
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import DEFAULT_K, QuantileSketch


@dataclass(slots=True)
class NumericSummary:
    """Sketches of a column's finite values.

    What a process sends holds each value in exactly one place: in `bins` when it knew the baseline, else in `exact`
    while there are few distinct values, else in both `histogram` and `quantiles`. Merging keeps that so, even when
    replicas knew different baselines or none. In a baseline, every sketch that is present holds all values.

    Attributes:
        bins: Counts in bins cut from a baseline, by the hash of their edges.
        exact: Count per value.
        histogram: Exponential histogram.
        quantiles: KLL sketch.
    """

    moments: Moments = field(default_factory=Moments)
    bins: dict[int, AnchoredBins] = field(default_factory=dict)
    exact: ExactCounts | None = None
    histogram: ExponentialHistogram | None = None
    quantiles: QuantileSketch | None = None


@dataclass(slots=True)
class BooleanSummary:
    """Counts of the two truth values."""

    false_count: int = 0
    true_count: int = 0


@dataclass(slots=True)
class CategoricalSummary:
    """Counts by category, and how many distinct ones there were."""

    categories: CategoryCounts = field(default_factory=CategoryCounts)
    cardinality: HyperLogLog = field(default_factory=HyperLogLog)


@dataclass(slots=True)
class OpaqueSummary:
    """Nothing beyond the counters."""


Content = NumericSummary | BooleanSummary | CategoricalSummary | OpaqueSummary

_KINDS: dict[type, FeatureKind] = {
    NumericSummary: FeatureKind.NUMERIC,
    BooleanSummary: FeatureKind.BOOLEAN,
    CategoricalSummary: FeatureKind.CATEGORICAL,
    OpaqueSummary: FeatureKind.OPAQUE,
}


@dataclass(slots=True)
class FeatureSummary:
    """One column's mergeable summary."""

    key: FeatureKey
    content: Content
    counters: Counters = field(default_factory=Counters)
    exemplars: list[Exemplar] = field(default_factory=list)

    @property
    def kind(self) -> FeatureKind:
        """How the column's values were read."""
        return _KINDS[type(self.content)]

    def merge(self, other: FeatureSummary, /) -> None:
        """Add what `other` has seen of the same column.

        Raises:
            IncompatibleSketchError: The columns or their kinds differ; nothing was changed.
        """
        if self.key != other.key:
            raise IncompatibleSketchError(f"cannot merge column {other.key.name!r} into {self.key.name!r}")
        mine, theirs = self.content, other.content
        if isinstance(mine, NumericSummary) and isinstance(theirs, NumericSummary):
            _merge_numeric(mine, theirs)
        elif isinstance(mine, BooleanSummary) and isinstance(theirs, BooleanSummary):
            mine.false_count += theirs.false_count
            mine.true_count += theirs.true_count
        elif isinstance(mine, CategoricalSummary) and isinstance(theirs, CategoricalSummary):
            mine.categories.merge(theirs.categories)
            mine.cardinality.merge(theirs.cardinality)
        elif not (isinstance(mine, OpaqueSummary) and isinstance(theirs, OpaqueSummary)):
            raise IncompatibleSketchError(
                f"column {self.key.name!r}: cannot merge {other.kind.value} values into {self.kind.value} ones"
            )
        self.counters.merge(other.counters)
        self.exemplars = merged_exemplars(self.exemplars, other.exemplars)


def _merge_numeric(mine: NumericSummary, theirs: NumericSummary) -> None:
    bins = dict(mine.bins)
    for edges_hash, counted in theirs.bins.items():
        bins[edges_hash] = counted.copy()
        if edges_hash in mine.bins:
            bins[edges_hash].merge(mine.bins[edges_hash])
    # From here on nothing raises.
    mine.bins = bins
    mine.moments.merge(theirs.moments)
    if not _has_spilled(mine) and not _has_spilled(theirs):
        exact = ExactCounts() if mine.exact is None else mine.exact.copy()
        if theirs.exact is None or exact.add(theirs.exact.values, theirs.exact.counts):
            mine.exact = exact if exact.count else None
            return
    _merge_spilled(mine, theirs)


def _has_spilled(summary: NumericSummary) -> bool:
    """Whether values are in sketches that cannot be told apart from each other any more."""
    return bool((summary.histogram and summary.histogram.count) or (summary.quantiles and summary.quantiles.count))


def _merge_spilled(mine: NumericSummary, theirs: NumericSummary) -> None:
    """Move all values that are not in bins, of both sides, into `mine`'s histogram and quantiles.

    Quantiles are kept only while they cover what the histogram covers: a server that knows no KLL may send histograms
    alone, and quantiles of the other replicas only would pass for those of all.
    """
    histogram = ExponentialHistogram() if mine.histogram is None else mine.histogram.copy()
    quantiles = QuantileSketch(_k(mine, theirs)) if mine.quantiles is None else mine.quantiles
    covered = True
    for side in (mine, theirs):
        has_histogram = side.histogram is not None and side.histogram.count > 0
        if side.quantiles is None or side.quantiles.count == 0:
            covered = covered and not has_histogram
        elif not has_histogram:
            sampled = side.quantiles.distribution()
            histogram.update_weighted(sampled.points, np.diff(sampled.cumulative, prepend=0))
    if theirs.histogram is not None:
        histogram.merge(theirs.histogram)
    if theirs.quantiles is not None:
        quantiles.merge(theirs.quantiles)
    for side in (mine, theirs):
        if side.exact is not None:
            histogram.update_weighted(side.exact.values, side.exact.counts)
            quantiles.update_weighted(side.exact.values, side.exact.counts)
    mine.exact, mine.histogram, mine.quantiles = None, histogram, quantiles if covered else None


def _k(*summaries: NumericSummary) -> int:
    return max((side.quantiles.k for side in summaries if side.quantiles is not None), default=DEFAULT_K)

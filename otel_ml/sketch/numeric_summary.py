"""All that is kept of a column's numbers, or of the numbers that describe a text or a vector."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.exact import ExactCounts, distinct_counts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import DEFAULT_K, QuantileSketch
from otel_ml.sketch.sketch import FloatArray


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

    @classmethod
    def anchored(cls, layout: BinLayout | None, /) -> NumericSummary:
        """A summary without values that will count in these bins, or as it can where there are none."""
        return cls() if layout is None else cls(bins={layout.hash: AnchoredBins.of(layout)})

    @property
    def count(self) -> int:
        """How many values there were."""
        return self.moments.count

    def update(self, values: FloatArray, /) -> None:
        """Add finite values, shape (n,): to bins whose edges are known, else one by one, else to sketches."""
        if values.size == 0:
            return
        ordered = np.sort(values)
        self.moments.update(ordered)
        for edges_hash, bins in self.bins.items():
            if bins.layout is not None:
                counted = bins.counts + bins.layout.count_sorted(ordered)
                self.bins[edges_hash] = AnchoredBins(edges_hash, counted, bins.layout)
                return
        if not _has_spilled(self):
            exact = ExactCounts() if self.exact is None else self.exact
            if exact.add(*distinct_counts(ordered)):
                self.exact = exact
                return
        elif self.histogram is None or self.quantiles is None:
            # Of a server that knows only one of the two.
            batch = NumericSummary()
            batch.update(ordered)
            _merge_spilled(self, batch)
            return
        histogram, quantiles = self.histogram or ExponentialHistogram(), self.quantiles or QuantileSketch()
        histogram.update(ordered)
        quantiles.update(ordered)
        if self.exact is not None:
            histogram.update_weighted(self.exact.values, self.exact.counts)
            quantiles.update_weighted(self.exact.values, self.exact.counts)
        self.exact, self.histogram, self.quantiles = None, histogram, quantiles

    def merge(self, other: NumericSummary, /) -> None:
        """Add what `other` has seen.

        Raises:
            IncompatibleSketchError: Bins of one hash differ in number; nothing was changed.
        """
        bins = dict(self.bins)
        for edges_hash, counted in other.bins.items():
            bins[edges_hash] = counted.copy()
            if edges_hash in self.bins:
                bins[edges_hash].merge(self.bins[edges_hash])
        # From here on nothing raises.
        self.bins = bins
        self.moments.merge(other.moments)
        if not _has_spilled(self) and not _has_spilled(other):
            exact = ExactCounts() if self.exact is None else self.exact.copy()
            if other.exact is None or exact.add(other.exact.values, other.exact.counts):
                self.exact = exact if exact.count else None
                return
        _merge_spilled(self, other)


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

"""What a baseline keeps of a numeric column, from sorted runs of its values.

Once values are sorted, everything else is nearly free: edges, counts in bins, buckets and distinct values are binary
searches, and evenly spaced ranks make a better sample than any stream could. A column of up to 16 million rows is one
run, and its edges are exact quantiles. A larger one is read twice: first for the edges, from an eighth of its values,
then in short runs, which are sorted in the processor's cache. The counts are always those of all values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from otel_ml.sketch.bins import MAX_BINS, AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.bucket_grid import BucketGrid
from otel_ml.sketch.exact import LIMIT, ExactCounts
from otel_ml.sketch.feature import Counters
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.summary import NumericSummary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from otel_ml.baseline.columns import Column, NumberBatch
    from otel_ml.sketch.sketch import CountArray, FloatArray

LONGEST_RUN: Final = 1 << 24
"""Rows of a column that is sorted as a whole: 128 MB."""
QUANTILES_K: Final = 1024
"""Size of the quantile sketch; ranks are then good to 0.3 %."""

_STRATA: Final = 1 << 16
"""Values that are kept of the only run to cut edges from; a multiple of the number of bins."""
_SHORT_RUN: Final = 1 << 17
_STRATA_OF_RUN: Final = 1 << 9
"""Values that are kept of each of many runs."""
_MANY: Final = 1 << 22
"""Values of all runs together, beyond which they are thinned out."""
_IN_CACHE: Final = 1 << 14

_Sample: TypeAlias = "tuple[FloatArray, CountArray]"
"""Increasing values, and how many each stands for."""


def summarise_numbers(
    column: Column, rows: int, *, longest_run: int = LONGEST_RUN, short_run: int = _SHORT_RUN
) -> tuple[NumericSummary, Counters, BinLayout | None]:
    """All sketches of a column, its counters, and its bins unless no value is finite.

    Args:
        column: Read once, or twice if it has more than `longest_run` rows.
        rows: How many rows it has.
        longest_run: How many rows are sorted as a whole.
        short_run: How many finite values of a longer column are sorted together.
    """
    is_whole = rows <= longest_run
    layout = None if is_whole else _layout_from_sample(column, short_run)
    counters, moments, grid = Counters(), Moments(), BucketGrid()
    counts = np.zeros(MAX_BINS, dtype=np.int64)
    exact: ExactCounts | None = ExactCounts()
    samples = _Samples()
    values = np.empty(0)
    for values in runs(column.numbers(), counters, rows if is_whole else short_run):
        values.sort()
        moments.merge(_moments(values))
        grid.update_sorted(values)
        exact = _counted(exact, values)
        if layout is not None:
            counts[: layout.bins] += layout.count_sorted(values)
            samples.add(values)
    if not moments.count:
        return NumericSummary(), counters, None
    if layout is None:
        quantiles = quantile_sketch(values)
    else:
        quantiles = quantile_sketch(*samples.merged(), minimum=moments.minimum, maximum=moments.maximum)
    if exact is not None:
        layout = layout_from_quantiles(exact.values, exact.counts)
        counts = np.zeros(layout.bins, dtype=np.int64)
        np.add.at(counts, layout.edges.searchsorted(exact.values), exact.counts)
    elif layout is None:
        layout = layout_from_quantiles(*_strata_ends(values), minimum=moments.minimum)
        counts = layout.count_sorted(values)
    bins = AnchoredBins(layout.hash, counts[: layout.bins], layout)
    return NumericSummary(moments, {layout.hash: bins}, exact, grid.histogram(), quantiles), counters, layout


def runs(batches: Iterable[NumberBatch], counters: Counters, length: int) -> Iterator[FloatArray]:
    """The finite values in runs of `length` of them (the last may be shorter); the rest is counted.

    A run may be changed, and is only good until the next one is asked for. Runs do not depend on how the values come
    in batches.
    """
    buffer = np.empty(max(1, length))
    filled = 0
    for batch in batches:
        finite = _finite(batch, counters)
        while finite.size:
            taken = finite[: len(buffer) - filled]
            # Adding zero copies, and turns -0.0 into 0.0, so that the order of equal values leaves no trace.
            np.add(taken, 0.0, out=buffer[filled : filled + len(taken)])
            filled += len(taken)
            finite = finite[len(taken) :]
            if filled == len(buffer):
                yield buffer
                filled = 0
    if filled:
        yield buffer[:filled]


def quantile_sketch(
    values: FloatArray,
    weights: CountArray | None = None,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> QuantileSketch:
    """A quantile sketch of increasing values that come `weights` times each.

    Sorted values need no sampling by chance: evenly spaced ranks are off by at most half their distance. The extremes
    are kept as one value each, lest an outlier be taken for a thousandth of the column.
    """
    cumulative = None if weights is None else np.cumsum(weights)
    total = int(values.size if cumulative is None else cumulative[-1])
    sketch = QuantileSketch(QUANTILES_K)
    if total <= QUANTILES_K:
        sketch.update_weighted(values, np.ones(total, np.int64) if weights is None else weights)
    else:
        height = ((total - 2) // (QUANTILES_K - 1)).bit_length()
        rest = (total - 2) & ((1 << height) - 1)
        widths = np.array(
            [1 << height] * ((total - 2) >> height) + [1 << bit for bit in range(height) if rest >> bit & 1] + [1],
            dtype=np.int64,
        )
        ranks = np.cumsum(widths) - widths + widths // 2 + 1
        at = ranks if cumulative is None else np.searchsorted(cumulative, ranks, side="right")
        items = np.concatenate(([values[0]], values[at]))
        items[0] = values[0] if minimum is None else minimum
        items[-1] = values[-1] if maximum is None else maximum
        sketch.update_weighted(items, np.concatenate(([1], widths)))
    # As it will be when it comes from a file, where it says by how much its ranks may be off.
    return QuantileSketch.from_image(sketch.image(), sketch.image_kind)


def _finite(batch: NumberBatch, counters: Counters) -> FloatArray:
    counters.rows += len(batch.values)
    counters.mismatched += batch.mismatched
    with np.errstate(over="ignore"):  # a long double may be too large, and counts as infinite then
        values: FloatArray = batch.values.astype(np.float64, copy=False)
    finite = np.isfinite(values)
    if finite.all():
        return values
    nan = int(np.isnan(values).sum())
    above = int((values == np.inf).sum())
    counters.missing += nan - batch.mismatched
    counters.positive_infinite += above
    counters.negative_infinite += len(values) - int(finite.sum()) - nan - above
    return values[finite]


def _moments(values: FloatArray) -> Moments:
    moments = Moments()
    for start in range(0, len(values), _IN_CACHE):
        moments.update(values[start : start + _IN_CACHE])
    return moments


def _counted(exact: ExactCounts | None, values: FloatArray) -> ExactCounts | None:
    """`exact` with increasing values added; None as soon as there are too many distinct ones."""
    if exact is None:
        return None
    distinct: list[np.float64] = []
    ends, at = [0], 0
    while at < len(values):
        if len(distinct) == LIMIT:
            return None
        distinct.append(values[at])
        at = int(values.searchsorted(values[at], side="right"))
        ends.append(at)
    return exact if exact.add(np.array(distinct), np.diff(ends)) else None


def _layout_from_sample(column: Column, run: int) -> BinLayout | None:
    """Bins of nearly equal mass, cut from an eighth of the finite values, and from the exact range of all of them.

    Which eighth is drawn by chance, always the same: rows may follow each other with any period.
    """
    drawn = np.sort(np.random.default_rng(0).choice(run, size=max(1, run // 8), replace=False))
    samples = _Samples()
    low, high = np.inf, -np.inf
    for values in runs(column.numbers(), Counters(), run):
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        sample = values[drawn[: drawn.searchsorted(len(values))]]
        sample.sort()
        samples.add(sample)
    if low > high:
        return None
    sampled, weights = samples.merged()
    if not sampled.size:
        sampled, weights = np.array([low]), np.ones(1, np.int64)
    return layout_from_quantiles(sampled, weights, minimum=low, maximum=high)


class _Samples:
    """Values that stand for many runs: from each those at evenly spaced ranks, thinned out when they become many."""

    def __init__(self) -> None:
        self._parts: list[_Sample] = []
        self._size = 0

    def add(self, values: FloatArray) -> None:
        """Add a run of increasing values."""
        starts = np.arange(0, len(values), max(1, -(-len(values) // _STRATA_OF_RUN)))
        widths = np.diff(starts, append=len(values))
        self._append((values[starts + widths // 2], widths))
        if self._size > _MANY:
            sampled, weights = self.merged()
            cumulative = np.cumsum(weights)
            ends = _ends(int(cumulative[-1]))
            self._parts, self._size = [], 0
            self._append((sampled[np.searchsorted(cumulative, ends)], np.diff(ends, prepend=0)))

    def merged(self) -> _Sample:
        """All of them, increasing, and how many values each stands for."""
        values, weights = (np.concatenate(parts) for parts in zip(*self._parts, strict=True))
        order = np.argsort(values, kind="stable")
        return values[order], weights[order]

    def _append(self, sample: _Sample) -> None:
        self._parts.append(sample)
        self._size += len(sample[0])


def _strata_ends(values: FloatArray) -> _Sample:
    """The last of each stratum of increasing values, so that quantiles cut from them are exact."""
    ends = _ends(len(values))
    return values[ends - 1], np.diff(ends, prepend=0)


def _ends(count: int) -> CountArray:
    strata = min(count, _STRATA)
    ends: CountArray = -(-np.arange(1, strata + 1) * count // strata)
    return ends

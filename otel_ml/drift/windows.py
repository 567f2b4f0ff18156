"""Comparing a window with another window: what was live before, or what another deployment saw in the same minute.

A baseline holds all values in every sketch it has. A window holds each value in one: in bins of the baseline its
process knew, in exact counts, or in a histogram with quantiles beside it. Two windows may hold theirs in different
ones, even in bins of two baselines. What both sides know exactly is compared exactly; where a side knows only in which
bin a value lies, it gets the benefit of the doubt: distances are the least that both sides allow, and p-values err
towards "no drift".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from otel_ml.drift.comparison import (
    NumericPair,
    aligned,
    compared,
    has_values,
    is_coarse,
    merged_rank_error,
    placed_bins,
    sampled,
)
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.distribution import Distribution, NumericDistribution
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketch import CountArray, FloatArray
from otel_ml.sketch.summary import FeatureSummary


def window_distributions(
    reference: FeatureSummary, current: FeatureSummary, layouts: Collection[BinLayout] = ()
) -> tuple[Distribution, Distribution] | None:
    """The pair of distributions of two windows that detectors should compare, or None when there is nothing to compare.

    Columns that are no numbers are compared as `comparison.distributions` does. Numbers, in the order of preference:

    - all in bins of one baseline: by bins, exactly. Where nobody here has the edges, a bin's position stands for its
      values, which says the same to every statistic that asks for ranks or masses;
    - exact counts on both sides: exactly;
    - none in bins: as histograms of one scale, or by quantiles where those cannot tell the values apart;
    - otherwise: at the edges of all bins, each side as near to the other as its bins allow.

    Values in bins whose edges are not at hand are left out where other ones can be placed.

    Args:
        reference: A window's summary, in which each value is in exactly one part.
        current: Likewise.
        layouts: Bins that baselines cut for the column, as many as are known.
    """
    return compared(reference, current, lambda was, now: _numbers(was, now, layouts))


def _numbers(was: NumericSummary, now: NumericSummary, layouts: Collection[BinLayout]) -> NumericPair | None:
    if not any(bins.count for side in (was, now) for bins in side.bins.values()):
        return _unbinned(was, now)
    edges = _known_edges((was, now), layouts)
    common = _common_bins(was, now, edges)
    if common is not None:
        return _in_bins(was, now, common, edges.get(common))
    was_parts, now_parts = _parts(was, edges), _parts(now, edges)
    if not was_parts or not now_parts:
        return None
    if all(part.is_step for part in (*was_parts, *now_parts)):
        return _unbinned(was, now)
    return _nearest(was_parts, now_parts, was.moments, now.moments)


def _known_edges(sides: Iterable[NumericSummary], layouts: Collection[BinLayout]) -> dict[int, BinLayout]:
    """Edges by their hash: those of `layouts`, and of processes that cut their own."""
    edges = {layout.hash: layout for layout in layouts}
    for numbers in sides:
        for edges_hash, bins in numbers.bins.items():
            if bins.layout is not None:
                edges.setdefault(edges_hash, bins.layout)
    return edges


def _common_bins(was: NumericSummary, now: NumericSummary, edges: Mapping[int, BinLayout]) -> int | None:
    """The hash of the bins that hold all of both sides, or, where nobody has their edges, most of them."""
    for edges_hash, mine in was.bins.items():
        theirs = now.bins.get(edges_hash)
        if theirs is None or not 1 < len(mine.counts) == len(theirs.counts):
            continue
        layout = edges.get(edges_hash)
        if layout is None:
            # Values that can be placed say more, where there are more of them.
            if 2 * mine.count > was.count and 2 * theirs.count > now.count:
                return edges_hash
        elif layout.bins == len(mine.counts) and mine.count == was.count and theirs.count == now.count:
            return edges_hash
    return None


def _in_bins(was: NumericSummary, now: NumericSummary, edges_hash: int, layout: BinLayout | None) -> NumericPair:
    mine, theirs = was.bins[edges_hash], now.bins[edges_hash]
    if layout is not None:
        return mine.distribution(layout, was.moments), theirs.distribution(layout, now.moments)
    positions = _positions(len(mine.counts))
    return (
        AnchoredBins(positions.hash, mine.counts, positions).distribution(),
        AnchoredBins(positions.hash, theirs.counts, positions).distribution(),
    )


@lru_cache(maxsize=8)
def _positions(bins: int) -> BinLayout:
    return BinLayout(np.arange(bins - 1, dtype=np.float64))


def _parts(numbers: NumericSummary, edges: Mapping[int, BinLayout]) -> list[NumericDistribution]:
    """All that can be placed on the axis of numbers."""
    return [*placed_bins(numbers, edges.values()), *_other_parts(numbers)]


def _other_parts(numbers: NumericSummary) -> list[NumericDistribution]:
    """What is not in bins."""
    parts = []
    if numbers.exact is not None and numbers.exact.count:
        parts.append(numbers.exact.distribution())
    if has_values(numbers.histogram) or has_values(numbers.quantiles):
        parts.append(sampled(numbers))
    return parts


def _unbinned(was: NumericSummary, now: NumericSummary) -> NumericPair | None:
    if not _has_others(was) or not _has_others(now):
        return None
    if was.exact is not None and now.exact is not None and _is_exact(was) and _is_exact(now):
        return was.exact.distribution(), now.exact.distribution()
    expected, found = _as_histogram(was), _as_histogram(now)
    if expected is not None and found is not None:
        expected, found = aligned(expected, found)
        pair = expected.distribution(was.moments), found.distribution(now.moments)
        # Rather no answer than "no drift" from a histogram that cannot see it.
        return _by_quantiles(was, now) if is_coarse(pair[0], lambda: _as_quantiles(was)) else pair
    return _by_quantiles(was, now) or _nearest(_other_parts(was), _other_parts(now), was.moments, now.moments)


def _has_others(numbers: NumericSummary) -> bool:
    has_exact = numbers.exact is not None and numbers.exact.count > 0
    return has_exact or has_values(numbers.histogram) or has_values(numbers.quantiles)


def _is_exact(numbers: NumericSummary) -> bool:
    return not has_values(numbers.histogram) and not has_values(numbers.quantiles)


def _as_histogram(numbers: NumericSummary) -> ExponentialHistogram | None:
    """All values that are not in bins, if a histogram can hold them without error."""
    if has_values(numbers.quantiles) and not has_values(numbers.histogram):
        return None
    histogram = ExponentialHistogram() if numbers.histogram is None else numbers.histogram.copy()
    if numbers.exact is not None:
        histogram.update_weighted(numbers.exact.values, numbers.exact.counts)
    return histogram


def _by_quantiles(was: NumericSummary, now: NumericSummary) -> NumericPair | None:
    expected, found = _as_quantiles(was), _as_quantiles(now)
    return None if expected is None or found is None else (expected, found)


def _as_quantiles(numbers: NumericSummary) -> NumericDistribution | None:
    """All values that are not in bins, if quantiles are known of them."""
    if has_values(numbers.histogram) and not has_values(numbers.quantiles):
        return None
    if numbers.quantiles is None:
        return None if numbers.exact is None else numbers.exact.distribution()
    quantiles = QuantileSketch(numbers.quantiles.k)
    quantiles.merge(numbers.quantiles)
    if numbers.exact is not None:
        quantiles.update_weighted(numbers.exact.values, numbers.exact.counts)
    return quantiles.distribution(numbers.moments)


def _nearest(
    was: Sequence[NumericDistribution], now: Sequence[NumericDistribution], was_moments: Moments, now_moments: Moments
) -> NumericPair:
    """Both sides at all edges of the bins of both, each as near to the other as its own bins allow.

    A step function knows its share everywhere, bins only at their edges; between two edges a share lies between theirs.
    Of two ranges of a share, the nearest two values are taken. They increase as the bounds do.
    """
    points = np.unique(np.concatenate([part.points for part in (*was, *now) if not part.is_step]))
    was_total, now_total = sum(part.total for part in was), sum(part.total for part in now)
    was_low, was_high = _bounds(was, points, was_moments, was_total)
    now_low, now_high = _bounds(now, points, now_moments, now_total)
    # A value is only as near as it can be: the other side's lower bound, brought within one's own bounds.
    expected = np.maximum(was_low, np.minimum(was_high, now_low))
    found = np.maximum(now_low, np.minimum(now_high, was_low))
    return (
        _side(points, expected, was, was_moments, was_total),
        _side(points, found, now, now_moments, now_total),
    )


def _bounds(
    parts: Sequence[NumericDistribution], at: FloatArray, moments: Moments, total: int
) -> tuple[FloatArray, FloatArray]:
    """Between which shares the share of the values ≤ each point lies."""
    low, high = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    for part in parts:
        counts: CountArray = np.concatenate(([0], part.cumulative, [part.total]))
        before = counts[part.points.searchsorted(at, side="right")]
        low += before
        high += before if part.is_step else counts[part.points.searchsorted(at, side="left") + 1]
    if moments.count:
        # The extremes are exact, and the bins around them are wider.
        high[at < moments.minimum] = 0
        low[at >= moments.maximum] = total
    return low / total, high / total


def _side(
    points: FloatArray, shares: FloatArray, parts: Sequence[NumericDistribution], moments: Moments, total: int
) -> NumericDistribution:
    return NumericDistribution(
        points,
        np.rint(shares * total).astype(np.int64),
        total,
        moments.minimum,
        moments.maximum,
        is_step=False,
        rank_error=merged_rank_error(parts),
        moments=moments if moments.count == total else None,
    )

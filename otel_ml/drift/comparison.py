"""Choosing, of all that two summaries know, what compares best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution, NumericDistribution, just_above
from otel_ml.sketch.exponential import MAX_BUCKETS, Buckets, ExponentialHistogram
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.summary import (
    BooleanSummary,
    CategoricalSummary,
    DatetimeSummary,
    EmbeddingSummary,
    FeatureSummary,
    NumericSummary,
    TextSummary,
)

NumericPair = tuple[NumericDistribution, NumericDistribution]
COARSE_BUCKET = 0.1
"""Share of the reference in one bucket of a histogram, beyond a single frequent value, from which it hides drift."""
COARSE_BOUNDS = 0.5
"""The same of bounds that somebody chose without looking at the reference: they see less, which is no reason to look
away, unless most of it lies between two of them."""
_SPAN = 16 * MAX_BUCKETS
"""Buckets that two histograms may span together to be compared bucket by bucket."""
DAY_S = 23 * 3600.0
"""Seconds that points in time must span for their hours to tell anything: those of one morning are all of the morning,
whichever the training data were of."""


def distributions(
    reference: FeatureSummary, current: FeatureSummary, layout: BinLayout | None = None
) -> tuple[Distribution, Distribution] | None:
    """The pair of distributions that detectors should compare, or None when there is nothing to compare.

    One distribution stands for a column: of numbers, truth values and categories themselves; of the lengths of texts,
    which change whenever their words change much, and never with a synonym; of the hours of the day of points in time;
    of the norms of vectors. Detectors that compare more of a text or a vector take both summaries, not this pair.

    Nothing to compare means: a side without values, two kinds of column, vectors of two lengths, points in time within
    one day, or none of the current values in a form that can be placed on the reference (bins of a baseline that is not
    this one).

    Args:
        reference: A baseline's summary, in which every sketch that is present holds all values.
        current: A window's summary, in which each value is in exactly one part.
        layout: The bins the baseline cut for the column's numbers, if it has any.
    """
    return compared(reference, current, lambda was, now: _numeric(was, now, layout))


def compared(
    reference: FeatureSummary,
    current: FeatureSummary,
    compare_numbers: Callable[[NumericSummary, NumericSummary], NumericPair | None],
) -> tuple[Distribution, Distribution] | None:
    """As `distributions`, with the numbers of a column compared in a way of the caller's."""
    was, now = reference.content, current.content
    pair: tuple[Distribution, Distribution] | None = None
    if isinstance(was, NumericSummary) and isinstance(now, NumericSummary):
        pair = compare_numbers(was, now)
    elif isinstance(was, BooleanSummary) and isinstance(now, BooleanSummary):
        pair = _boolean(was), _boolean(now)
    elif isinstance(was, CategoricalSummary) and isinstance(now, CategoricalSummary):
        pair = _categorical(was), _categorical(now)
    elif isinstance(was, TextSummary) and isinstance(now, TextSummary):
        pair = compare_numbers(was.lengths, now.lengths)
    elif isinstance(was, DatetimeSummary) and isinstance(now, DatetimeSummary):
        pair = _hours(was, now)
    elif isinstance(was, EmbeddingSummary) and isinstance(now, EmbeddingSummary) and was.dimensions == now.dimensions:
        pair = compare_numbers(was.norms, now.norms)
    if pair is None or pair[0].total == 0 or pair[1].total == 0:
        return None
    return pair


def _categorical(summary: CategoricalSummary) -> CategoricalDistribution:
    categories = summary.categories
    return CategoricalDistribution(dict(categories.counts), categories.other, categories.error_bound)


def _boolean(summary: BooleanSummary) -> CategoricalDistribution:
    return CategoricalDistribution({"false": summary.false_count, "true": summary.true_count})


def _hours(was: DatetimeSummary, now: DatetimeSummary) -> tuple[Distribution, Distribution] | None:
    if now.epochs.maximum - now.epochs.minimum < DAY_S:
        return None
    expected, found = (
        CategoricalDistribution({f"{hour:02}": count for hour, count in enumerate(summary.hours.tolist()) if count})
        for summary in (was, now)
    )
    return expected, found


def _numeric(was: NumericSummary, now: NumericSummary, layout: BinLayout | None) -> NumericPair | None:
    binned = placed_bins(now, () if layout is None else (layout,))
    exact = [now.exact.distribution()] if now.exact is not None and now.exact.count else []
    is_sampled = has_values(now.histogram) or has_values(now.quantiles)
    if len(binned) + len(exact) + is_sampled > 1:
        parts = [*binned, *exact, *([sampled(now)] if is_sampled else [])]
        bounds = _common_bounds(now, layout)
        return _projected(was, parts, now, layout) if bounds is None else _at_bounds(was, parts, now, bounds)
    if is_sampled:
        return _from_samples(was, now, layout)
    if exact:
        return _paired(_reference(was, layout), exact[0])
    if not binned:
        return None
    if layout is not None and layout.hash in now.bins and layout.hash in was.bins:
        return was.bins[layout.hash].distribution(layout, was.moments), binned[0]
    # Bins of another baseline, or bounds of a plain histogram: only functions that are known everywhere are known at
    # their edges.
    reference = _finest(was, layout)
    return None if reference is None or _is_hidden(reference, binned[0].points) else (reference, binned[0])


def _from_samples(was: NumericSummary, now: NumericSummary, layout: BinLayout | None) -> NumericPair | None:
    if was.histogram is None or now.histogram is None or not was.histogram.count or not now.histogram.count:
        return _paired(_reference(was, layout), sampled(now))
    expected, found = aligned(was.histogram, now.histogram)
    pair = expected.distribution(was.moments), found.distribution(now.moments)
    if not is_coarse(pair[0], lambda: _reference(was, layout)):
        return pair
    # Rather no answer than "no drift" from a histogram that cannot see it.
    return _paired(_reference(was, layout), sampled(now)) if has_values(now.quantiles) else None


def has_values(sketch: ExponentialHistogram | QuantileSketch | None) -> bool:
    """Whether there is such a sketch, and anything in it."""
    return sketch is not None and sketch.count > 0


def _paired(reference: NumericDistribution | None, current: NumericDistribution) -> NumericPair | None:
    return None if reference is None else (reference, current)


def placed_bins(numbers: NumericSummary, layouts: Iterable[BinLayout]) -> list[NumericDistribution]:
    """Counts in bins whose edges are at hand: those of `layouts`, or of a process that cut its own."""
    by_hash = {layout.hash: layout for layout in layouts}
    found = []
    for edges_hash, bins in numbers.bins.items():
        known = by_hash.get(edges_hash, bins.layout)
        # Who counted in more or fewer bins than the edges cut did not count in these.
        if known is not None and known.bins == len(bins.counts) and bins.count:
            found.append(bins.distribution(known, numbers.moments))
    return found


def sampled(now: NumericSummary) -> NumericDistribution:
    """What is known of the values that went into a histogram and a quantile sketch, at any point one may ask for."""
    if now.quantiles is not None and now.quantiles.count:
        return now.quantiles.distribution(now.moments)
    assert now.histogram is not None
    return now.histogram.distribution(now.moments)


def _reference(was: NumericSummary, layout: BinLayout | None) -> NumericDistribution | None:
    """The reference without error: exactly where it had few values, else at its bins' edges."""
    if was.exact is not None and was.exact.count:
        return was.exact.distribution()
    if layout is not None and layout.hash in was.bins:
        return was.bins[layout.hash].distribution(layout, was.moments)
    return _finest(was, layout)


def _finest(was: NumericSummary, layout: BinLayout | None) -> NumericDistribution | None:
    """The reference as a function that is known everywhere, if there is one."""
    if was.exact is not None and was.exact.count:
        return was.exact.distribution()
    if was.quantiles is not None and was.quantiles.count:
        return was.quantiles.distribution(was.moments)
    if layout is not None and layout.hash in was.bins:
        return was.bins[layout.hash].distribution(layout, was.moments)
    if was.histogram is not None and was.histogram.count:
        return was.histogram.distribution(was.moments)
    return None


def aligned(
    left: ExponentialHistogram, right: ExponentialHistogram
) -> tuple[ExponentialHistogram, ExponentialHistogram]:
    """Both at their common scale, with the same buckets."""
    left, right = left.copy(), right.copy()
    left.downscale(right.scale)
    right.downscale(left.scale)
    for mine, theirs in ((left, right), (right, left)):
        mine.positive = _beside(mine.positive, theirs.positive)
        mine.negative = _beside(mine.negative, theirs.negative)
    return left, right


def _beside(mine: Buckets, theirs: Buckets) -> Buckets:
    """The same with empty buckets where the other side has some.

    Not where these lie far away: between two constants may be a billion buckets. Each side is known there anyway.
    """
    if max(mine.end, theirs.end) - min(mine.offset, theirs.offset) > _SPAN:
        return mine
    return mine.plus(Buckets(theirs.offset, np.zeros_like(theirs.counts)))


def is_coarse(
    buckets: NumericDistribution,
    known_finer: Callable[[], NumericDistribution | None],
    limit: float = COARSE_BUCKET,
) -> bool:
    """Whether much of a reference lies in one bucket, spread over several values.

    A large offset does that (1,000 ± 5 beside a single 0.01): all buckets are spent on the orders of magnitude between.

    Args:
        buckets: The reference in the buckets of a histogram.
        known_finer: The same values in another form, asked for only where a bucket is full.
        limit: How much is much.
    """
    shares = _shares(buckets)
    large = np.flatnonzero(shares > limit).tolist()
    finer = known_finer() if large else None
    if finer is None:
        return False
    finer_shares = _shares(finer)
    for bucket in large:
        low = buckets.points[bucket - 1] if bucket else -np.inf
        inside = (finer.points > low) & (finer.points <= buckets.points[bucket])
        frequent_value = float(finer_shares[inside].max(initial=0.0))
        if shares[bucket] - frequent_value > limit:
            return True
    return False


def _shares(distribution: NumericDistribution) -> FloatArray:
    """Of the values up to each point and above the one before."""
    shares = distribution.cumulative / distribution.total
    shares[1:] -= shares[:-1].copy()
    return shares


def _projected(
    was: NumericSummary, parts: list[NumericDistribution], now: NumericSummary, layout: BinLayout | None
) -> NumericPair | None:
    """The parts of a window together, at the points of the reference."""
    reference = _finest(was, None) if layout is None else _reference(was, layout)
    if reference is None:
        return None
    return reference, _together(parts, now, reference.points if layout is None else layout.edges)


def _together(parts: list[NumericDistribution], now: NumericSummary, points: FloatArray) -> NumericDistribution:
    total = sum(part.total for part in parts)
    at_or_below = np.zeros(len(points))
    for part in parts:
        at_or_below += part.cdf(points) * part.total
    return NumericDistribution(
        points,
        np.rint(at_or_below).astype(np.int64),
        total,
        now.moments.minimum,
        now.moments.maximum,
        is_step=False,
        rank_error=merged_rank_error(parts),
        moments=now.moments if now.moments.count == total else None,
    )


def _common_bounds(now: NumericSummary, layout: BinLayout | None) -> FloatArray | None:
    """The edges that all bins have in common, where some are not the baseline's: mass between them may lie anywhere."""
    own = None if layout is None else layout.hash
    counted = {edges_hash: bins.layout for edges_hash, bins in now.bins.items() if bins.count}
    common: FloatArray | None = None
    for edges_hash, others in counted.items():
        if others is not None and edges_hash != own:
            common = others.edges if common is None else np.intersect1d(common, others.edges, assume_unique=True)
    if common is not None and layout is not None and own in counted:
        common = np.intersect1d(common, layout.edges, assume_unique=True)
    return common


def _at_bounds(
    was: NumericSummary, parts: list[NumericDistribution], now: NumericSummary, bounds: FloatArray
) -> NumericPair | None:
    """The parts of a window together, at bounds where each of them is known."""
    reference = _finest(was, None)
    if reference is None or not bounds.size or _is_hidden(reference, bounds):
        return None
    return reference, _together(parts, now, bounds)


def _is_hidden(reference: NumericDistribution, bounds: FloatArray) -> bool:
    """Whether most of a reference lies between two bounds, spread over several values."""
    top = np.append(bounds, max(reference.maximum, float(just_above(bounds[-1]))))
    cumulative = np.rint(reference.cdf(top) * reference.total).astype(np.int64)
    between = replace(reference, points=top, cumulative=cumulative, is_step=False)
    return is_coarse(between, lambda: reference, COARSE_BOUNDS)


def merged_rank_error(parts: Iterable[NumericDistribution]) -> float:
    """The rank error of independent parts together, as a share of all their values."""
    parts = list(parts)
    return math.hypot(*(part.rank_error * part.total for part in parts)) / sum(part.total for part in parts)

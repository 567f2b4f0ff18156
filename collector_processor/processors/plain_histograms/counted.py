"""Counts of histograms: what a later state has more than an earlier one, and what they say of a column."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.exponential import Buckets, ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.summary import FeatureSummary

Counts: TypeAlias = ExponentialHistogram | AnchoredBins

_MAX: Final = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Values:
    """Values that were counted.

    Attributes:
        total: Their sum; None when unknown.
        minimum: No value is smaller; None when nothing is known.
        maximum: No value is larger; None when nothing is known.
    """

    counts: Counts
    total: float | None = None
    minimum: float | None = None
    maximum: float | None = None


def difference(later: Values, earlier: Values) -> Values | None:
    """What came between two states of the same series; None where they do not follow each other."""
    counts = _counts_between(later.counts, earlier.counts)
    if counts is None:
        return None
    total = None
    if later.total is not None and earlier.total is not None:
        total = later.total - earlier.total
    # A range that did not grow says nothing of the values that came but that they are inside.
    return Values(counts, total, later.minimum, later.maximum)


def summary_of(key: FeatureKey, values: Values) -> FeatureSummary:
    """What is known of a column whose values came as a histogram: no more than the histogram tells.

    Its variance is not known, so that `m2` is infinite, and its range is what the outermost buckets and the extremes
    allow. The mean is exact where the sum is known.
    """
    counts = values.counts
    low, high = _range(values)
    count = counts.count
    mean = _mean(values, low, high)
    content = NumericSummary(Moments(count, mean, math.inf, low, high))
    if isinstance(counts, ExponentialHistogram):
        content.histogram = counts.copy()
    else:
        content.bins[counts.edges_hash] = counts.copy()
    return FeatureSummary(key, content, Counters(rows=count, unchecked=count))


def _counts_between(later: Counts, earlier: Counts) -> Counts | None:
    if isinstance(later, AnchoredBins):
        if not isinstance(earlier, AnchoredBins) or later.edges_hash != earlier.edges_hash:
            return None
        difference = later.counts - earlier.counts
        return AnchoredBins(later.edges_hash, difference, later.layout) if (difference >= 0).all() else None
    if not isinstance(earlier, ExponentialHistogram) or later.zero_count < earlier.zero_count:
        return None
    later, earlier = later.copy(), earlier.copy()
    # Scales only go down as a series grows; one that came down is compared as coarsely.
    if earlier.count:
        later.downscale(earlier.scale)
        earlier.downscale(later.scale)
    sides = [
        _buckets_between(now, was)
        for now, was in ((later.positive, earlier.positive), (later.negative, earlier.negative))
    ]
    positive, negative = sides
    if positive is None or negative is None:
        return None
    return ExponentialHistogram(later.scale, later.zero_count - earlier.zero_count, positive, negative)


def _buckets_between(later: Buckets, earlier: Buckets) -> Buckets | None:
    earlier = earlier.trimmed()
    if not len(earlier.counts):
        return later.trimmed()
    # Trimmed, its first and last buckets hold something, which the later ones must hold as well.
    if earlier.offset < later.offset or earlier.end > later.end:
        return None
    counts = later.counts.copy()
    counts[earlier.offset - later.offset : earlier.end - later.offset] -= earlier.counts
    return Buckets(later.offset, counts).trimmed() if (counts >= 0).all() else None


def _range(values: Values) -> tuple[float, float]:
    """Bounds that no value lies beyond, as near as they are known; finite."""
    lowest, highest = _outermost(values.counts)
    low, high = lowest[0], highest[1]
    # An extreme that no bucket in use can hold is not of these values.
    if values.minimum is not None:
        low = min(max(low, values.minimum), lowest[1])
    if values.maximum is not None:
        high = max(min(high, values.maximum), highest[0])
    return max(low, -_MAX), min(high, _MAX)


def _outermost(counts: Counts) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the smallest values lie at least and at most, and where the largest ones do."""
    if isinstance(counts, AnchoredBins):
        assert counts.layout is not None
        edges = np.concatenate(([-math.inf], counts.layout.edges, [math.inf]))
        used = np.flatnonzero(counts.counts)
        first, last = int(used[0]), int(used[-1])
        return (float(edges[first]), float(edges[first + 1])), (float(edges[last]), float(edges[last + 1]))
    distribution = counts.distribution()
    points: FloatArray = np.concatenate(([-math.inf], distribution.points, [math.inf]))
    used = np.flatnonzero(np.diff(distribution.cumulative, prepend=0, append=distribution.total))
    first, last = int(used[0]), int(used[-1])
    return (float(points[first]), float(points[first + 1])), (float(points[last]), float(points[last + 1]))


def _mean(values: Values, low: float, high: float) -> float:
    count = values.counts.count
    if values.total is not None and low <= values.total / count <= high:
        return values.total / count
    # Of the middles of the buckets: a place to stand, which no test may lean on, for the variance is unknown.
    counts = values.counts
    distribution = counts.distribution()
    ends = np.clip(np.concatenate(([low], distribution.points, [high])), low, high)
    # Of an open end nothing is known but where it begins.
    ends[0], ends[-1] = max(low, ends[1]) if low == -_MAX else low, min(high, ends[-2]) if high == _MAX else high
    masses = np.diff(distribution.cumulative, prepend=0, append=distribution.total) / distribution.total
    mean = float(np.dot(masses, ends[:-1] / 2 + ends[1:] / 2))
    return min(max(mean, low), high)

"""Building an exponential histogram from sorted batches, by one binary search per bucket and batch."""

from __future__ import annotations

import numpy as np

from otel_ml.sketch.distribution import just_below
from otel_ml.sketch.exponential import (
    MAX_SCALE,
    Buckets,
    ExponentialHistogram,
    bucket_bounds,
    bucket_index,
    excess,
)
from otel_ml.sketch.sketch import CountArray, FloatArray

_INNER_MARGIN, _OUTER_MARGIN = 24, 8
"""Buckets kept ready beyond the smallest and the largest magnitude, so that a new extreme seldom means new bounds.

More of them towards zero, which values close in on as they become more, octave after octave.
"""

_NONE = (0, -1)


class BucketGrid:
    """Counts increasing values between the bounds of a histogram's buckets.

    It knows how many values were at or below each bound, so that a batch costs one search and one addition. A batch
    that reaches beyond the bounds shows in its counts, and the bounds are then cut anew, at a lower scale if need be.
    What comes out is what `ExponentialHistogram.update` would have counted, bit for bit.
    """

    __slots__ = ("_at_or_below", "_bounds", "_closed", "_first_negative", "_first_positive", "_scale", "_zero")

    _at_or_below: CountArray
    _bounds: FloatArray

    def __init__(self) -> None:
        # What was counted between earlier bounds.
        self._closed = ExponentialHistogram()
        self._cut(MAX_SCALE, negative=_NONE, positive=_NONE)

    def update_sorted(self, values: FloatArray, /) -> None:
        """Count finite, increasing values, shape (n,)."""
        at_or_below = values.searchsorted(self._bounds, side="right")
        zero, count = self._zero, at_or_below.item
        if count(0) or count(-1) != values.size or count(zero) > count(zero - 1) or count(zero + 2) > count(zero + 1):
            self._widen(values)
            at_or_below = values.searchsorted(self._bounds, side="right")
        self._at_or_below += at_or_below

    def add_repeated(self, value: float, count: int, /) -> None:
        """Count one finite value many times."""
        if value == 0.0:
            self._closed.zero_count += count
        else:
            self._closed.update_weighted(np.array([value]), np.array([count], np.int64))

    def histogram(self) -> ExponentialHistogram:
        """The histogram of all values so far."""
        if not self._at_or_below[-1]:
            return self._closed.copy()
        counts, zero = np.diff(self._at_or_below), self._zero
        histogram = ExponentialHistogram(
            self._scale,
            zero_count=int(counts[zero]),
            positive=Buckets(self._first_positive, counts[zero + 2 :]),
            negative=Buckets(self._first_negative, counts[: zero - 1][::-1]),
        )
        histogram.merge(self._closed)
        return histogram

    def _widen(self, values: FloatArray) -> None:
        """Cut bounds that hold these values and all before."""
        self._closed = closed = self.histogram()
        scale = closed.scale if len(closed.negative.counts) or len(closed.positive.counts) else MAX_SCALE
        negative_end, positive_start = int(values.searchsorted(0.0)), int(values.searchsorted(0.0, side="right"))
        negative = _reach(closed.negative, -values[:negative_end][::-1], scale)
        positive = _reach(closed.positive, values[positive_start:], scale)
        by = max(excess(*negative), excess(*positive))
        self._cut(scale - by, negative=_lowered(negative, by), positive=_lowered(positive, by))

    def _cut(self, scale: int, *, negative: tuple[int, int], positive: tuple[int, int]) -> None:
        below_zero = just_below(np.zeros(1))
        # Without buckets a sign still has one bound, next to zero: the checks for values beyond it then need no case.
        lower, upper = below_zero, np.zeros(1)
        if negative != _NONE:
            lower = just_below(-bucket_bounds(scale, negative[0], negative[1] + 1)[::-1])
        if positive != _NONE:
            upper = bucket_bounds(scale, positive[0], positive[1] + 1)
        self._scale, self._first_negative, self._first_positive = scale, negative[0], positive[0]
        self._zero = len(lower)
        self._bounds = np.concatenate((lower, below_zero, [0.0], upper))
        self._at_or_below = np.zeros(len(self._bounds), dtype=np.int64)


def _reach(buckets: Buckets, magnitudes: FloatArray, scale: int) -> tuple[int, int]:
    """The first and the last bucket that buckets and increasing magnitudes need together."""
    ends = [bucket_index(float(magnitude), scale) for magnitude in magnitudes[[0, -1]]] if magnitudes.size else []
    if len(buckets.counts):
        ends += [buckets.offset, buckets.end - 1]
    return (min(ends), max(ends)) if ends else _NONE


def _lowered(reach: tuple[int, int], by: int) -> tuple[int, int]:
    return reach if reach == _NONE else ((reach[0] >> by) - _INNER_MARGIN, (reach[1] >> by) + _OUTER_MARGIN)

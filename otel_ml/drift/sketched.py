"""The histograms of a baseline beside those of a window, in matrices: for servers that know no baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otel_ml.drift.columns import Columns, MomentPairs, Pair
from otel_ml.drift.comparison import COARSE_BUCKET, distributions
from otel_ml.drift.functions import Functions
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.distribution import just_below
from otel_ml.sketch.exponential import MAX_BUCKETS, ExponentialHistogram, bounds_at
from otel_ml.sketch.feature import FeatureKey
from otel_ml.sketch.histogram_columns import NEGATIVE, POSITIVE, HistogramColumns, common_buckets
from otel_ml.sketch.moment_columns import MomentColumns
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.sketch import CountArray, FloatArray
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.summary import FeatureSummary, NumericSummary

_REMEMBERED = 8
_MAX = float(np.finfo(np.float64).max)
_BELOW_ZERO = float(just_below(np.float64(0.0)))


@dataclass(frozen=True, slots=True, eq=False)
class _Stack:
    """References of the columns of one kind of block, in matrices."""

    keys: tuple[FeatureKey, ...]
    rows: npt.NDArray[np.intp]
    histograms: HistogramColumns
    moments: MomentColumns


class SketchedReferences:
    """A baseline's histograms, ready to be compared with the windows of its model.

    Args:
        features: The baseline's summaries.
        layouts: The bins it cut.
    """

    def __init__(self, features: Mapping[FeatureKey, FeatureSummary], layouts: Mapping[FeatureKey, BinLayout]) -> None:
        self._features = features
        self._layouts = layouts
        self._stacks: list[_Stack] = []

    def columns(self, block: SketchedColumns, at_least: int = 1) -> tuple[list[FeatureKey], Columns]:
        """The columns of a block that compare bucket by bucket, and that have at least so many values.

        They say what `comparison.distributions` says of them. Left out is what needs a closer look, column by column: a
        sign that only one side has, a range that hardly overlaps, a bucket that hides most of the values.
        """
        stack = self._stack(block.keys)
        was, now = stack.histograms, block.histograms.rows(stack.rows)
        scales = np.minimum(was.scales, now.scales)
        offsets, lengths = common_buckets((was, now), scales)
        is_chosen = (now.totals >= max(1, at_least)) & _is_alike(was, now) & _is_near(scales, offsets, lengths)
        chosen = np.flatnonzero(is_chosen)
        functions = _functions(was.rows(chosen), now.rows(chosen), scales[chosen], offsets[chosen], lengths[chosen])
        masses = np.diff(functions.reference, axis=1, prepend=0.0)
        is_fine = ~(masses > COARSE_BUCKET).any(axis=1)
        if not is_fine.all():
            chosen = chosen[is_fine]
            functions = Functions._make(values[is_fine] for values in functions)
        rows = stack.rows[chosen].tolist()
        columns = Columns.of_matrices(
            functions,
            MomentPairs(*_moments(was, stack.moments, chosen), *_moments(now, block.moments.rows(stack.rows), chosen)),
            was.totals[chosen].astype(np.float64),
            now.totals[chosen].astype(np.float64),
            make_pairs=lambda: self._pairs(block, rows),
            of_references={},
        )
        return [block.keys[row] for row in rows], columns

    def _stack(self, keys: tuple[FeatureKey, ...]) -> _Stack:
        for stack in self._stacks:
            if stack.keys == keys:
                return stack
        found = [(row, *known) for row, key in enumerate(keys) if (known := self._reference(key)) is not None]
        stack = _Stack(
            keys,
            np.array([row for row, _, _ in found], dtype=np.intp),
            HistogramColumns.of([histogram for _, histogram, _ in found]),
            MomentColumns.of(moments for _, _, moments in found),
        )
        self._stacks = [stack, *self._stacks[: _REMEMBERED - 1]]
        return stack

    def _reference(self, key: FeatureKey) -> tuple[ExponentialHistogram, Moments] | None:
        """The histogram of a column that the baseline read as numbers, too."""
        content = self._features[key].content if key in self._features else None
        if not isinstance(content, NumericSummary) or content.histogram is None or not content.histogram.count:
            return None
        return content.histogram, content.moments

    def _pairs(self, block: SketchedColumns, rows: Sequence[int]) -> list[Pair]:
        summaries = block.summaries()
        pairs = []
        for row in rows:
            key = block.keys[row]
            pair = distributions(self._features[key], summaries[row], self._layouts.get(key))
            assert pair is not None
            pairs.append(pair)
        return pairs


def _is_alike(was: HistogramColumns, now: HistogramColumns) -> npt.NDArray[np.bool_]:
    """(columns,) whether both sides have zeros or none does, and positive and negative values likewise."""
    is_used = (was.lengths > 0) == (now.lengths > 0)
    is_alike: npt.NDArray[np.bool_] = is_used.all(axis=1) & ((was.zero_counts > 0) == (now.zero_counts > 0))
    return is_alike


def _is_near(scales: CountArray, offsets: CountArray, lengths: CountArray) -> npt.NDArray[np.bool_]:
    """(columns,) whether all buckets of both sides are few enough for a matrix, and have bounds within the doubles."""
    ends = _bounds(scales, np.stack((offsets, offsets + lengths), axis=2))
    smallest, largest = ends.min(axis=(1, 2)), ends.max(axis=(1, 2))
    is_near: npt.NDArray[np.bool_] = (smallest > 0.0) & (largest < _MAX) & (lengths.max(axis=1) <= 2 * MAX_BUCKETS)
    return is_near


def _functions(
    was: HistogramColumns, now: HistogramColumns, scales: CountArray, offsets: CountArray, lengths: CountArray
) -> Functions:
    """Both distribution functions at the bounds of all buckets, as `ExponentialHistogram.distribution` has them."""
    steps = np.arange(int(lengths.max(initial=0)) + 1)
    borders = offsets[:, :, np.newaxis] + steps
    # From the largest magnitude on, so that points increase.
    borders[:, NEGATIVE] = (offsets + lengths)[:, NEGATIVE, np.newaxis] - steps
    bounds = _bounds(scales, borders)
    rows = len(scales)
    points = np.concatenate(
        (just_below(-bounds[:, NEGATIVE]), np.broadcast_to((_BELOW_ZERO, 0.0), (rows, 2)), bounds[:, POSITIVE]), axis=1
    )
    is_bound = (steps <= lengths[:, :, np.newaxis]) & (lengths > 0)[:, :, np.newaxis]
    has_zeros = np.broadcast_to((was.zero_counts > 0)[:, np.newaxis], (rows, 2))
    is_point = np.concatenate((is_bound[:, NEGATIVE], has_zeros, is_bound[:, POSITIVE]), axis=1)
    # Points of each row close up, and its last one follows again and again.
    counts = is_point.sum(axis=1)
    order = np.minimum(np.arange(int(counts.max(initial=0))), counts[:, np.newaxis] - 1)
    order += (counts.cumsum() - counts)[:, np.newaxis]
    places = np.flatnonzero(is_point).take(order)
    nothing = np.zeros(rows)
    return Functions(
        points.reshape(-1).take(places),
        _shares(was, scales, borders).reshape(-1).take(places),
        _shares(now, scales, borders).reshape(-1).take(places),
        np.zeros(rows, dtype=np.bool_),
        nothing,
        nothing,
    )


def _shares(histograms: HistogramColumns, scales: CountArray, borders: CountArray) -> FloatArray:
    """The share of the values at or below each point: negative bounds, zero, positive bounds."""
    below = histograms.counts_below(scales, borders)
    negative, zeros = histograms.side_totals[:, NEGATIVE, np.newaxis], histograms.zero_counts[:, np.newaxis]
    cumulative = np.concatenate(
        (negative - below[:, NEGATIVE], negative, negative + zeros, negative + zeros + below[:, POSITIVE]), axis=1
    )
    return cumulative / histograms.totals[:, np.newaxis]


def _bounds(scales: CountArray, indexes: CountArray) -> FloatArray:
    scales = scales[:, np.newaxis, np.newaxis]
    return bounds_at(np.maximum(scales, 0), np.maximum(-scales, 0), indexes)


def _moments(
    histograms: HistogramColumns, moments: MomentColumns, chosen: npt.NDArray[np.intp]
) -> tuple[FloatArray, FloatArray]:
    """Mean and m2, where they are of the same values."""
    is_known = (moments.totals == histograms.totals)[chosen]
    return np.where(is_known, moments.mean[chosen], np.nan), np.where(is_known, moments.m2[chosen], np.nan)

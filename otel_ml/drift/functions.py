"""Two distribution functions at the points where both are known, for many pairs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.sketch import FloatArray

NumericPair = tuple[NumericDistribution, NumericDistribution]


class Functions(NamedTuple):
    """Pairs of distribution functions at points where both are known.

    Rows are pairs. One that has fewer points than the longest repeats its last one, which adds neither width nor mass.

    Attributes:
        points: (pairs, points) increasing; equal neighbours are possible.
        reference: (pairs, points) share of the reference ≤ each point.
        current: (pairs, points) share of the current window ≤ each point.
        is_step: (pairs,) whether both are constant between the points; if not, mass may lie anywhere between.
        error_reference: (pairs,) 99 % bound on the error of `reference`, 0 for counts.
        error_current: (pairs,) likewise of `current`.
    """

    points: FloatArray
    reference: FloatArray
    current: FloatArray
    is_step: npt.NDArray[np.bool_]
    error_reference: FloatArray
    error_current: FloatArray


def functions_of(pairs: Sequence[NumericPair]) -> Functions:
    """Both distribution functions of each pair at all points where both are known.

    A step function is known everywhere, a histogram on the borders of its bins, in empty ones, and outside its range.
    Two histograms without a common border leave nothing but to interpolate between all the borders.
    """
    points: list[FloatArray] = []
    shares: list[tuple[FloatArray, FloatArray]] = []
    for reference, current in pairs:
        if reference.points is current.points or np.array_equal(reference.points, current.points):
            points.append(reference.points)
            shares.append((reference.cumulative / reference.total, current.cumulative / current.total))
        else:
            common = _common_points(reference, current)
            points.append(common)
            shares.append((_shares(reference, common), _shares(current, common)))
    return Functions(
        _stacked(points),
        _stacked([reference for reference, _ in shares]),
        _stacked([current for _, current in shares]),
        np.array([reference.is_step and current.is_step for reference, current in pairs], dtype=np.bool_),
        np.array([reference.rank_error for reference, _ in pairs], dtype=np.float64),
        np.array([current.rank_error for _, current in pairs], dtype=np.float64),
    )


def _stacked(rows: Sequence[FloatArray]) -> FloatArray:
    """Rows of unequal length as a matrix; short ones repeat their last value."""
    longest = max(map(len, rows), default=0)
    if all(len(row) == longest for row in rows):
        return np.array(rows, dtype=np.float64).reshape(len(rows), longest)
    matrix = np.empty((len(rows), longest))
    for position, row in enumerate(rows):
        matrix[position, : len(row)] = row
        matrix[position, len(row) :] = row[-1]
    return matrix


def _common_points(reference: NumericDistribution, current: NumericDistribution) -> FloatArray:
    points = np.concatenate((reference.points, current.points))
    points.sort(kind="stable")
    if reference.is_step and current.is_step:
        return points
    common = points[_is_known(reference, points) & _is_known(current, points)]
    return common if common.size else points


def _is_known(distribution: NumericDistribution, at: FloatArray) -> npt.NDArray[np.bool_]:
    if distribution.is_step:
        return np.ones(len(at), dtype=np.bool_)
    points = distribution.points
    # The bin of each point; a function is flat, so known, all through an empty one.
    place = np.searchsorted(points, at)
    is_empty = np.diff(distribution.cumulative, prepend=0, append=distribution.total) == 0
    is_border = points[np.minimum(place, len(points) - 1)] == at
    known: npt.NDArray[np.bool_] = is_border | is_empty[place]
    return known | (at < distribution.minimum) | (at >= distribution.maximum)


def _shares(distribution: NumericDistribution, at: FloatArray) -> FloatArray:
    shares = distribution.cdf(at)
    if distribution.is_step:
        return shares
    # A bin reaches beyond the extreme value in it, the distribution function does not.
    shares[at < distribution.minimum] = 0.0
    shares[at >= distribution.maximum] = 1.0
    return shares

"""The central part of a reference's range, in which distances between values are measured."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import Scores
from otel_ml.drift.functions import Functions
from otel_ml.drift.quadratic import pooled_shares, row_sums
from otel_ml.drift.significance import kolmogorov_smirnov_p_values
from otel_ml.sketch.sketch import FloatArray

TAIL = 0.005
"""Share of the reference at either end that is moved to where the rest begins: in a heavy tail, or after a unit error,
a few values are otherwise all that a distance sees."""

NO_SPREAD = 1e-14
"""Of the largest value: the bin of a constant is as narrow as a double allows, and still no spread."""

_SQUARES_VANISH = 1e-150


def winsorised(functions: Functions, tail: float) -> FloatArray:
    """The points, those in the reference's two tails moved to where the tails begin; scaled to lie in [-1, 1].

    Scaled, so that squares of values near 1e308 or 1e-308 neither overflow nor vanish.
    """
    shares, last = functions.reference, functions.points.shape[1] - 1
    low = np.minimum((shares < tail).sum(axis=1), last)
    # Nobody knows where in its last, wide bin the mass of a tail lies: stop before it.
    high = (shares <= 1 - tail).sum(axis=1) - 1
    is_left_with_nothing = high <= low
    if functions.is_step.any() or is_left_with_nothing.any():
        up_to_tail = np.minimum((shares < 1 - tail).sum(axis=1), last)
        before_tail = np.maximum(0, (shares <= tail).sum(axis=1) - 1)
        high = np.where(functions.is_step | is_left_with_nothing, up_to_tail, high)
        low = np.where(is_left_with_nothing & ~functions.is_step, before_tail, low)
    first, final = (np.take_along_axis(functions.points, at[:, np.newaxis], axis=1) for at in (low, high))
    points = np.minimum(np.maximum(functions.points, first), np.maximum(first, final))
    scale = np.maximum(np.abs(points[:, 0]), np.abs(points[:, -1]))
    scaled: FloatArray = points / np.where(scale > 0.0, scale, 1.0)[:, np.newaxis]
    return scaled


def standard_deviation(points: FloatArray, shares: FloatArray, is_step: npt.NDArray[np.bool_]) -> FloatArray:
    """Of values with these distribution functions, (pairs,); between points, they are taken to be spread evenly.

    0 for a constant.
    """
    # From the first point on, so that an offset does not cancel.
    distances = points - points[:, :1]
    masses = np.diff(shares, axis=1)
    centres = distances[:, 1:]
    if not is_step.all():
        widths = np.where(is_step[:, np.newaxis], 0.0, np.diff(distances, axis=1))
        centres = centres - widths / 2
        within = row_sums(masses, np.square(widths)) / 12
    else:
        within = np.zeros(len(points))
    above, furthest = 1.0 - shares[:, -1], distances[:, -1]
    weighted = masses * centres
    mean = weighted.sum(axis=1) + above * furthest
    variance = row_sums(weighted, centres) + above * np.square(furthest) + within - np.square(mean)
    deviation: FloatArray = np.sqrt(np.maximum(0.0, variance))
    return np.where(deviation < NO_SPREAD, 0.0, deviation)


def is_constant_in_its_bin(columns: Columns) -> npt.NDArray[np.bool_]:
    """(columns,) whether the moments say that a reference has one value only: the bucket around it has a width."""
    moments = columns.moments
    # Squares of smaller ones vanish.
    is_sure = np.abs(moments.reference_mean) > _SQUARES_VANISH
    constant: npt.NDArray[np.bool_] = is_sure & (moments.reference_m2 == 0) & ~columns.functions.is_step
    return constant


def widths_at(points: FloatArray, is_step: npt.NDArray[np.bool_]) -> FloatArray:
    """The stretch of the axis that each point stands for in an integral of differences, (pairs, points)."""
    widths = np.zeros_like(points)
    np.subtract(points[:, 1:], points[:, :-1], out=widths[:, :-1])
    if is_step.all():
        return widths
    # Half of what is to the right, half of what is to the left.
    halves = widths / 2
    halves[:, 1:] += widths[:, :-1] / 2
    return np.where(is_step[:, np.newaxis], widths, halves)


def scores_with_constants(
    columns: Columns, is_constant: npt.NDArray[np.bool_], score: FloatArray, p_value: FloatArray
) -> Scores:
    """As given; where a reference has no spread, the share of values that moved and the Kolmogorov-Smirnov test."""
    if not is_constant.any():
        return Scores(score, p_value)
    functions = columns.functions
    difference = functions.reference - functions.current
    moved = np.abs(np.diff(difference, axis=1, prepend=0.0, append=0.0)).sum(axis=1) / 2
    n, m = columns.n, columns.m
    shares = pooled_shares(functions, n, m)
    by_rank = kolmogorov_smirnov_p_values(np.abs(difference).max(axis=1), n, m, columns.noise, shares)
    return Scores(np.where(is_constant, moved, score), np.where(is_constant, by_rank, p_value))

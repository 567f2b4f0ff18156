"""What changed about the shape of a column: where it lies, how wide, how lopsided, and at which of its quantiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.sketch import FloatArray

RANKS: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the quantiles that are compared."""


@dataclass(frozen=True, slots=True)
class ShapeChange:
    """How a current window differs from its reference, in numbers that a person can picture.

    No test and no alarm: this explains a drift that others have found. A unit is one standard deviation of the
    reference; where it is a constant, one of the current window; where both are, one difference between them.

    Attributes:
        mean: By how many units the mean moved; NaN where it is not known.
        log_spread: Logarithm of the ratio of the standard deviations, 0.1 for a tenth more; NaN where they are not
            known, infinite where one of the two is 0.
        skewness: By how much Bowley's skewness changed, (Q₁ + Q₃ - 2 Q₂) / (Q₃ - Q₁), which is between -1 and 1
            (Bowley, "Elements of Statistics", 4th ed., 1920); 0 for quartiles that coincide.
        quantiles: (5,) by how many units the quantiles at 5, 25, 50, 75 and 95 % moved.
    """

    mean: float
    log_spread: float
    skewness: float
    quantiles: tuple[float, ...]


def shape_change(reference: NumericDistribution, current: NumericDistribution) -> ShapeChange:
    """How `current` differs in shape from `reference`, neither of them empty."""
    (mean_before, deviation_before), (mean_after, deviation_after) = (_moments(side) for side in (reference, current))
    before, after = _quantiles(reference), _quantiles(current)
    unit = deviation_before or deviation_after or abs(mean_after - mean_before) or 1.0
    if not math.isfinite(unit):
        # Not known, or beyond the range of doubles: what the quartiles of a normal distribution would tell.
        unit = float(before[3] - before[1]) / 1.349 or 1.0
    return ShapeChange(
        (mean_after - mean_before) / unit,
        _log_ratio(deviation_before, deviation_after),
        _bowley(after) - _bowley(before),
        tuple((after / unit - before / unit).tolist()),
    )


def _moments(distribution: NumericDistribution) -> tuple[float, float]:
    """Mean and standard deviation; NaN where they are not known."""
    if distribution.moments is not None:
        moments = distribution.moments
        return moments.mean, math.sqrt(moments.m2 / max(1, moments.count - 1))
    if not distribution.is_step:
        return math.nan, math.nan
    masses = np.diff(distribution.cumulative, prepend=0) / distribution.total
    mean = float(np.dot(distribution.points, masses))
    with np.errstate(over="ignore"):
        variance = float(np.dot(np.square(distribution.points - mean), masses))
    return mean, math.sqrt(variance * distribution.total / max(1, distribution.total - 1))


def _log_ratio(before: float, after: float) -> float:
    if before == after:
        return 0.0
    if before == 0 or after == 0:
        return math.inf if before == 0 else -math.inf
    return math.log(after / before)


def _quantiles(distribution: NumericDistribution) -> FloatArray:
    """At `RANKS`; within a bin, mass is taken to be spread evenly."""
    ranks = np.array(RANKS)
    low, high = distribution.minimum, distribution.maximum
    if distribution.is_step or low == high:
        return distribution.quantiles(ranks)
    inside = distribution.points[(distribution.points > low) & (distribution.points < high)]
    at = np.concatenate(([low], inside, [high]))
    shares = np.concatenate(([0.0], distribution.cdf(inside), [1.0]))
    quantiles: FloatArray = np.interp(ranks, shares, at)
    return quantiles


def _bowley(quantiles: FloatArray) -> float:
    _, first, second, third, _ = (quantiles / 2).tolist()
    width = third - first
    return 0.0 if width == 0 else ((first - second) + (third - second)) / width

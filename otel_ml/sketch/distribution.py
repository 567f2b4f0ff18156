"""What a detector sees of a summary, whichever sketch is behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from otel_ml.sketch.moments import Moments
from otel_ml.sketch.sketch import CountArray, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class NumericDistribution:
    """A distribution function known at some points.

    Attributes:
        points: (m,) strictly increasing, finite.
        cumulative: (m,) how many values are ≤ each point.
        total: How many values there are; `total - cumulative[-1]` lie above the last point.
        minimum: The smallest value, NaN when there is none.
        maximum: The largest value, NaN when there is none.
        is_step: True when all mass sits on the points (exact counts, quantile samples), so that the function is known
            everywhere. False when a bin's mass may lie anywhere in it; between points it is then interpolated.
        rank_error: Bound on the error of `cumulative / total`, 0 for counts (99 % confidence for sampling sketches).
        moments: Of the same values, where they are known beyond what the function tells.
    """

    points: FloatArray
    cumulative: CountArray
    total: int
    minimum: float
    maximum: float
    is_step: bool
    rank_error: float = 0.0
    moments: Moments | None = None

    def cdf(self, at: FloatArray) -> FloatArray:
        """The share of values ≤ each point of `at`, shape as `at`."""
        if self.total == 0:
            return np.full(np.shape(at), np.nan)
        if self.is_step:
            before = np.searchsorted(self.points, at, side="right")
            return np.concatenate(([0], self.cumulative))[before] / self.total
        if self.minimum == self.maximum:
            return (np.asarray(at) >= self.minimum).astype(np.float64)
        return _interpolated(np.asarray(at, np.float64), *self._bounded(), float(self.total)) / self.total

    def mass(self, edges: FloatArray) -> FloatArray:
        """Shares of the k+1 bins (-inf, e₀], (e₀, e₁], …, (eₖ₋₁, inf) that k increasing edges cut; sums to 1."""
        return np.diff(self.cdf(edges), prepend=0.0, append=1.0)

    def quantiles(self, ranks: FloatArray) -> FloatArray:
        """For each rank in [0, 1] the smallest known point with at least that share of the values at or below it."""
        # The hair less absorbs the rounding of a product such as 0.7 · 10, which must not ask for an eighth value.
        needed = np.asarray(ranks) * self.total * (1.0 - 1e-12)
        position = np.searchsorted(self.cumulative, needed, side="left")
        points = np.append(self.points, self.maximum)[np.minimum(position, len(self.points))]
        clipped: FloatArray = np.clip(points, self.minimum, self.maximum)
        return clipped

    def _bounded(self) -> tuple[FloatArray, FloatArray]:
        """Points and cumulative counts to interpolate between, closed off at the extremes."""
        points, cumulative = self.points.copy(), self.cumulative.astype(np.float64)
        # All mass lies above this point, which may be the bound of an empty bin, or lie in the first bin in use.
        floor = max(float(just_below(np.float64(self.minimum))), -np.finfo(np.float64).max)
        start = int(np.searchsorted(cumulative, 0.0, side="right"))
        if start > 0:
            points[start - 1] = max(points[start - 1], floor)
        elif floor < points[0]:
            points, cumulative = np.append(floor, points), np.append(0.0, cumulative)
        end = int(np.searchsorted(cumulative, self.total, side="left"))
        if end == len(points):
            if self.maximum > points[-1]:
                points, cumulative = np.append(points, self.maximum), np.append(cumulative, float(self.total))
        elif end > 0 and self.maximum > points[end - 1]:
            points[end] = min(points[end], self.maximum)
        return points, cumulative


def _interpolated(at: FloatArray, points: FloatArray, cumulative: FloatArray, total: float) -> FloatArray:
    """The count at or below each point of `at`.

    By the fraction of the way between two points, not by a slope as numpy.interp does: between subnormal points a slope
    is infinite.
    """
    after = points.searchsorted(at, side="right")
    right = np.minimum(after, len(points) - 1)
    left = np.maximum(after - 1, 0)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        start, width = points[left], points[right] - points[left]
        fraction = np.where(
            np.isinf(width), (at / 2 - start / 2) / (points[right] / 2 - start / 2), (at - start) / width
        )
    # Beyond either end left and right are the same point, and the fraction means nothing.
    between = cumulative[left] + np.where(left == right, 0.0, fraction) * (cumulative[right] - cumulative[left])
    result: FloatArray = np.where(after == 0, 0.0, np.where(at > points[-1], total, between))
    return result


@dataclass(frozen=True, slots=True)
class CategoricalDistribution:
    """Counts by category.

    Attributes:
        counts: Category → count.
        other: Values that no longer have a name of their own (a heavy-hitters summary's remainder).
        error_bound: By how much any count, that of an absent category included, may be too low.
    """

    counts: Mapping[str, int]
    other: int = 0
    error_bound: int = 0

    @property
    def total(self) -> int:
        """How many values there are."""
        return sum(self.counts.values()) + self.other


Distribution: TypeAlias = NumericDistribution | CategoricalDistribution


def just_below(values: FloatArray | np.float64) -> FloatArray:
    """The next smaller double of each value: turns [a, b) into (a - ε, b - ε]; -inf below the smallest double."""
    with np.errstate(over="ignore", under="ignore"):
        below: FloatArray = np.nextafter(values, -np.inf)
    return below


def just_above(values: FloatArray | np.float64) -> FloatArray:
    """The next larger double of each value; inf above the largest double."""
    with np.errstate(over="ignore", under="ignore"):
        above: FloatArray = np.nextafter(values, np.inf)
    return above

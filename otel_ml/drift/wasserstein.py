"""Wasserstein distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.alignment import Functions, functions
from otel_ml.drift.detector import DriftResult, require_number
from otel_ml.sketch.distribution import Distribution, NumericDistribution
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class Wasserstein:
    """How far values moved on average, in standard deviations of the reference (earth mover's distance).

    W₁ = ∫ |F(x) - G(x)| dx, in closed form over the points where both functions are known (Vallender, 1974). Values are
    first winsorised to the reference's central 99 %, without which a few values of a heavy tail are all one sees; the
    standard deviation is that of the winsorised reference. With a shift of the whole distribution by s standard
    deviations the score is s. There is no p-value: the null distribution depends on the data's own.

    A reference without spread (a constant) gives no unit to measure distances in. The score then is the share of values
    that moved.

    Args:
        threshold: Score above which the feature counts as drifted.
        tail: Share of the reference that is winsorised at either end.
    """

    name: ClassVar[str] = "wasserstein"

    threshold: float = 0.1
    tail: float = 0.005

    def __post_init__(self) -> None:
        require_number("wasserstein::threshold", self.threshold, above=0)
        require_number("wasserstein::tail", self.tail, above=0, at_most=0.25)

    def applies_to(self, distribution: Distribution) -> bool:
        """Numeric values: categories have no distance."""
        return isinstance(distribution, NumericDistribution)

    def compare(self, reference: Distribution, current: Distribution) -> DriftResult:
        """The distance in standard deviations."""
        assert isinstance(reference, NumericDistribution)
        assert isinstance(current, NumericDistribution)
        score = _normalised_distance(functions(reference, current), self.tail)
        return DriftResult(self.name, score, self.threshold, None, reference.total, current.total)


def _normalised_distance(aligned: Functions, tail: float) -> float:
    low, high = _central_positions(aligned, tail)
    points = aligned.points[low : high + 1]
    # Scaled, so that squares of values near 1e308 or 1e-308 neither overflow nor vanish.
    scale = max(abs(float(points[0])), abs(float(points[-1]))) or 1.0
    points = points / scale
    expected, found = aligned.reference[low : high + 1], aligned.current[low : high + 1]
    spread = _standard_deviation(points, expected, is_step=aligned.is_step) if low < high else 0.0
    # The bin of a constant is as narrow as a double allows, and still no spread.
    if spread < 1e-14:
        masses = np.diff(aligned.reference - aligned.current, prepend=0.0, append=0.0)
        return float(np.abs(masses).sum()) / 2
    return _area(points, expected - found, is_step=aligned.is_step) / spread


def _central_positions(aligned: Functions, tail: float) -> tuple[int, int]:
    """First and last position of what is left of the points between the reference's two tails."""
    shares, last = aligned.reference, len(aligned.points) - 1
    low = min(int(shares.searchsorted(tail)), last)
    high = min(int(shares.searchsorted(1 - tail)), last)
    if aligned.is_step:
        return low, high
    # Nobody knows where in its last, wide bin the mass of a tail lies: stop before it, unless nothing would be left.
    inner = int(shares.searchsorted(1 - tail, side="right")) - 1
    if inner > low:
        return low, inner
    return max(0, int(shares.searchsorted(tail, side="right")) - 1), high


def _standard_deviation(points: FloatArray, shares: FloatArray, *, is_step: bool) -> float:
    """Of the values winsorised to the points' range; between points, values are taken to be spread evenly."""
    masses = shares[1:] - shares[:-1]
    masses[-1:] = 1 - shares[-2:-1] if is_step else masses[-1:]
    centres = points[1:] if is_step else (points[1:] + points[:-1]) / 2
    rest = 0.0 if is_step else float(1 - shares[-1])
    first, last = float(points[0]), float(points[-1])
    mean = float(shares[0]) * first + float(np.dot(masses, centres)) + rest * last
    variance = float(shares[0]) * (first - mean) ** 2 + float(np.dot(masses, np.square(centres - mean)))
    if not is_step:
        variance += rest * (last - mean) ** 2 + float(np.dot(masses, np.square(points[1:] - points[:-1]))) / 12
    return math.sqrt(variance)


def _area(points: FloatArray, difference: FloatArray, *, is_step: bool) -> float:
    """∫ |difference| between the first and the last point."""
    widths = points[1:] - points[:-1]
    left, right = np.abs(difference[:-1]), np.abs(difference[1:])
    if is_step:
        return float(np.dot(left, widths))
    heights = (left + right) / 2
    crosses = difference[:-1] * difference[1:] < 0
    if crosses.any():
        # A straight line that changes its sign leaves two triangles rather than a trapezoid.
        heights[crosses] = (left[crosses] ** 2 + right[crosses] ** 2) / (2 * (left[crosses] + right[crosses]))
    return float(np.dot(heights, widths))

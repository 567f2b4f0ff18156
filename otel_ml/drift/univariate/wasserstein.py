"""Wasserstein distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.functions import Functions
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class Wasserstein(DriftDetector):
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
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = False

    threshold: float = 0.1
    tail: float = 0.005

    def __post_init__(self) -> None:
        require_number("wasserstein::threshold", self.threshold, above=0)
        require_number("wasserstein::tail", self.tail, above=0, at_most=0.25)

    def measure(self, columns: Columns) -> Scores:
        """The distances in standard deviations."""
        return Scores(_normalised_distances(columns.functions, self.tail), None)


def _normalised_distances(aligned: Functions, tail: float) -> FloatArray:
    points = _winsorised(aligned, tail)
    # Scaled, so that squares of values near 1e308 or 1e-308 neither overflow nor vanish.
    scale = np.maximum(np.abs(points[:, 0]), np.abs(points[:, -1]))
    points = points / np.where(scale > 0.0, scale, 1.0)[:, np.newaxis]
    spread = _standard_deviation(points, aligned.reference, aligned.is_step)
    difference = aligned.reference - aligned.current
    # The bin of a constant is as narrow as a double allows, and still no spread.
    is_constant = spread < 1e-14
    moved = np.abs(np.diff(difference, axis=1, prepend=0.0, append=0.0)).sum(axis=1) / 2
    area = _area(points, difference, aligned.is_step)
    distances: FloatArray = np.where(is_constant, moved, area / np.where(is_constant, 1.0, spread))
    return distances


def _winsorised(aligned: Functions, tail: float) -> FloatArray:
    """The points, those in the reference's two tails moved to where the tails begin."""
    shares, last = aligned.reference, aligned.points.shape[1] - 1
    low = np.minimum((shares < tail).sum(axis=1), last)
    high = np.minimum((shares < 1 - tail).sum(axis=1), last)
    # Nobody knows where in its last, wide bin the mass of a tail lies: stop before it, unless nothing would be left.
    inner = (shares <= 1 - tail).sum(axis=1) - 1
    outer = np.maximum(0, (shares <= tail).sum(axis=1) - 1)
    low, high = (
        np.where(aligned.is_step | (inner > low), low, outer),
        np.where(aligned.is_step | (inner <= low), high, inner),
    )
    first, final = (np.take_along_axis(aligned.points, at[:, np.newaxis], axis=1) for at in (low, high))
    points: FloatArray = np.clip(aligned.points, first, np.maximum(first, final))
    return points


def _standard_deviation(points: FloatArray, shares: FloatArray, is_step: npt.NDArray[np.bool_]) -> FloatArray:
    """Of values with these distribution functions; between points, they are taken to be spread evenly."""
    lower, upper = points[:, :-1], points[:, 1:]
    masses = shares[:, 1:] - shares[:, :-1]
    centres = np.where(is_step[:, np.newaxis], upper, (lower + upper) / 2)
    first, last = shares[:, 0], 1.0 - shares[:, -1]
    mean = first * points[:, 0] + (masses * centres).sum(axis=1) + last * points[:, -1]
    variance = first * np.square(points[:, 0] - mean) + last * np.square(points[:, -1] - mean)
    variance += (masses * np.square(centres - mean[:, np.newaxis])).sum(axis=1)
    variance += np.where(is_step, 0.0, (masses * np.square(upper - lower)).sum(axis=1) / 12)
    deviation: FloatArray = np.sqrt(variance)
    return deviation


def _area(points: FloatArray, difference: FloatArray, is_step: npt.NDArray[np.bool_]) -> FloatArray:
    """∫ |difference| between the first and the last point."""
    left, right = np.abs(difference[:, :-1]), np.abs(difference[:, 1:])
    both = left + right
    heights = both / 2
    # A straight line that changes its sign leaves two triangles rather than a trapezoid.
    crosses = difference[:, :-1] * difference[:, 1:] < 0
    np.divide(np.square(left) + np.square(right), 2 * both, out=heights, where=crosses)
    heights = np.where(is_step[:, np.newaxis], left, heights)
    area: FloatArray = (heights * np.diff(points, axis=1)).sum(axis=1)
    return area

"""Wasserstein distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.absolute_bridge import absolute_bridge
from otel_ml.drift.central import (
    TAIL,
    is_constant_in_its_bin,
    scores_with_constants,
    standard_deviation,
    widths_at,
    winsorised,
)
from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.quadratic import chance_variance, pooled_shares, row_sums
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class Wasserstein(DriftDetector):
    """How far values moved on average, in standard deviations of the reference (earth mover's distance).

    W₁ = ∫ |F(x) - G(x)| dx, in closed form over the points where both functions are known (Vallender, 1974). Values are
    first winsorised to the reference's central 99 %, without which a few values of a heavy tail are all one sees; the
    standard deviation is that of the winsorised reference. With a shift of the whole distribution by s standard
    deviations the score is s. What chance makes of W₁ on average is ∫ √(2/π H (1 - H) (1/n + 1/m)) dx; its square is
    subtracted from that of W₁. The p-value is that of ∫ |B(H(x))| dx for a Brownian bridge B, see
    `otel_ml.drift.absolute_bridge`.

    A reference without spread (a constant) gives no unit to measure distances in. The score then is the share of values
    that moved, the test that of Kolmogorov and Smirnov.

    Args:
        threshold: Score above which the feature counts as drifted.
        tail: Share of the reference that is winsorised at either end.
        bias_corrected: Whether what chance alone adds on average is subtracted, on the squared scale.
    """

    name: ClassVar[str] = "wasserstein"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = False

    threshold: float = 0.1
    tail: float = TAIL
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("wasserstein::threshold", self.threshold, above=0)
        require_number("wasserstein::tail", self.tail, above=0, at_most=0.25)

    def measure(self, columns: Columns) -> Scores:
        """The distances in standard deviations, and the probability of as much without drift."""
        functions = columns.functions
        spread, widths = columns.of_references(("centre", self.tail), lambda: self._centre(columns))
        difference = np.abs(functions.reference - functions.current)
        area = row_sums(widths, difference)
        pooled = pooled_shares(functions, columns.n, columns.m)
        by_chance = absolute_bridge(pooled, widths, chance_variance(columns.n, columns.m), columns.noise)
        chance = by_chance.mean if self.bias_corrected else 0.0
        is_constant = (spread == 0) | is_constant_in_its_bin(columns)
        distance = np.sqrt(np.maximum(0.0, np.square(area) - np.square(chance))) / np.where(is_constant, 1.0, spread)
        return scores_with_constants(columns, is_constant, distance, by_chance.p_values(area))

    def _centre(self, columns: Columns) -> tuple[FloatArray, FloatArray]:
        """Standard deviation of the winsorised references, and what each of their points stands for."""
        functions = columns.functions
        points = winsorised(functions, self.tail)
        spread = standard_deviation(points, functions.reference, functions.is_step)
        return spread, widths_at(points, functions.is_step)

"""Energy distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.central import NO_SPREAD, TAIL, is_constant_in_its_bin, scores_with_constants, widths_at, winsorised
from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.quadratic import corrected, null_sum, null_variance, pooled_shares, row_sums


@dataclass(frozen=True, slots=True)
class Energy(DriftDetector):
    """Energy distance, as a share of the mean distance between a reference and a current value.

    √((2 E|X - Y| - E|X - X'| - E|Y - Y'|) / (2 E|X - Y|)) for X, X' of the reference and Y, Y' of the current window:
    the root of the coefficient of inhomogeneity of Székely & Rizzo, "Energy statistics: a class of statistics based on
    distances" (2013). It lies between 0 (the same) and 1, has no unit, is about half a shift in standard deviations,
    and is free of what chance adds on average. In one dimension it is √(∫ (F - G)² dx / ∫ F (1 - G) + G (1 - F) dx).

    Values are first winsorised to the reference's central 99 %. The p-value is that of ∫ (F - G)² dx without drift, see
    `otel_ml.drift.quadratic`; no permutations are needed. A reference without spread (a constant) gives no distances:
    the score then is the share of values that moved, the test that of Kolmogorov and Smirnov.

    Args:
        threshold: Score above which the feature counts as drifted.
        tail: Share of the reference that is winsorised at either end.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "energy"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = False

    threshold: float = 0.1
    tail: float = TAIL
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("energy::threshold", self.threshold, above=0, at_most=1)
        require_number("energy::tail", self.tail, above=0, at_most=0.25)

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        functions = columns.functions
        expected, found = functions.reference, functions.current
        difference = expected - found
        points = winsorised(functions, self.tail)
        weights = widths_at(points, functions.is_step)
        pooled = pooled_shares(functions, columns.n, columns.m)
        variance = null_variance(columns.n, columns.m, columns.noise, pooled, weights)
        chance = variance if self.bias_corrected else np.zeros_like(variance)
        squared = corrected(difference, (expected + found) / 2, weights, chance)
        mean_distance = row_sums(weights, expected + found - 2 * expected * found)
        is_constant = row_sums(weights, expected * (1 - expected)) < NO_SPREAD
        is_constant |= is_constant_in_its_bin(columns)
        share = squared / np.where(is_constant, 1.0, mean_distance)
        by_chance = null_sum(columns.n, columns.m, columns.noise, pooled, weights)
        score = np.sqrt(np.minimum(1.0, share))
        return scores_with_constants(
            columns, is_constant, score, by_chance.p_values(row_sums(weights, np.square(difference)))
        )

"""Cramér-von Mises criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.quadratic import bridge_sum, corrected, masses_at, null_variance, pooled_shares, row_sums
from otel_ml.drift.significance import joint_rank_error


@dataclass(frozen=True, slots=True)
class CramerVonMises(DriftDetector):
    """Mean squared distance between the two distribution functions, with the two-sample test of Anderson (1962).

    The score is √(3 ∫ (F - G)² dH), with H the distribution in the middle between the two: between 0 (the same) and 1
    (nothing in common), about 0.5 times a shift in standard deviations, and free of what chance adds on average. The
    p-value is that of T = nm / (n + m) · ∫ (F - G)² dHₙₘ, where Hₙₘ is that of both samples together: Anderson, "On the
    distribution of the two-sample Cramér-von Mises criterion". Its law is found for the ties and bins at hand, see
    `otel_ml.drift.quadratic`. It sees a difference all along the range that Kolmogorov and Smirnov look for at one
    point, so that it is the stronger test of most shifts.

    Args:
        threshold: Score above which the feature counts as drifted.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "cramer_von_mises"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.1
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("cramer_von_mises::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        functions = columns.functions
        difference = functions.reference - functions.current
        error = joint_rank_error(functions.error_reference, functions.error_current)
        pooled = pooled_shares(functions, columns.n, columns.m)
        weights = masses_at(pooled)
        variance = null_variance(columns.n, columns.m, error, pooled, weights)
        statistic = row_sums(weights, np.square(difference)) / variance
        middle = (functions.reference + functions.current) / 2
        chance = variance if self.bias_corrected else np.zeros_like(variance)
        squared = corrected(difference, middle, masses_at(middle), chance)
        return Scores(np.sqrt(np.minimum(1.0, 3 * squared)), bridge_sum(pooled, weights).p_values(statistic))

"""Anderson-Darling distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.quadratic import bridge_sum, corrected, masses_at, null_variance, pooled_shares, row_sums
from otel_ml.drift.significance import joint_rank_error
from otel_ml.sketch.sketch import FloatArray

# What ∫ (F - G)² / (H (1 - H)) dH is when the two have nothing in common.
_HIGHEST = 8 * math.log(2) - 4


@dataclass(frozen=True, slots=True)
class AndersonDarling(DriftDetector):
    """Mean squared distance between the two distribution functions relative to its variance: tails count in full.

    The score is √(∫ (F - G)² / (H (1 - H)) dH / (8 ln 2 - 4)), with H the distribution in the middle between the two:
    between 0 (the same) and 1 (nothing in common), about half a shift in standard deviations, and free of what chance
    adds on average. The p-value is that of A² = nm / (n + m) · ∫ (F - G)² / (Hₙₘ (1 - Hₙₘ)) dHₙₘ over both samples
    together: Pettitt, "A two-sample Anderson-Darling rank statistic" (1976). With ties it is the mean of the A²ₖₙ of
    Scholz & Stephens, "K-sample Anderson-Darling tests" (1987), over the values read upwards and downwards; its law is
    found for the ties and bins at hand, see `otel_ml.drift.quadratic`.

    Args:
        threshold: Score above which the feature counts as drifted.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "anderson_darling"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.1
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("anderson_darling::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        functions = columns.functions
        difference = functions.reference - functions.current
        error = joint_rank_error(functions.error_reference, functions.error_current)
        pooled = pooled_shares(functions, columns.n, columns.m)
        weights = _weights(pooled)
        variance = null_variance(columns.n, columns.m, error, pooled, weights)
        statistic = row_sums(weights, np.square(difference)) / variance
        middle = (functions.reference + functions.current) / 2
        chance = variance if self.bias_corrected else np.zeros_like(variance)
        squared = corrected(difference, middle, _weights(middle), chance)
        return Scores(np.sqrt(np.minimum(1.0, squared / _HIGHEST)), bridge_sum(pooled, weights).p_values(statistic))


def _weights(shares: FloatArray) -> FloatArray:
    """The mass of each point over the variance of a Brownian bridge there, (pairs, points)."""
    masses, variance = masses_at(shares), shares * (1 - shares)
    weights: FloatArray = np.divide(masses, variance, out=np.zeros_like(masses), where=variance > 0)
    return weights

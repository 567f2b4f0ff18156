"""Sums of χ² with weights: the null distribution of squared distances between averages."""

from __future__ import annotations

import math
from typing import NamedTuple

from otel_ml.drift import special


class WeightedChiSquared(NamedTuple):
    """Distribution of Σ wᵢ χ²ᵢ, each with one degree of freedom, known by sums over the weights.

    Attributes:
        first: Σ wᵢ, the mean.
        second: Σ wᵢ², half the variance.
        third: Σ wᵢ³, an eighth of the third cumulant.
    """

    first: float
    second: float
    third: float

    def scaled(self, factor: float) -> WeightedChiSquared:
        """The same with all weights multiplied."""
        return WeightedChiSquared(self.first * factor, self.second * factor**2, self.third * factor**3)

    def p_value(self, squared: float) -> float:
        """The probability of a sum at least as large.

        By the χ² distribution that is moved and stretched to have the same mean, variance and skewness (Pearson,
        "Note on an approximation to the distribution of non-central χ²", 1959; Imhof, "Computing the distribution of
        quadratic forms in normal variables", 1961).
        """
        if self.second <= 0 or self.third <= 0:
            return 1.0 if squared <= self.first else 0.0
        freedom = self.second**3 / self.third**2
        moved = freedom + (squared - self.first) * math.sqrt(freedom / self.second)
        return float(special.chdtrc(freedom, max(0.0, moved)))

"""What the detectors that sum up squared differences of ranks have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.quadratic import corrected, null_sum, null_variance, pooled_shares, row_sums
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class OverRanks(DriftDetector):
    """A distance ∫ (F - G)² w dH between two distribution functions, by ranks alone: no unit, no outliers.

    The score takes for H the distribution in the middle between the two, so that it does not depend on the samples'
    sizes; the test that of both samples together, as the textbooks have it. The law of the test is found for the ties
    and bins at hand, see `otel_ml.drift.quadratic`.
    """

    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.1
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number(f"{self.name}::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        functions, noise = columns.functions, columns.noise
        difference = functions.reference - functions.current
        pooled = pooled_shares(functions, columns.n, columns.m)
        weights = self.weights(pooled)
        law = null_sum(columns.n, columns.m, noise, pooled, weights)
        p_values = law.p_values(row_sums(weights, np.square(difference)))
        middle = (functions.reference + functions.current) / 2
        variance = null_variance(columns.n, columns.m, noise, pooled, weights)
        chance = variance if self.bias_corrected else np.zeros_like(variance)
        squared = corrected(difference, middle, self.weights(middle), chance)
        return Scores(np.sqrt(np.minimum(1.0, self.relative(squared))), p_values)

    @abstractmethod
    def weights(self, shares: FloatArray) -> FloatArray:
        """(columns, points) w dH, for H of (columns, points)."""

    @abstractmethod
    def relative(self, squared: FloatArray) -> FloatArray:
        """(columns,) the squared distance, of that of two distributions that have nothing in common."""

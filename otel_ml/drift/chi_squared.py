"""Chi-squared test of homogeneity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.alignment import cells
from otel_ml.drift.detector import DriftResult, require_number
from otel_ml.sketch.distribution import CategoricalDistribution, Distribution


@dataclass(frozen=True, slots=True)
class ChiSquared:
    """Whether two samples of categories come from the same distribution, rare categories pooled.

    The p-value is Pearson's, χ² = Σ (observed - expected)² / expected over the two rows of counts, with one degree of
    freedom fewer than there are categories (Pearson, 1900). Both samples count as samples: a category the reference
    never had is evidence only as far as its count, and one such value never alarms alone.

    The score is Cramér's V as if both samples were of the same size, V² = ½ Σ (rᵢ - cᵢ)² / (rᵢ + cᵢ), between 0 (the
    same) and 1 (nothing in common). Where the sizes are equal it is the usual V (Cramér, 1946), which otherwise
    vanishes as the reference grows, whatever the drift.

    Args:
        threshold: Score above which the feature counts as drifted; Cohen (1988) calls 0.1 small and 0.3 medium.
    """

    name: ClassVar[str] = "chi_squared"

    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_number("chi_squared::threshold", self.threshold, above=0, at_most=1)

    def applies_to(self, distribution: Distribution) -> bool:
        """Categories and truth values."""
        return isinstance(distribution, CategoricalDistribution)

    def compare(self, reference: Distribution, current: Distribution) -> DriftResult:
        """Cramér's V, and the probability of as high a χ² without drift."""
        shared = cells(reference, current)
        n, m = reference.total, current.total
        r, c = shared.reference, shared.current
        present = r + c > 0
        r, c = r[present], c[present]
        squared = np.square(r - c)
        score = math.sqrt(min(1.0, float((squared / (r + c)).sum()) / 2))
        return DriftResult(self.name, score, self.threshold, shared.p_value, n, m)

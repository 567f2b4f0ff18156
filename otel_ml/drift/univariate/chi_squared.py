"""Chi-squared test of homogeneity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number


@dataclass(frozen=True, slots=True)
class ChiSquared(DriftDetector):
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
    on_numbers: ClassVar[bool] = False
    on_categories: ClassVar[bool] = True
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_number("chi_squared::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """Cramér's V, and the probability of as high a χ² without drift."""
        shared = columns.cells()
        total = shared.reference + shared.current
        squared = np.square(shared.reference - shared.current)
        score = np.divide(squared, total, out=np.zeros_like(total), where=total > 0).sum(axis=1) / 2
        return Scores(np.sqrt(np.minimum(1.0, score)), shared.p_value)

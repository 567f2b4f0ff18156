"""Chi-squared test of homogeneity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.bias import mean_by_chance
from otel_ml.drift.cells import Cells
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class ChiSquared(OverCells):
    """Whether two samples come from the same distribution over categories, or over the reference's quantile bins.

    The p-value is Pearson's, χ² = Σ (observed - expected)² / expected over the two rows of counts, with one degree of
    freedom fewer than there are cells (Pearson, 1900). Rare categories are pooled. Both samples count as samples: a
    category the reference never had is evidence only as far as its count, and one such value never alarms alone.

    The score is Cramér's V as if both samples were of the same size, V² = ½ Σ (rᵢ - cᵢ)² / (rᵢ + cᵢ), between 0 (the
    same) and 1 (nothing in common). Where the sizes are equal it is the usual V (Cramér, 1946), which otherwise
    vanishes as the reference grows, whatever the drift. What chance adds to V² is taken off, as Bergsma does with the
    usual V ("A bias-correction for Cramér's V and Tschuprow's T", 2013).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        bias_corrected: Whether to take off, from V², what chance alone adds on average.
        threshold: Score above which the feature counts as drifted. 0.22 is what a PSI of 0.2 makes; Cohen (1988) calls
            0.1 small and 0.3 medium.
    """

    name: ClassVar[str] = "chi_squared"
    greatest: ClassVar[float] = 1.0

    threshold: float = 0.22

    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:  # noqa: ARG002  # others need them
        """V²."""
        return squared_v(cells.reference, cells.current)

    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """V² without drift."""
        return mean_by_chance(cells, n, m, 1 / 4, of_difference=1 / 16)

    def as_score(self, distance: FloatArray) -> FloatArray:
        """V."""
        return np.sqrt(distance)


def squared_v(reference: FloatArray, current: FloatArray) -> FloatArray:
    """(columns,) Cramér's V, squared, of two samples of the same size with these shares of (columns, cells)."""
    total = reference + current
    squared = np.square(reference - current)
    share: FloatArray = np.divide(squared, total, out=np.zeros_like(total), where=total > 0).sum(axis=1) / 2
    return share

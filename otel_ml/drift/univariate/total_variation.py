"""Total variation distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.cells import Cells
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class TotalVariation(OverCells):
    """Total variation distance: the share of the values that would have to be others for the two to be the same.

    ½ Σ |rᵢ - cᵢ|, over the reference's own quantile bins or over categories: a metric between 0 (the same) and 1
    (nothing in common). Source: Levin, Peres & Wilmer, "Markov Chains and Mixing Times" (2009), proposition 4.2.

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        bias_corrected: Whether to take off, from the squared distance, what chance alone adds on average.
        threshold: Distance above which the feature counts as drifted. 0.18 is what a PSI of 0.2 makes.
    """

    name: ClassVar[str] = "total_variation"
    greatest: ClassVar[float] = 1.0

    threshold: float = 0.18

    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:  # noqa: ARG002  # others need them
        """The squared distance."""
        squared: FloatArray = np.square(np.abs(cells.reference - cells.current).sum(axis=1) / 2)
        return squared

    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """The squared distance without drift: ¼ Σᵢⱼ E|dᵢ||dⱼ| of normal differences dᵢ.

        Two of them have variances σ² = pᵢ(1 - pᵢ)v and the multinomial's correlation k, and E|dᵢ||dⱼ| is
        σᵢσⱼ (√(1 - k²) + k arcsin k) · 2/π, where the bracket is 1 + k²/2 but for k⁴/24 and less.
        """
        share = (n / (n + m))[:, np.newaxis]
        pooled = np.clip(share * cells.reference + (1 - share) * cells.current, 0.0, 1 - 1e-9)
        variance = pooled * (1 - pooled)
        deviation = np.sqrt(variance)
        # k² σᵢσⱼ is a product of one factor of either cell.
        factor = deviation * pooled / (1 - pooled)
        own = variance.sum(axis=1)
        pairs = np.square(deviation.sum(axis=1)) - own
        correlated = np.square(factor.sum(axis=1)) - np.square(factor).sum(axis=1)
        mean: FloatArray = cells.variance / 4 * (own + 2 / math.pi * (pairs + correlated / 2))
        return np.where(cells.used > 1, mean, 0.0)

    def as_score(self, distance: FloatArray) -> FloatArray:
        """Its root."""
        return np.sqrt(distance)

"""Hellinger distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.bias import mean_by_chance
from otel_ml.drift.cells import Cells
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class Hellinger(OverCells):
    """Hellinger distance: a metric between 0 (the same) and 1 (nothing in common).

    √(½ Σ (√rᵢ - √cᵢ)²), over the reference's own quantile bins or over categories. Needs no floor for empty bins.
    Source: Hellinger (1909); for drift, Ditzler & Polikar, "Hellinger distance based drift detection for nonstationary
    environments" (2011).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        bias_corrected: Whether to take off, from the squared distance, what chance alone adds on average.
        threshold: Distance above which the feature counts as drifted. 0.16 is what a PSI of 0.2 makes.
    """

    name: ClassVar[str] = "hellinger"
    greatest: ClassVar[float] = 1.0

    threshold: float = 0.16

    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:  # noqa: ARG002  # others need them
        """The squared distance."""
        squared: FloatArray = np.square(np.sqrt(cells.reference) - np.sqrt(cells.current)).sum(axis=1) / 2
        return squared

    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """The squared distance without drift."""
        return mean_by_chance(cells, n, m, 1 / 8, of_sum=3 / 128, of_difference=4 / 128)

    def as_score(self, distance: FloatArray) -> FloatArray:
        """Its root."""
        return np.sqrt(distance)

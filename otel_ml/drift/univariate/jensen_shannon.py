"""Jensen-Shannon distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.bias import mean_by_chance
from otel_ml.drift.cells import Cells
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class JensenShannon(OverCells):
    """Jensen-Shannon distance in base 2: a metric between 0 (the same) and 1 (nothing in common).

    √(½ Σ rᵢ log₂(rᵢ / mᵢ) + ½ Σ cᵢ log₂(cᵢ / mᵢ)) with mᵢ = (rᵢ + cᵢ) / 2, over the reference's own quantile bins or
    over categories. Needs no floor for empty bins. Sources: Lin, "Divergence measures based on the Shannon entropy"
    (1991); Endres & Schindelin, "A new metric for probability distributions" (2003).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        bias_corrected: Whether to take off, from the squared distance, what chance alone adds on average.
        threshold: Distance above which the feature counts as drifted. 0.19 is what a PSI of 0.2 makes.
    """

    name: ClassVar[str] = "jensen_shannon"
    greatest: ClassVar[float] = 1.0

    threshold: float = 0.19

    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:  # noqa: ARG002  # others need them
        """The divergence in bits."""
        return divergence_nats(cells) / math.log(2)

    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """The divergence without drift, in bits."""
        return mean_divergence_nats(cells, n, m) / math.log(2)

    def as_score(self, distance: FloatArray) -> FloatArray:
        """Bits to distance."""
        return np.sqrt(distance)


def divergence_nats(cells: Cells) -> FloatArray:
    """(columns,) the Jensen-Shannon divergence of the two sides."""
    r, c = cells.reference, cells.current
    apart: FloatArray = special.xlogy(r, r) + special.xlogy(c, c) - special.xlogy(r + c, (r + c) / 2)
    divergence: FloatArray = apart.sum(axis=1) / 2
    return divergence


def mean_divergence_nats(cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
    """(columns,) what it is on average without drift."""
    return mean_by_chance(cells, n, m, 1 / 8, of_sum=1 / 64, of_difference=1 / 32)

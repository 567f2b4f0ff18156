"""Kullback-Leibler divergence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otel_ml.drift.bias import log_ratio, mean_by_chance
from otel_ml.drift.cells import Cells
from otel_ml.drift.detector import require_number
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class KullbackLeibler(OverCells):
    """Kullback-Leibler divergence of the current window from the reference, in nats.

    KL(c ‖ r) = Σ cᵢ · ln(cᵢ / rᵢ), over the reference's own quantile bins or over categories: what it costs to encode
    the current values with a code made for the reference's. It has a direction, also for categories: values where the
    reference had none count for much, those that no longer come for little. Source: Kullback & Leibler, "On information
    and sufficiency" (1951). PSI is the sum of both directions.

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        bias_corrected: Whether to take off what chance alone adds on average: half of what it adds to PSI.
        threshold: Score above which the feature counts as drifted. 0.1 is what a PSI of 0.2 makes.
        floor: Smallest share inside the logarithm; a bin without reference would make the divergence infinite.
    """

    name: ClassVar[str] = "kl"

    threshold: float = 0.1
    floor: float = 1e-4

    def __post_init__(self) -> None:
        OverCells.__post_init__(self)
        require_number("kl::floor", self.floor, above=0, at_most=0.01)

    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """The divergence."""
        ratio = log_ratio(cells, n, m, self.floor, unbiased=self.bias_corrected)
        # The difference vanishes, but where the shares of heavy hitters do not sum to 1.
        divergence: FloatArray = (cells.current * ratio - cells.current + cells.reference).sum(axis=1)
        return divergence

    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """(B - 1)(1/n + 1/m) / 2."""
        return mean_by_chance(cells, n, m, 1 / 2)

"""Population Stability Index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otel_ml.drift.bias import log_ratio, mean_by_chance
from otel_ml.drift.cells import Cells
from otel_ml.drift.detector import require_number
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class PopulationStabilityIndex(OverCells):
    """Population Stability Index over the reference's own quantile bins, or over categories.

    PSI = Σ (cᵢ - rᵢ) · ln(cᵢ / rᵢ), with rᵢ and cᵢ the shares of the reference and the current window in bin i: the
    symmetric divergence of Jeffreys (1946), as credit scoring uses it (Siddiqi, "Credit Risk Scorecards", 2006). Its
    p-value is that of its χ² limit (Yurdakul, "Statistical Properties of Population Stability Index", 2018).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        bias_corrected: Whether to take off what chance alone adds on average: 0.18 with ten bins of a hundred values.
        threshold: Score above which the feature counts as drifted. Credit-risk practice reads 0.1 as "watch" and 0.25
            as "act".
        floor: Smallest share inside the logarithm; an empty bin would make PSI infinite.
    """

    name: ClassVar[str] = "psi"

    threshold: float = 0.2
    floor: float = 1e-4

    def __post_init__(self) -> None:
        OverCells.__post_init__(self)
        require_number("psi::floor", self.floor, above=0, at_most=0.01)

    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """The index."""
        ratio = log_ratio(cells, n, m, self.floor, unbiased=self.bias_corrected)
        index: FloatArray = ((cells.current - cells.reference) * ratio).sum(axis=1)
        return index

    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """(B - 1)(1/n + 1/m)."""
        return mean_by_chance(cells, n, m, 1.0)

"""Population Stability Index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_integer, require_number


@dataclass(frozen=True, slots=True)
class PopulationStabilityIndex(DriftDetector):
    """Population Stability Index over the reference's own quantile bins, or over categories.

    PSI = Σ (cᵢ - rᵢ) · ln(cᵢ / rᵢ), with rᵢ and cᵢ the shares of the reference and the current window in bin i: the
    symmetric divergence of Jeffreys (1946), as credit scoring uses it (Siddiqi, "Credit Risk Scorecards", 2006). Its
    p-value is that of its χ² limit (Yurdakul, "Statistical Properties of Population Stability Index", 2018).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        threshold: Score above which the feature counts as drifted. Credit-risk practice reads 0.1 as "watch" and 0.25
            as "act".
        floor: Smallest share of a bin; an empty one would make PSI infinite.
    """

    name: ClassVar[str] = "psi"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = True
    is_symmetric: ClassVar[bool] = False

    bins: int = 10
    threshold: float = 0.2
    floor: float = 1e-4

    def __post_init__(self) -> None:
        require_integer("psi::bins", self.bins, at_least=2, at_most=1000)
        require_number("psi::threshold", self.threshold, above=0)
        require_number("psi::floor", self.floor, above=0, at_most=0.01)

    def measure(self, columns: Columns) -> Scores:
        """The indexes, and the probability of as much without drift."""
        shared = columns.cells(self.bins)
        expected, found = np.maximum(shared.reference, self.floor), np.maximum(shared.current, self.floor)
        score = ((found - expected) * np.log(found / expected)).sum(axis=1)
        return Scores(np.maximum(0.0, score), shared.p_value)

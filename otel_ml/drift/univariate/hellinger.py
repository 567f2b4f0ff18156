"""Hellinger distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_integer, require_number


@dataclass(frozen=True, slots=True)
class Hellinger(DriftDetector):
    """Hellinger distance: a metric between 0 (the same) and 1 (nothing in common).

    √(½ Σ (√rᵢ - √cᵢ)²), over the reference's own quantile bins or over categories. Needs no floor for empty bins.
    Source: Hellinger (1909); for drift, Ditzler & Polikar, "Hellinger distance based drift detection for nonstationary
    environments" (2011).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        threshold: Distance above which the feature counts as drifted. 0.1 is what a PSI of about 0.08 makes.
    """

    name: ClassVar[str] = "hellinger"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = True
    is_symmetric: ClassVar[bool] = False

    bins: int = 10
    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_integer("hellinger::bins", self.bins, at_least=2, at_most=1000)
        require_number("hellinger::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        shared = columns.cells(self.bins)
        squared = np.square(np.sqrt(shared.reference) - np.sqrt(shared.current)).sum(axis=1) / 2
        return Scores(np.minimum(1.0, np.sqrt(squared)), shared.p_value)

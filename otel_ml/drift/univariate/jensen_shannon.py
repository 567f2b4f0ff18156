"""Jensen-Shannon distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import xlogy

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_integer, require_number


@dataclass(frozen=True, slots=True)
class JensenShannon(DriftDetector):
    """Jensen-Shannon distance in base 2: a metric between 0 (the same) and 1 (nothing in common).

    √(½ Σ rᵢ log₂(rᵢ / mᵢ) + ½ Σ cᵢ log₂(cᵢ / mᵢ)) with mᵢ = (rᵢ + cᵢ) / 2, over the reference's own quantile bins or
    over categories. Needs no floor for empty bins. Sources: Lin, "Divergence measures based on the Shannon entropy"
    (1991); Endres & Schindelin, "A new metric for probability distributions" (2003).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        threshold: Distance above which the feature counts as drifted. 0.1 is what a PSI of about 0.06 makes.
    """

    name: ClassVar[str] = "jensen_shannon"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = True
    is_symmetric: ClassVar[bool] = False

    bins: int = 10
    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_integer("jensen_shannon::bins", self.bins, at_least=2, at_most=1000)
        require_number("jensen_shannon::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        shared = columns.cells(self.bins)
        r, c = shared.reference, shared.current
        divergence = (xlogy(r, r) + xlogy(c, c) - xlogy(r + c, (r + c) / 2)).sum(axis=1) / (2 * math.log(2))
        # A difference of sums: what rounding leaves of two equal ones is no distance.
        score = np.sqrt(np.where(divergence > 1e-14, np.minimum(divergence, 1.0), 0.0))
        return Scores(score, shared.p_value)

"""Jensen-Shannon distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from scipy.special import xlogy

from otel_ml.drift.alignment import cells
from otel_ml.drift.detector import DriftResult, require_integer, require_number
from otel_ml.sketch.distribution import Distribution


@dataclass(frozen=True, slots=True)
class JensenShannon:
    """Jensen-Shannon distance in base 2: a metric between 0 (the same) and 1 (nothing in common).

    √(½ Σ rᵢ log₂(rᵢ / mᵢ) + ½ Σ cᵢ log₂(cᵢ / mᵢ)) with mᵢ = (rᵢ + cᵢ) / 2, over the reference's own quantile bins or
    over categories. Needs no floor for empty bins. Sources: Lin, "Divergence measures based on the Shannon entropy"
    (1991); Endres & Schindelin, "A new metric for probability distributions" (2003).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        threshold: Distance above which the feature counts as drifted. 0.1 is what a PSI of about 0.06 makes.
    """

    name: ClassVar[str] = "jensen_shannon"

    bins: int = 10
    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_integer("jensen_shannon::bins", self.bins, at_least=2, at_most=1000)
        require_number("jensen_shannon::threshold", self.threshold, above=0, at_most=1)

    def applies_to(self, distribution: Distribution) -> bool:  # noqa: ARG002  # every kind can be cut into cells
        """Always."""
        return True

    def compare(self, reference: Distribution, current: Distribution) -> DriftResult:
        """The distance, and the probability of as much without drift."""
        shared = cells(reference, current, self.bins)
        r, c = shared.reference, shared.current
        mixed = xlogy(r + c, (r + c) / 2).sum()
        divergence = float(xlogy(r, r).sum() + xlogy(c, c).sum() - mixed) / (2 * math.log(2))
        # A difference of sums: what rounding leaves of two equal ones is no distance.
        score = math.sqrt(min(divergence, 1.0)) if divergence > 1e-14 else 0.0
        n, m = reference.total, current.total
        p_value = shared.p_value
        return DriftResult(self.name, score, self.threshold, p_value, n, m)

"""Hellinger distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.alignment import cells
from otel_ml.drift.detector import DriftResult, require_integer, require_number
from otel_ml.sketch.distribution import Distribution


@dataclass(frozen=True, slots=True)
class Hellinger:
    """Hellinger distance: a metric between 0 (the same) and 1 (nothing in common).

    √(½ Σ (√rᵢ - √cᵢ)²), over the reference's own quantile bins or over categories. Needs no floor for empty bins.
    Source: Hellinger (1909); for drift, Ditzler & Polikar, "Hellinger distance based drift detection for nonstationary
    environments" (2011).

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        threshold: Distance above which the feature counts as drifted. 0.1 is what a PSI of about 0.08 makes.
    """

    name: ClassVar[str] = "hellinger"

    bins: int = 10
    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_integer("hellinger::bins", self.bins, at_least=2, at_most=1000)
        require_number("hellinger::threshold", self.threshold, above=0, at_most=1)

    def applies_to(self, distribution: Distribution) -> bool:  # noqa: ARG002  # every kind can be cut into cells
        """Always."""
        return True

    def compare(self, reference: Distribution, current: Distribution) -> DriftResult:
        """The distance, and the probability of as much without drift."""
        shared = cells(reference, current, self.bins)
        difference = np.sqrt(shared.reference) - np.sqrt(shared.current)
        score = min(1.0, math.sqrt(float(np.dot(difference, difference)) / 2))
        n, m = reference.total, current.total
        p_value = shared.p_value
        return DriftResult(self.name, score, self.threshold, p_value, n, m)

"""Sliced Wasserstein distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.detector import require_number
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.vectors import VectorPair
from otel_ml.sketch.projected import BIN_WIDTH, SLICES


@dataclass(frozen=True, slots=True)
class SlicedWasserstein(MultivariateDetector):
    """How far vectors moved along random directions, on average over these, in standard deviations of each.

    The mean Wasserstein distance of 16 one-dimensional projections (Rabin et al., "Wasserstein barycenter and its
    application to texture mixing", 2011; Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", 2015),
    each the area between the distribution functions at the edges of 32 bins within four standard deviations. What
    chance alone adds to its square is subtracted.

    The p-value is the smallest of the 16 tests of Kolmogorov and Smirnov, times 16 (Bonferroni): it holds whatever the
    distribution, and errs towards "no drift".

    Applies where both sides were projected by the same baseline.

    Args:
        threshold: Distance above which the vectors count as drifted.
    """

    name: ClassVar[str] = "sliced_wasserstein"

    threshold: float = 0.05

    def __post_init__(self) -> None:
        require_number("sliced_wasserstein::threshold", self.threshold, above=0)

    def applies_to(self, pair: VectorPair) -> bool:
        """Whether both sides were counted in bins of one layout."""
        return pair.projected is not None

    def measure(self, pair: VectorPair) -> tuple[float, float | None]:
        """The distance, and the probability of as much without drift."""
        if pair.projected is None:
            return 0.0, None
        was, now = (side.counts.cumsum(axis=1)[:, :-1] / side.count for side in pair.projected)
        apart = np.abs(now - was)
        distance = BIN_WIDTH * float(apart.sum()) / SLICES
        effective = pair.n * (pair.m / (pair.n + pair.m))
        pooled = (pair.n * was + pair.m * now) / (pair.n + pair.m)
        # The mean of a normal variable's magnitude is √(2/π) of its standard deviation.
        deviations = np.sqrt(pooled * (1 - pooled) / effective)
        chance = BIN_WIDTH * math.sqrt(2 / math.pi) * float(deviations.sum()) / SLICES
        root = math.sqrt(effective)
        p_value = SLICES * float(special.kolmogorov((root + 0.12 + 0.11 / root) * float(apart.max())))
        return math.sqrt(max(0.0, distance**2 - chance**2)), min(1.0, p_value)

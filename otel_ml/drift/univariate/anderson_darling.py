"""Anderson-Darling distance."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.quadratic import masses_at
from otel_ml.drift.univariate.over_ranks import OverRanks
from otel_ml.sketch.sketch import FloatArray

# What ∫ (F - G)² / (H (1 - H)) dH is when the two have nothing in common.
_HIGHEST = 8 * math.log(2) - 4


@dataclass(frozen=True, slots=True)
class AndersonDarling(OverRanks):
    """Mean squared distance between the two distribution functions relative to its variance: tails count in full.

    The score is √(∫ (F - G)² / (H (1 - H)) dH / (8 ln 2 - 4)), with H the distribution in the middle between the two:
    between 0 (the same) and 1 (nothing in common), about half a shift in standard deviations, and free of what chance
    adds on average. The p-value is that of A² = nm / (n + m) · ∫ (F - G)² / (Hₙₘ (1 - Hₙₘ)) dHₙₘ over both samples
    together: Pettitt, "A two-sample Anderson-Darling rank statistic" (1976). With ties it is the mean of the A²ₖₙ of
    Scholz & Stephens, "K-sample Anderson-Darling tests" (1987), over the values read upwards and downwards; its law is
    found for the ties and bins at hand, see `otel_ml.drift.quadratic`.

    Args:
        threshold: Score above which the feature counts as drifted.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "anderson_darling"

    def weights(self, shares: FloatArray) -> FloatArray:
        """The mass of each point over the variance of a Brownian bridge there."""
        masses, variance = masses_at(shares), shares * (1 - shares)
        weights: FloatArray = np.divide(masses, variance, out=np.zeros_like(masses), where=variance > 0)
        return weights

    def relative(self, squared: FloatArray) -> FloatArray:
        """Of 8 ln 2 - 4."""
        return squared / _HIGHEST

"""Cramér-von Mises criterion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otel_ml.drift.quadratic import masses_at
from otel_ml.drift.univariate.over_ranks import OverRanks
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class CramerVonMises(OverRanks):
    """Mean squared distance between the two distribution functions, with the two-sample test of Anderson (1962).

    The score is √(3 ∫ (F - G)² dH), with H the distribution in the middle between the two: between 0 (the same) and 1
    (nothing in common), about 0.5 times a shift in standard deviations, and free of what chance adds on average. The
    p-value is that of T = nm / (n + m) · ∫ (F - G)² dHₙₘ, where Hₙₘ is that of both samples together: Anderson, "On the
    distribution of the two-sample Cramér-von Mises criterion". Its law is found for the ties and bins at hand, see
    `otel_ml.drift.quadratic`. It sees a difference all along the range that Kolmogorov and Smirnov look for at one
    point, so that it is the stronger test of most shifts.

    Args:
        threshold: Score above which the feature counts as drifted.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "cramer_von_mises"

    def weights(self, shares: FloatArray) -> FloatArray:
        """The mass of each point."""
        return masses_at(shares)

    def relative(self, squared: FloatArray) -> FloatArray:
        """Three times as much."""
        return 3 * squared

"""Reconstruction error from the reference's principal components."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.detector import require_number
from otel_ml.drift.multivariate.covariance import MOST
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.vectors import VectorPair
from otel_ml.sketch.sketch import FloatArray

_FEWEST_TO_TEST: Final = 30
_ROUNDING: Final = 1e-6
"""Of all variance: an error below it may be rounding."""


@dataclass(frozen=True, slots=True)
class ReconstructionError(MultivariateDetector):
    """By how much worse, or better, the reference's principal components describe the current window.

    Vectors are projected to the components that hold most of the reference's variance, about its mean, and back; the
    error is the squared distance from where they were. Its mean over the window follows exactly from the window's mean
    and covariance: tr((I - V Vᵀ) E[(x - μ)(x - μ)ᵀ]). The score is |e / e₀ - 1|, e₀ being the reference's own error;
    what it gains from being minimised on its own vectors is given away, and what chance alone adds to the square is
    subtracted. Use for drift: Qahtan et al., "A PCA-based change detection framework for multidimensional data streams"
    (2015). Dimensions count as they come, so they should be of one unit, as those of embeddings are.

    The p-value is that of the difference of the two mean errors, normal for hundreds of vectors; the variance of an
    error follows from the covariance and the kurtosis, cautiously where tails are heavy. There is none where the
    kurtosis is not known, below 30 vectors in the window, and below 30 a dimension in the reference, whose own error is
    too uncertain then.

    Args:
        threshold: Relative change of the error above which the vectors count as drifted.
        variance: Share of the reference's variance that the components hold, at least.
    """

    name: ClassVar[str] = "pca_reconstruction"

    threshold: float = 0.1
    variance: float = 0.65

    def __post_init__(self) -> None:
        require_number("pca_reconstruction::threshold", self.threshold, above=0)
        require_number("pca_reconstruction::variance", self.variance, above=0, at_most=0.999)

    def measure(self, pair: VectorPair) -> tuple[float, float | None]:
        """The relative change of the error, and the probability of as much without drift."""
        if min(pair.n, pair.m) < 2:
            return 0.0, None
        covariance = pair.reference.covariance
        scale = max(float(covariance.diagonal().max()), float(np.square(pair.shift).max()), math.ulp(0.0))
        spread, components = np.linalg.eigh(covariance / scale)
        components, own_spread = components[:, ::-1], spread[::-1]
        spread = own_spread.clip(min=0.0)
        total = float(spread.sum())
        kept = min(int(np.searchsorted(spread.cumsum(), self.variance * total)) + 1, len(spread) - 1)
        rest, own = components[:, kept:], float(own_spread[kept:].sum())
        shift = pair.shift / math.sqrt(scale) @ rest
        found = float(np.sum(rest * (pair.current.covariance / scale @ rest)))
        found += max(0.0, float(shift @ shift) - own * (1 / pair.n + 1 / pair.m))
        smallest = max(_ROUNDING * total, _ROUNDING**2)
        if own < smallest:
            return (min(MOST, found / smallest) if found > smallest else 0.0), None
        kurtosis = max(0.0, pair.excess_kurtosis or 0.0)
        # Of what chose the components itself, the error is too small; how much of that shows is up to the window.
        expected = min(max(found, own), own + 2 * (1 + kurtosis) * _optimism(spread, kept) / pair.n)
        noise = sum(
            _error_variance(spread, kept, max(0.0, side.excess_kurtosis or 0.0)) / side.count
            for side in (pair.reference, pair.current)
        )
        difference = found - expected
        score = min(MOST, math.sqrt(max(0.0, difference**2 - noise)) / own)
        if pair.excess_kurtosis is None or min(pair.n / pair.dimensions, pair.m) < _FEWEST_TO_TEST:
            return score, None
        return score, float(2 * special.ndtr(-abs(difference) / math.sqrt(noise)))


def _error_variance(spread: FloatArray, kept: int, kurtosis: float) -> float:
    """Variance of the error of one vector, at most.

    Of what E|z|⁴ has beyond that of normal vectors, the other components may have as much as they have of the variance:
    so much where each has tails of its own, and less where the distribution is elliptical.
    """
    total, rest = float(spread.sum()), spread[kept:]
    excess = kurtosis * (total**2 + 2 * float(np.square(spread).sum()))
    return 2 * float(np.square(rest).sum()) + excess * float(rest.sum()) / total


def _optimism(spread: FloatArray, kept: int) -> float:
    """By how much n times the error of new vectors, or of the true components, exceeds that of the vectors themselves.

    Each kept component mixes with each other one in proportion to their variances over the squared difference of these
    (Anderson, "Asymptotic theory for principal component analysis", 1963).
    """
    above, below = spread[:kept, np.newaxis], spread[np.newaxis, kept:]
    gaps = np.maximum(above - below, 1e-3 * above)
    return float(np.divide(above * below, gaps, out=np.zeros_like(gaps), where=gaps > 0).sum())

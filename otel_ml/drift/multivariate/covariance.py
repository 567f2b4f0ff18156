"""Frobenius distance of the covariances."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from otel_ml.drift.detector import require_number
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.vectors import Side, VectorPair
from otel_ml.drift.multivariate.weighted_chi_squared import WeightedChiSquared

MOST: Final = 1e6
"""Score of whatever is further away."""
_FEWEST_TO_ESTIMATE: Final = 4
_FEWEST_TO_TEST: Final = 30


@dataclass(frozen=True, slots=True)
class CovarianceShift(MultivariateDetector):
    """How much the covariance changed, relative to that of the reference: variances, and how dimensions go together.

    |S - R| / |R| in the Frobenius norm, R and S being the covariances of the reference and the current window. Its
    square is estimated without bias, so that clean data score about 0 at any size: tr R² + tr S² - 2 tr RS, with the
    unbiased tr R² of Himeno & Yamada, "Estimations for some functions of covariance matrix in high dimension under
    non-normality and its applications" (2014). Vectors that are all multiplied by 1.1 score 0.21. Dimensions count as
    they come, so they should be of one unit, as those of embeddings are.

    The statistic, and its normal limit in many dimensions, are those of Li & Chen, "Two sample tests for
    high-dimensional covariance matrices" (2012). In any number, it is a sum of centred χ² whose weights follow from the
    covariance and the kurtosis where the distribution is elliptical. Where each dimension has a heavy tail of its own,
    such as a log-normal one, small p-values are too small: 5 % come out as 10 to 20 %. There is no p-value where the
    kurtosis is not known, and none below 30 vectors on either side.

    Args:
        threshold: Score above which the vectors count as drifted.
    """

    name: ClassVar[str] = "covariance"

    threshold: float = 0.2

    def __post_init__(self) -> None:
        require_number("covariance::threshold", self.threshold, above=0)

    def measure(self, pair: VectorPair) -> tuple[float, float | None]:
        """The relative distance, and the probability of as much without drift."""
        if min(pair.n, pair.m) < _FEWEST_TO_ESTIMATE:
            return 0.0, None
        was, now = pair.reference.covariance, pair.current.covariance
        scale = float(was.diagonal().max())
        if scale == 0.0:
            # Nothing varied: what does now is as far from it as can be.
            return (MOST if now.any() else 0.0), None
        was, now = was / scale, now / scale
        norms = squared_norm(pair.reference, scale), squared_norm(pair.current, scale)
        squared = norms[0] + norms[1] - 2 * float((was * now).sum())
        score = min(MOST, math.sqrt(max(0.0, squared) / float(np.square(was).sum())))
        if pair.excess_kurtosis is None or min(pair.n, pair.m) < _FEWEST_TO_TEST:
            return score, None
        noise = covariance_noise(pair, scale, max(0.0, (pair.n * norms[0] + pair.m * norms[1]) / (pair.n + pair.m)))
        return score, noise.p_value(squared + noise.first)


def squared_norm(side: Side, scale: float) -> float:
    """Trace of Σ² over `scale`², estimated without bias; of normal vectors only, where the kurtosis is not known."""
    count, covariance = side.count, side.covariance / scale
    squared, trace = float(np.square(covariance).sum()), float(covariance.trace())
    if side.radial_fourth is None:
        freedom = count - 1
        return (squared - trace**2 / freedom) * freedom**2 / ((freedom - 1) * (freedom + 2))
    fourth = side.radial_fourth / scale / scale / (count - 1)
    estimate = (count - 1) * (count - 2) * squared + trace**2 - count * fourth
    return estimate * (count - 1) / (count * (count - 2) * (count - 3))


def covariance_noise(pair: VectorPair, scale: float, squared_norm: float) -> WeightedChiSquared:
    """Distribution of the squared Frobenius distance of both sides' covariances over `scale`, without drift.

    With Σ the common covariance and κ the excess kurtosis, the covariance of all products of two dimensions is
    (1 + κ)(I + K)(Σ ⊗ Σ) + κ vec Σ vec Σᵀ where the distribution is elliptical, K being the commutation matrix
    (Muirhead, "Aspects of Multivariate Statistical Theory", 1982); these are the sums of its eigenvalues,
    of their squares and of their cubes.
    """
    pooled = pair.pooled / scale
    squared = pooled @ pooled
    t1, t3 = float(pooled.trace()), float((squared * pooled).sum())
    t2 = max(squared_norm, t1**2 / pair.dimensions)
    t4, t6 = float(np.square(squared).sum()), float((squared * (squared @ squared)).sum())
    # Of clusters, it may be lower than that of any elliptical distribution.
    k = max(0.0, pair.excess_kurtosis or 0.0)
    first = (1 + k) * (t1**2 + t2) + k * t2
    second = 2 * (1 + k) ** 2 * (t2**2 + t4) + 4 * k * (1 + k) * t4 + (k * t2) ** 2
    third = 4 * (1 + k) ** 3 * (t3**2 + t6) + 12 * k * (1 + k) ** 2 * t6
    third += 6 * k**2 * (1 + k) * t2 * t4 + (k * t2) ** 3
    return WeightedChiSquared(first, second, third).scaled(1 / pair.n + 1 / pair.m)

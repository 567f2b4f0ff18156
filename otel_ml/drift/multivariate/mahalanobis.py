"""Mahalanobis distance of the means."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.detector import require_number
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.vectors import VectorPair
from otel_ml.sketch.sketch import FloatArray

_NO_SPREAD: Final = 1e-5
"""Variance of a direction, where those of the dimensions are 1, from which on it may be rounding."""
_FAR: Final = 100.0
"""Squared standard deviations that a direction without spread must move to have moved at all."""
_ROUNDING: Final = 2.0**-22


@dataclass(frozen=True, slots=True)
class Mahalanobis(MultivariateDetector):
    """How far the mean moved, in standard deviations of the direction in which it moved.

    D² = dᵀ S⁻¹ d, with d the difference of the means and S the covariance within the two sides (Mahalanobis, 1936).
    What chance alone adds to D² on average is subtracted. Nothing that is linear in the dimensions changes D: neither
    units nor rotation. The p-value is that of the two-sample T² = nm / (n + m) · D² (Hotelling, "The generalization of
    Student's ratio", 1931): over p dimensions, T² (n + m - p - 1) / (p (n + m - 2)) has the F distribution with p and
    n + m - p - 1 degrees of freedom where vectors are normal, and nearly so with hundreds of any others. There is no
    test, and no score but 0, with fewer than p + 4 vectors in all.

    Directions in which nothing varies (a constant, or the sum of dimensions that add up to one) leave D²; one that
    moves nevertheless adds its distance in the smallest standard deviation that is not rounding, and the p-value is
    that of Fisher's exact test that none of one side have the other's value.

    Args:
        threshold: Distance above which the vectors count as drifted; Cohen (1988) calls 0.2 small.
    """

    name: ClassVar[str] = "mahalanobis"

    threshold: float = 0.2

    def __post_init__(self) -> None:
        require_number("mahalanobis::threshold", self.threshold, above=0)

    def measure(self, pair: VectorPair) -> tuple[float, float | None]:
        """The distance, and the probability of as much without drift."""
        variances = pair.pooled.diagonal()
        varies = variances > 0
        deviations = np.sqrt(variances[varies])
        shift = pair.shift[varies] / deviations
        correlations = pair.pooled[np.ix_(varies, varies)] / np.outer(deviations, deviations)
        spread, directions = np.linalg.eigh(correlations)
        along = shift @ directions
        used = spread > _NO_SPREAD
        squared, p_value = _distance(along[used], spread[used], pair.n, pair.m)
        # With few vectors, there are directions in which nothing varies for want of any that could.
        stuck = np.square(along[~used & (used.sum() < pair.n + pair.m - 2)]) / _NO_SPREAD
        moved = np.concatenate([stuck[stuck > _FAR], _moved_constants(pair, ~varies)])
        if moved.size:
            squared += float(moved.sum())
            p_value = min(1.0 if p_value is None else p_value, _separation_p_value(pair))
        return math.sqrt(squared), p_value


def _distance(along: FloatArray, spread: FloatArray, n: int, m: int) -> tuple[float, float | None]:
    """Squared distance without what chance adds, and its p-value."""
    p, freedom = len(along), n + m - 2
    if p == 0 or freedom < p + 2:
        return 0.0, None if freedom < p + 2 or n + m < 4 else 1.0
    squared = float((np.square(along) / spread).sum())
    effective = n * (m / (n + m))
    unbiased = squared * max(0.0, (freedom - p - 1) / freedom) - p / effective
    ratio = squared * effective * (freedom - p + 1) / (p * freedom)
    return max(0.0, unbiased), float(special.fdtrc(p, freedom - p + 1, ratio))


def _moved_constants(pair: VectorPair, constant: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> FloatArray:
    """Squared distances of dimensions that have one value on each side, and not the same."""
    was, now = pair.reference.mean[constant], pair.current.mean[constant]
    scale = np.maximum(np.abs(was), np.abs(now))
    relative = np.divide(np.abs(pair.shift[constant]), scale, out=np.zeros_like(scale), where=scale > 0)
    moved: FloatArray = np.square(relative[relative > _ROUNDING] / _ROUNDING)
    return moved


def _separation_p_value(pair: VectorPair) -> float:
    """The probability that chance parts n + m vectors, n of one value and m of another, just so; for any dimension."""
    n, m = pair.n, pair.m
    log_ways = -math.log(n + m + 1) - float(special.betaln(n + 1, m + 1))
    return min(1.0, pair.dimensions * math.exp(-log_ways))

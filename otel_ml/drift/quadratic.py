"""Squared differences of two distribution functions, summed up: what they are, and what chance makes of them.

Cramér-von Mises, Anderson-Darling and the energy distance are all of the form Q = Σ wₖ (F(xₖ) - G(xₖ))², with weights
that are shares of the values, shares over the variance, or widths. Without drift √(nm / (n + m)) (F - G) tends to a
Brownian bridge in the shares Hₖ of both samples together: normal, with covariance Hᵢ (1 - Hⱼ) for i ≤ j. So Q tends to
a sum of χ² with one degree of freedom each, weighted with the eigenvalues of that covariance times the weights (for
grouped values: Choulakian, Lockhart & Stephens, "Cramér-von Mises statistics for discrete distributions", 1994).

The eigenvalues need not be found. Their sums of powers are traces of the matrix, which here are sums over ordered pairs
and triples of points, to be had in one pass; three of them are enough for a p-value (Imhof, "Computing the distribution
of quadratic forms in normal variables", 1961, section 4). It is exact when there are two values only, and close to the
tables of the limits for continuous values: 5.2 % where they have 5 %.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.functions import Functions
from otel_ml.drift.rank_noise import RankNoise, own_presence, presence
from otel_ml.sketch.sketch import FloatArray


class ChiSquaredSum(NamedTuple):
    """Weighted sums of χ² with one degree of freedom each, by the power sums of their weights; all of shape (rows,)."""

    first: FloatArray
    second: FloatArray
    third: FloatArray

    def p_values(self, values: FloatArray) -> FloatArray:
        """The probability of as high a sum, or a higher one; 1 where there is nothing to sum up."""
        has_weights = self.second > 0
        second = np.where(has_weights, self.second, 1.0)
        third = np.where(has_weights, self.third, 1.0)
        freedom = np.square(second / third) * second
        standard = (values - self.first) * np.sqrt(freedom / second)
        # Below the mean of a sum with few degrees of freedom there may be nothing left of its χ².
        p_values: FloatArray = np.where(
            has_weights & (values > 0), special.chdtrc(freedom, np.maximum(0.0, freedom + standard)), 1.0
        )
        return p_values


def bridge_sum(shares: FloatArray, weights: FloatArray) -> ChiSquaredSum:
    """What Σ wₖ B(Hₖ)² is the sum of, for a Brownian bridge B; both of shape (rows, points), shares increasing."""
    above = 1 - shares
    left, right = weights * shares, weights * above
    variance = left * above
    left *= shares
    right *= above
    # Of all points before, and after.
    before = np.cumsum(left, axis=1)
    before -= left
    after = np.cumsum(right, axis=1)
    np.subtract(after[:, -1:], after, out=after)
    squared = np.square(variance)
    second = squared.sum(axis=1) + 2 * row_sums(before, right)
    left *= after
    right *= before
    left += right
    squared += 3 * left
    before *= after
    squared += 6 * before
    return ChiSquaredSum(variance.sum(axis=1), second, row_sums(variance, squared))


def corrected(difference: FloatArray, shares: FloatArray, weights: FloatArray, variance: FloatArray) -> FloatArray:
    """Σ wₖ (F(xₖ) - G(xₖ))², less what chance adds to it on average; (pairs,), 0 where there is no more than that.

    Args:
        difference: (pairs, points) between the two distribution functions.
        shares: (pairs, points) of a distribution in the middle between the two.
        weights: (pairs, points).
        variance: (pairs,) as `null_variance` has it, 0 for a sum that is not corrected.
    """
    rest: FloatArray = row_sums(weights, np.square(difference))
    rest -= variance * row_sums(weights, shares * (1 - shares))
    return np.maximum(0.0, rest)


def pooled_shares(functions: Functions, n: FloatArray, m: FloatArray) -> FloatArray:
    """Shares of both samples together at or below each point, shape (pairs, points)."""
    part = (n / (n + m))[:, np.newaxis]
    return part * functions.reference + (1 - part) * functions.current


def row_sums(left: FloatArray, right: FloatArray) -> FloatArray:
    """The sum of the products in each row, (rows,); without a matrix of the products."""
    sums: FloatArray = np.einsum("ij,ij->i", left, right)
    return sums


def masses_at(shares: FloatArray) -> FloatArray:
    """The mass that each point of a distribution function stands for: half of what lies to its left and right.

    With it Σ over the points is the mean of reading the values upwards and downwards. Where all values differ, both are
    the same; where they do not, neither direction is favoured.
    """
    masses = np.empty_like(shares)
    masses[:, 1:-1] = (shares[:, 2:] - shares[:, :-2]) / 2
    masses[:, 0] = shares[:, 1] / 2 if shares.shape[1] > 1 else 0.5
    if shares.shape[1] > 1:
        masses[:, -1] = (1 - shares[:, -2]) / 2
    return masses


def null_variance(
    n: FloatArray, m: FloatArray, noise: RankNoise, shares: FloatArray, weights: FloatArray
) -> FloatArray:
    """What a Brownian bridge is to be multiplied by, squared, to have the mean square that there is; (pairs,).

    1/n + 1/m, corrected as for drawing without replacement from both samples together, and what sampling sketches add.

    Args:
        n: (pairs,) values behind the reference.
        m: (pairs,) values behind the current window.
        noise: Of sampling sketches.
        shares: (pairs, points) of both samples together.
        weights: (pairs, points) of the statistic.
    """
    variance = chance_variance(n, m)
    if not noise.any():
        return variance
    added = noise.variance * row_sums(weights, presence(shares))
    whole = row_sums(weights, shares * (1 - shares))
    return variance + np.divide(added, whole, out=np.zeros_like(added), where=whole > 0)


def chance_variance(n: FloatArray, m: FloatArray) -> FloatArray:
    """1/n + 1/m, corrected as for drawing without replacement from both samples together, (pairs,).

    With it, the mean of the Cramér-von Mises statistic is that of Anderson, "On the distribution of the two-sample
    Cramér-von Mises criterion" (1962), for any n and m.
    """
    variance: FloatArray = (1 / n + 1 / m) * (n + m) / (n + m - 1)
    return variance


def null_sum(n: FloatArray, m: FloatArray, noise: RankNoise, shares: FloatArray, weights: FloatArray) -> ChiSquaredSum:
    """What Σ wₖ (F(xₖ) - G(xₖ))² is the sum of without drift; arguments as of `null_variance`.

    The covariance is that of a bridge, and of sketches: a part that is common to all ranks, c gᵢgⱼ, where g says how
    far the noise has set in, and a part of its own that neighbours hardly share. Traces of powers of the sum follow
    from one more pass over the points.
    """
    law = bridge_sum(shares, weights)
    variance = chance_variance(n, m)
    first, second, third = law.first * variance, law.second * variance**2, law.third * variance**3
    if not noise.any():
        return ChiSquaredSum(first, second, third)
    reached = presence(shares)
    common = noise.common * row_sums(weights, np.square(reached))
    weighted = weights * reached
    along = _times_bridge(weighted, shares)
    own = noise.own[:, np.newaxis] * weights * own_presence(shares)
    across = noise.common * variance * row_sums(weighted, along)
    twice = noise.common * variance**2 * row_sums(weights, np.square(along))
    first += common + own.sum(axis=1)
    second += 2 * across + common**2
    second += row_sums(own, own + 2 * variance[:, np.newaxis] * weights * shares * (1 - shares))
    third += 3 * (twice + across * common) + common**3
    return ChiSquaredSum(first, second, third)


def _times_bridge(weights: FloatArray, shares: FloatArray) -> FloatArray:
    """Σⱼ Cov(B(Hᵢ), B(Hⱼ)) wⱼ at every point i, (rows, points)."""
    above = 1 - shares
    left, right = weights * shares, weights * above
    after = right.sum(axis=1, keepdims=True) - right.cumsum(axis=1)
    product: FloatArray = above * left.cumsum(axis=1) + shares * after
    return product

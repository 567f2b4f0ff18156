"""What a score would be without drift: null distributions of the drift statistics.

Let a reference of n values and a current window of m values come from the same distribution over B cells. Then
(cᵢ - rᵢ) is normal with variance pᵢ(1 - pᵢ)(1/n + 1/m), and X = Σ (cᵢ - rᵢ)² / pᵢ tends to (1/n + 1/m) · χ² with B-1
degrees of freedom (Pearson, 1900). The second-order expansion of every f-divergence around r = c is a multiple of X
(Csiszár & Shields, "Information Theory and Statistics: A Tutorial", 2004, theorem 4.1):

    PSI                          ≈ X        Yurdakul, "Statistical Properties of Population Stability Index" (2018)
    Jensen-Shannon, in nats      ≈ X / 8
    Hellinger distance, squared  ≈ X / 8

so that one limit serves them all. The tests check it by simulation.
"""

from __future__ import annotations

import math

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.rank_noise import RankNoise, lift_of_supremum
from otel_ml.sketch.sketch import FloatArray

JENSEN_SHANNON_PER_PSI = 1 / (8 * math.log(2))
"""Jensen-Shannon divergence in bits over PSI, for small differences."""
SQUARED_HELLINGER_PER_PSI = 1 / 8
"""Squared Hellinger distance over PSI, for small differences."""


def homogeneity_p_values(
    reference: FloatArray, current: FloatArray, n: FloatArray, m: FloatArray, noise: RankNoise | None = None
) -> FloatArray:
    """The probability that two samples of one distribution differ as much over common cells, or more; for many pairs.

    Pearson's χ². PSI, 8 · JS and 8 · H² tend to the same limit, but later: with few values in a cell they exceed it,
    PSI most. So the test of all of them is this one. Where sampling sketches add to the differences, it is the same
    quadratic form with the covariance that counts and sketches have together: χ² again, of as many cells.

    Args:
        reference: (pairs, cells) shares of the references; cells in which both sides have nothing do not count.
        current: (pairs, cells) shares of the current windows.
        n: (pairs,) values behind each reference.
        m: (pairs,) values behind each current window.
        noise: Of sampling sketches; the cells then are in the order of their values.

    Returns:
        (pairs,) 1 where there are fewer than two cells.
    """
    pooled = (n[:, np.newaxis] * reference + m[:, np.newaxis] * current) / (n + m)[:, np.newaxis]
    is_used = pooled > 0
    by_chance = 1 / n + 1 / m
    variance = pooled * by_chance[:, np.newaxis]
    squared = np.divide(np.square(reference - current), variance, out=np.zeros_like(pooled), where=is_used)
    freedom = is_used.sum(axis=1) - 1
    statistic = squared.sum(axis=1)
    if noise is not None and noise.any():
        noisy = np.flatnonzero(noise.own)
        differences = (reference - current)[noisy]
        statistic[noisy] = _noisy_statistic(differences, pooled[noisy], by_chance[noisy], noise.of(noisy))
    p_values: FloatArray = np.where(freedom > 0, special.chdtrc(np.maximum(freedom, 1), statistic), 1.0)
    return p_values


def _noisy_statistic(differences: FloatArray, pooled: FloatArray, variance: FloatArray, noise: RankNoise) -> FloatArray:
    """The squared differences of ranks at the borders of cells, by the inverse of their covariance: (pairs,)."""
    last = max(1, int((pooled > 0).sum(axis=1).max(initial=0)) - 1)
    ranks, shares = differences.cumsum(axis=1)[:, :last], pooled.cumsum(axis=1)[:, :last]
    # Pairs with fewer cells, and cells without values, have borders at which there is nothing to see.
    is_border = (pooled[:, :last] > 0) & (shares < 1 - 1e-9)
    ranks = np.where(is_border, ranks, 0.0)
    both = is_border[:, :, np.newaxis] & is_border[:, np.newaxis]
    low = np.minimum(shares[:, :, np.newaxis], shares[:, np.newaxis])
    bridge = low - shares[:, :, np.newaxis] * shares[:, np.newaxis]
    covariance = np.where(
        both, variance[:, np.newaxis, np.newaxis] * bridge + noise.common[:, np.newaxis, np.newaxis], 0.0
    )
    diagonal = np.arange(last)
    covariance[:, diagonal, diagonal] += np.where(is_border, noise.own[:, np.newaxis], 1.0)
    statistic: FloatArray = (ranks * np.linalg.solve(covariance, ranks[:, :, np.newaxis])[:, :, 0]).sum(axis=1)
    return statistic


def psi_null_quantile(probability: float, n_reference: int, n_current: int, cells: int) -> float:
    """The PSI that stays above all but `1 - probability` of what chance alone produces."""
    if cells < 2:
        return 0.0
    return float(special.chdtri(cells - 1, 1 - probability)) * (1 / n_reference + 1 / n_current)


def jensen_shannon_null_quantile(probability: float, n_reference: int, n_current: int, cells: int) -> float:
    """The Jensen-Shannon distance that stays above all but `1 - probability` of what chance alone produces."""
    return math.sqrt(psi_null_quantile(probability, n_reference, n_current, cells) * JENSEN_SHANNON_PER_PSI)


def hellinger_null_quantile(probability: float, n_reference: int, n_current: int, cells: int) -> float:
    """The Hellinger distance that stays above all but `1 - probability` of what chance alone produces."""
    return math.sqrt(psi_null_quantile(probability, n_reference, n_current, cells) * SQUARED_HELLINGER_PER_PSI)


def kolmogorov_smirnov_p_values(
    distance: FloatArray,
    n_reference: FloatArray,
    n_current: FloatArray,
    noise: RankNoise | None = None,
    shares: FloatArray | None = None,
) -> FloatArray:
    """The probability of a Kolmogorov-Smirnov distance at least this high without drift.

    Q(λ · D), the two-sample limit of Smirnov (1939), with λ = √e + 0.12 + 0.11 / √e for e = nm / (n + m) where the
    limit has √e: the correction for small samples of Stephens, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and
    related statistics without extensive tables" (1970). Ties, and a supremum over fewer points than there are values,
    can only lower D, so that for discrete or binned values the result errs towards "no drift".

    Noise of sampling sketches that is common to all ranks, of variance c, widens the limit by as much as it does the
    bridge where that is widest: 1/n + 1/m becomes 1/n + 1/m + 4c. What each rank has of its own lifts the supremum, see
    `otel_ml.drift.rank_noise.lift_of_supremum`.

    Args:
        distance: (pairs,) D, the greatest distance between the two distribution functions.
        n_reference: (pairs,) values behind the reference.
        n_current: (pairs,) values behind the current window.
        noise: Of sampling sketches.
        shares: (pairs, points) of both samples together, where there is noise.
    """
    variance = 1 / n_reference + 1 / n_current
    if noise is not None and shares is not None and noise.any():
        distance = np.maximum(0.0, distance - lift_of_supremum(noise, variance, shares))
        variance = variance + 4 * noise.common
    root = 1 / np.sqrt(variance)
    p_values: FloatArray = special.kolmogorov((root + 0.12 + 0.11 / root) * distance)
    return p_values

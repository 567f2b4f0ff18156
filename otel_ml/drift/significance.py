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
from scipy.special import chdtrc, chdtri, kolmogorov

from otel_ml.sketch.sketch import FloatArray

JENSEN_SHANNON_PER_PSI = 1 / (8 * math.log(2))
"""Jensen-Shannon divergence in bits over PSI, for small differences."""
SQUARED_HELLINGER_PER_PSI = 1 / 8
"""Squared Hellinger distance over PSI, for small differences."""


def homogeneity_p_values(
    reference: FloatArray, current: FloatArray, n: FloatArray, m: FloatArray, noise: FloatArray
) -> FloatArray:
    """The probability that two samples of one distribution differ as much over common cells, or more; for many pairs.

    Pearson's χ². PSI, 8 · JS and 8 · H² tend to the same limit, but later: with few values in a cell they exceed it,
    PSI most. So the test of all of them is this one.

    Args:
        reference: (pairs, cells) shares of the references; cells in which both sides have nothing do not count.
        current: (pairs, cells) shares of the current windows.
        n: (pairs,) values behind each reference.
        m: (pairs,) values behind each current window.
        noise: (pairs,) what sampling sketches add to the variance of a cell's difference, see `sketch_noise`.

    Returns:
        (pairs,) 1 where there are fewer than two cells.
    """
    pooled = (n[:, np.newaxis] * reference + m[:, np.newaxis] * current) / (n + m)[:, np.newaxis]
    is_used = pooled > 0
    variance = pooled * (1 / n + 1 / m)[:, np.newaxis] + noise[:, np.newaxis]
    squared = np.divide(np.square(reference - current), variance, out=np.zeros_like(pooled), where=is_used)
    freedom = is_used.sum(axis=1) - 1
    statistic = squared.sum(axis=1)
    p_values: FloatArray = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), statistic), 1.0)
    return p_values


def psi_null_quantile(probability: float, n_reference: int, n_current: int, cells: int) -> float:
    """The PSI that stays above all but `1 - probability` of what chance alone produces."""
    if cells < 2:
        return 0.0
    return float(chdtri(cells - 1, 1 - probability)) * (1 / n_reference + 1 / n_current)


def jensen_shannon_null_quantile(probability: float, n_reference: int, n_current: int, cells: int) -> float:
    """The Jensen-Shannon distance that stays above all but `1 - probability` of what chance alone produces."""
    return math.sqrt(psi_null_quantile(probability, n_reference, n_current, cells) * JENSEN_SHANNON_PER_PSI)


def hellinger_null_quantile(probability: float, n_reference: int, n_current: int, cells: int) -> float:
    """The Hellinger distance that stays above all but `1 - probability` of what chance alone produces."""
    return math.sqrt(psi_null_quantile(probability, n_reference, n_current, cells) * SQUARED_HELLINGER_PER_PSI)


def kolmogorov_smirnov_p_values(
    distance: FloatArray, n_reference: FloatArray, n_current: FloatArray, rank_error: FloatArray
) -> FloatArray:
    """The probability of a Kolmogorov-Smirnov distance at least this high without drift.

    Q(λ · D), the two-sample limit of Smirnov (1939), with λ = √e + 0.12 + 0.11 / √e for e = nm / (n + m) where the
    limit has √e: the correction for small samples of Stephens, "Use of the Kolmogorov-Smirnov, Cramér-von Mises and
    related statistics without extensive tables" (1970). Ties, and a supremum over fewer points than there are values,
    can only lower D, so that for discrete or binned values the result errs towards "no drift".

    Noise of sampling sketches, of variance s², widens the limit by as much as it does the bridge where that is widest:
    1/n + 1/m becomes 1/n + 1/m + 4s². Being rough, it also lifts the supremum itself, by about s. So one test in thirty
    is below 5 % without drift, whether the noise is much smaller or much greater than what chance does.

    Args:
        distance: (pairs,) D, the greatest distance between the two distribution functions.
        n_reference: (pairs,) values behind the reference.
        n_current: (pairs,) values behind the current window.
        rank_error: (pairs,) what of D may be the error of sampling sketches, see `joint_rank_error`.
    """
    noise = sketch_variance(rank_error)
    root = 1 / np.sqrt(1 / n_reference + 1 / n_current + 4 * noise)
    p_values: FloatArray = kolmogorov((root + 0.12 + 0.11 / root) * np.maximum(0.0, distance - np.sqrt(noise)))
    return p_values


def joint_rank_error(reference: FloatArray, current: FloatArray) -> FloatArray:
    """How much of a distance between two distribution functions may come from the rank errors of their sketches.

    The errors are independent, hence the root of the sum of their squares. Each is given as a bound on what two such
    sketches differ by (see `QuantileSketch.rank_error`), hence the half: 1.5 % for two KLL sketches of k = 200, 1.1 %
    for one beside exact counts.
    """
    error: FloatArray = np.hypot(reference, current) / math.sqrt(2)
    return error


def sketch_variance(rank_error: FloatArray) -> FloatArray:
    """The variance of the error of a difference between two distribution functions, by its 99 % bound over all ranks.

    Of KLL with k = 200 the standard deviation was measured as 0.25 % of rank for one sketch and 0.36 % for two, at any
    rank, and the bounds as 1.1 % and 1.5 %: between a quarter and a fifth.

    Args:
        rank_error: (pairs,) as `joint_rank_error` has it.
    """
    variance: FloatArray = np.square(rank_error / 4)
    return variance


def sketch_noise(rank_error: FloatArray) -> FloatArray:
    """What sampling sketches add to the variance of the difference between the shares of a cell.

    A share is the difference of two ranks. Half of the variance of their errors was measured to be common to all ranks,
    which leaves the variance of one error for the difference. Errors of neighbouring cells are not those of shares,
    which sum to 1: they share a border, and weigh more in a sum of squares. Hence the half that is added.

    Args:
        rank_error: (pairs,) as `joint_rank_error` has it.
    """
    noise: FloatArray = 1.5 * sketch_variance(rank_error)
    return noise

"""Null distributions of the drift statistics, by simulation."""

import math

import numpy as np
import pytest
from drift_samples import binned, layout_of
from scipy import stats

from otel_ml.drift import create
from otel_ml.drift.rank_noise import RankNoise
from otel_ml.drift.significance import (
    hellinger_null_quantile,
    homogeneity_p_values,
    jensen_shannon_null_quantile,
    kolmogorov_smirnov_p_values,
    psi_null_quantile,
)


@pytest.mark.parametrize(
    ("name", "quantile"),
    [
        ("psi", psi_null_quantile),
        ("jensen_shannon", jensen_shannon_null_quantile),
        ("hellinger", hellinger_null_quantile),
    ],
)
@pytest.mark.parametrize(("n", "m"), [(1_000, 1_000), (10_000, 500)])
def test_one_score_in_twenty_exceeds_the_95_percent_quantile_without_drift(name, quantile, n, m):
    """PSI, 8 JS and 8 H² share the limit (1/n + 1/m) χ² with one degree of freedom fewer than bins."""
    rng = np.random.default_rng(n + m)
    detector = create(name, {"bias_corrected": False})
    scores = []
    for _ in range(400):
        reference = rng.normal(size=n)
        layout = layout_of(reference)
        scores.append(detector.compare(binned(reference, layout), binned(rng.normal(size=m), layout)).score)

    exceeding = np.mean(np.array(scores) > quantile(0.95, n, m, 10))

    assert 0.02 <= exceeding <= 0.085


def test_the_quantile_of_a_worked_example():
    """χ² with 9 degrees of freedom stays below 21.666 in 99 % of cases."""
    assert psi_null_quantile(0.99, 1_000, 500, 10) == pytest.approx(21.666 * 0.003, rel=1e-4)
    assert psi_null_quantile(0.99, 1_000, 500, 1) == 0


def test_homogeneity_is_pearsons_test():
    """As scipy computes it, cells that are empty on both sides left out."""
    reference, current = np.array([30, 0, 50, 20]), np.array([90, 0, 80, 30])
    expected = stats.chi2_contingency([[30, 50, 20], [90, 80, 30]], correction=False).pvalue

    found = homogeneity_p_values(
        reference[np.newaxis] / 100, current[np.newaxis] / 200, np.array([100.0]), np.array([200.0])
    )

    assert found[0] == pytest.approx(expected)


def test_the_limit_of_kolmogorov_and_smirnov():
    """Q(1.3581) = 5 %, the constant of every textbook table."""
    n = np.array([1e8])

    found = kolmogorov_smirnov_p_values(np.array([1.3581 / math.sqrt(5e7)]), n, n)

    assert found[0] == pytest.approx(0.05, rel=1e-3)


@pytest.mark.parametrize("n", [1_000, 30_000, 10_000_000])
def test_sketches_raise_as_many_alarms_as_counts(n):
    """Whether their noise is much smaller or much greater than what chance does."""
    distance, shares, noise = noisy_differences(n)
    size = np.full(len(distance), float(n))

    p_values = kolmogorov_smirnov_p_values(np.abs(distance).max(axis=1), size, size, noise, shares)

    assert 0.02 <= np.mean(p_values < 0.05) <= 0.07


@pytest.mark.parametrize("n", [1_000, 30_000, 10_000_000])
def test_cells_of_sketches_have_the_size_of_pearsons_test(n):
    """Ten cells, differing by what chance and two sketches make of them."""
    distance, _, noise = noisy_differences(n)
    borders = np.arange(20, 200, 20) - 1
    reference = np.full((len(distance), 10), 0.1)
    current = reference + np.diff(distance[:, borders], axis=1, prepend=0.0, append=0.0)
    size = np.full(len(distance), float(n))

    p_values = homogeneity_p_values(reference, current, size, size, noise)

    assert 0.035 <= np.mean(p_values < 0.05) <= 0.065


def test_cells_without_values_and_short_rows_change_nothing():
    """What a row is filled up with is no cell, in the covariance of sketches neither."""
    reference, current = np.array([[0.2, 0.3, 0.5]]), np.array([[0.25, 0.3, 0.45]])
    size, noise = np.array([1_000.0]), RankNoise(np.array([1e-5]), np.array([1e-5]))
    filled = [np.append(shares, np.zeros((1, 4)), axis=1) for shares in (reference, current)]

    expected = homogeneity_p_values(reference, current, size, size, noise)
    found = homogeneity_p_values(*filled, size, size, noise)

    assert found == pytest.approx(expected)
    assert found > homogeneity_p_values(reference, current, size, size)


def noisy_differences(n, rows=4_000):
    """Differences of ranks by chance, and by sketches half of whose errors is common to all ranks."""
    rng = np.random.default_rng(n)
    shares = np.arange(1, 200) / 200
    steps = rng.normal(size=(rows, 200)).cumsum(axis=1) / math.sqrt(200)
    bridges = (steps[:, :-1] - steps[:, -1:] * shares) * math.sqrt(2 / n)
    errors = 0.0027 * (rng.normal(size=(rows, 1)) + rng.normal(size=(rows, 199))) / math.sqrt(2)
    half = np.full(rows, 0.0027**2 / 2)
    return bridges + errors, np.broadcast_to(shares, bridges.shape), RankNoise(half, half)

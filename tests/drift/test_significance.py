"""Null distributions of the drift statistics, by simulation."""

import math

import numpy as np
import pytest
from drift_samples import binned, layout_of
from scipy import stats

from otel_ml.drift import create
from otel_ml.drift.significance import (
    hellinger_null_quantile,
    homogeneity_p_values,
    jensen_shannon_null_quantile,
    joint_rank_error,
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
        reference[np.newaxis] / 100, current[np.newaxis] / 200, np.array([100.0]), np.array([200.0]), np.zeros(1)
    )

    assert found[0] == pytest.approx(expected)


def test_the_limit_of_kolmogorov_and_smirnov():
    """Q(1.3581) = 5 %, the constant of every textbook table."""
    n = np.array([1e8])

    found = kolmogorov_smirnov_p_values(np.array([1.3581 / math.sqrt(5e7)]), n, n, np.zeros(1))

    assert found[0] == pytest.approx(0.05, rel=1e-3)


def test_the_errors_of_two_sketches_are_counted_once():
    """Each says what two of its kind differ by: 1.5 % for a pair, 1.1 % for one beside exact counts."""
    error = np.array([0.0153])

    assert joint_rank_error(error, error)[0] == pytest.approx(0.0153)
    assert joint_rank_error(error, np.zeros(1))[0] == pytest.approx(0.0108, abs=1e-4)


@pytest.mark.parametrize("n", [1_000, 30_000, 10_000_000])
def test_sketches_raise_no_more_alarms_than_counts(n):
    """Whether their noise is much smaller or much greater than what chance does; and not next to none either."""
    rng = np.random.default_rng(n)
    shares = np.arange(1, 200) / 200
    steps = rng.normal(size=(4_000, 200)).cumsum(axis=1) / math.sqrt(200)
    bridges = (steps[:, :-1] - steps[:, -1:] * shares) * math.sqrt(2 / n)
    # Half of the variance is common to all ranks.
    errors = 0.0025 * (rng.normal(size=(4_000, 1)) + rng.normal(size=(4_000, 199))) / math.sqrt(2)
    distance = np.abs(bridges + errors).max(axis=1)
    size, error = np.full(4_000, float(n)), joint_rank_error(np.full(4_000, 0.0153), np.zeros(4_000))

    alarms = np.mean(kolmogorov_smirnov_p_values(distance, size, size, error) < 0.05)

    assert 0.003 <= alarms <= 0.06

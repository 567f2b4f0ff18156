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
    detector = create(name)
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

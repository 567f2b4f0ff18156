"""Sums of squared differences between distribution functions, and what chance makes of them."""

import numpy as np
import pytest
from drift_samples import exact
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.columns import Columns
from otel_ml.drift.quadratic import bridge_sum, masses_at, null_sum, null_variance, pooled_shares
from otel_ml.drift.rank_noise import RankNoise, own_presence, presence

CONTINUOUS = np.arange(1, 20_000)[np.newaxis] / 20_000
parts = st.lists(st.tuples(st.integers(0, 30), st.floats(0, 10)), min_size=1, max_size=12)


def covariance(shares):
    return np.minimum.outer(shares, shares) - np.outer(shares, shares)


@given(parts=parts)
def test_power_sums_are_those_of_the_eigenvalues(parts):
    """One pass over the points finds the traces of the matrix and of its square and cube."""
    masses, weights = np.array(parts).T
    shares = np.cumsum(masses) / (masses.sum() + 1)
    eigenvalues = np.linalg.eigvals(covariance(shares) * weights).real

    found = bridge_sum(shares[np.newaxis], weights[np.newaxis])

    for power, one in enumerate(found, start=1):
        assert one[0] == pytest.approx((eigenvalues**power).sum(), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("statistic", "probability"), [(0.34730, 0.10), (0.46136, 0.05), (0.74346, 0.01), (1.16786, 0.001)]
)
def test_the_limit_of_cramer_von_mises(statistic, probability):
    """The table of Anderson & Darling (1952), and of Csorgo & Faraway (1996), within a tenth."""
    found = bridge_sum(CONTINUOUS, masses_at(CONTINUOUS)).p_values(np.array([statistic]))

    assert found[0] == pytest.approx(probability, rel=0.1)


@pytest.mark.parametrize(("statistic", "probability"), [(1.933, 0.10), (2.492, 0.05), (3.857, 0.01)])
def test_the_limit_of_anderson_and_darling(statistic, probability):
    """The table of Anderson & Darling (1954); Marsaglia & Marsaglia (2004) have more digits."""
    weights = masses_at(CONTINUOUS) / (CONTINUOUS * (1 - CONTINUOUS))

    assert bridge_sum(CONTINUOUS, weights).p_values(np.array([statistic]))[0] == pytest.approx(probability, rel=0.1)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_of_two_values_the_law_is_exact(share):
    """A single χ² with one degree of freedom: 5 % above 3.8415 times its weight."""
    law = bridge_sum(np.array([[share, 1.0]]), np.array([[2.0, 5.0]]))

    assert law.p_values(3.841459 * 2 * share * (1 - share) * np.ones(1))[0] == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize(("n", "m"), [(10, 10), (7, 300), (50, 20)])
def test_the_mean_of_small_samples_is_andersons(n, m):
    """(1 + 1 / (n + m)) / 6, whatever the sizes."""
    shares = np.arange(1, n + m + 1)[np.newaxis] / (n + m)
    weights = masses_at(shares)
    size, other = np.array([float(n)]), np.array([float(m)])

    mean = bridge_sum(shares, weights).first * null_variance(
        size, other, RankNoise(np.zeros(1), np.zeros(1)), shares, weights
    )

    assert mean[0] * n * m / (n + m) == pytest.approx((1 + 1 / (n + m)) / 6)


@given(parts=parts, noise=st.floats(0.0, 0.1), size=st.integers(2, 10_000))
def test_power_sums_with_noise_are_those_of_the_eigenvalues(parts, noise, size):
    """Of the covariance of counts and sketches together; neighbours' own errors are taken to be independent."""
    masses, weights = np.array(parts).T
    shares = np.cumsum(masses) / (masses.sum() + 1)
    reached, variance = presence(shares), 1 / size
    common, own = np.outer(reached, reached), np.diag(own_presence(shares))
    of_counts = covariance(shares) * (2 * variance * 2 * size / (2 * size - 1))
    eigenvalues = np.linalg.eigvals((of_counts + noise * (common + own)) * weights).real
    side, half = np.array([float(size)]), np.array([noise])

    found = null_sum(side, side, RankNoise(half, half), shares[np.newaxis], weights[np.newaxis])

    assert found.first[0] == pytest.approx(eigenvalues.sum(), rel=1e-6, abs=1e-9)
    # Of own errors the products with the common part, small as long as there are many points, are left out.
    assert found.second[0] <= np.square(eigenvalues).sum() * (1 + 1e-6) + 1e-9


def test_nothing_to_sum_up_is_no_evidence():
    """A single value on both sides."""
    columns = Columns([(exact([3.0]), exact([3.0, 3.0]))])
    shares = pooled_shares(columns.functions, columns.n, columns.m)

    assert bridge_sum(shares, masses_at(shares)).p_values(np.zeros(1))[0] == 1

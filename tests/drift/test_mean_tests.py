"""Tests of means from moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift.mean_tests import Groups, one_way, rarest, separation, two_means

sizes = st.integers(2, 40)


def groups(*samples):
    n, mean, m2 = zip(*((len(one), np.mean(one), np.var(one) * len(one)) for one in samples), strict=True)
    return Groups(np.array([n], dtype=float), np.array([mean]), np.array([m2]))


@given(seed=st.integers(0, 1_000), n=sizes, m=sizes, k=sizes)
def test_the_analysis_of_variance_is_that_of_scipy(seed, n, m, k):
    """Of three groups as of two; an offset of 1e6 does not cancel."""
    rng = np.random.default_rng(seed)
    samples = [rng.normal(1e6 + shift, size=size) for shift, size in ((0.0, n), (0.3, m), (0.6, k))]
    expected = max(stats.f_oneway(*samples).pvalue, rarest(np.array([[n, m, k]], float))[0])

    assert one_way(groups(*samples))[0] == pytest.approx(expected, rel=1e-5)


@given(seed=st.integers(0, 1_000), n=st.integers(5, 40), m=st.integers(5, 40), wider=st.floats(0.2, 5))
def test_two_means_have_the_larger_of_both_p_values(seed, n, m, wider):
    """Welch's, or Student's, but none below what a permutation could have."""
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=n), 0.5 + wider * rng.normal(size=m)
    expected = max(stats.ttest_ind(left, right, equal_var=equal).pvalue for equal in (True, False))
    expected = max(expected, rarest(np.array([[n, m]], float))[0])

    assert two_means(groups(left, right))[0] == pytest.approx(expected, rel=1e-6)


def test_skewed_values_raise_no_more_alarms_than_others():
    """50 log-normal values beside 100,000: Welch's test alone is below 5 % in a tenth of all cases."""
    rng = np.random.default_rng(1)
    population = rng.lognormal(size=100_000)
    alarms = np.mean([two_means(groups(population, rng.lognormal(size=50)))[0] < 0.05 for _ in range(600)])

    assert alarms <= 0.07


def test_two_values_beside_two_are_no_proof():
    """Without any spread the statistic is infinite; a permutation of four values still is one in three."""
    assert two_means(groups([0.0, 0.0], [1.0, 1.0]))[0] == pytest.approx(1 / 3)
    assert two_means(groups([0.0] * 300, [1.0] * 300))[0] < 1e-100


def test_one_value_a_side_cannot_be_tested():
    """There is no spread to be had."""
    assert np.isnan(two_means(groups([0.0], [1.0]))[0])


def test_the_separation_of_clean_groups_is_about_nothing():
    """What chance adds on average is taken off, at any size."""
    rng = np.random.default_rng(2)
    for size in (50, 500):
        squared = [separation(groups(*rng.normal(size=(2, size))), bias_corrected=False)[0] ** 2 for _ in range(500)]
        corrected = [separation(groups(*rng.normal(size=(2, size))))[0] for _ in range(500)]

        assert np.mean(squared) == pytest.approx(1 / (2 * size), rel=0.25)
        assert np.median(corrected) == 0


def test_next_to_no_spread_does_not_overflow():
    """Means that lie 1e150 deviations apart: found by the contract of detectors."""
    groups = Groups(np.array([[2.0, 1.0]]), np.array([[3.7e-155, 1.0]]), np.array([[2.8e-309, 0.0]]))

    assert np.isfinite(separation(groups)[0])
    assert 0 < one_way(groups)[0] <= 1

"""The energy distance."""

import numpy as np
import pytest
from drift_samples import binned, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift.univariate.energy import Energy


@given(seed=st.integers(0, 500), n=st.integers(5, 80), m=st.integers(5, 80))
def test_the_distance_is_that_of_scipy(seed, n, m):
    """Over the mean distance between two values; current values within the reference's range."""
    rng = np.random.default_rng(seed)
    reference = np.concatenate(([-9.0, 9.0], rng.normal(size=n)))
    current = rng.normal(0.4, size=m)
    mean_distance = np.abs(np.subtract.outer(reference, current)).mean()
    expected = stats.energy_distance(reference, current) / np.sqrt(2 * mean_distance)

    score = Energy(tail=1e-9, bias_corrected=False).compare(exact(reference), exact(current)).score

    assert score == pytest.approx(expected)


@pytest.mark.parametrize("factor", [1e-200, 3.7, 1e200])
def test_the_unit_does_not_matter(factor):
    """Nothing overflows, and nothing vanishes."""
    reference, current = np.random.default_rng(1).normal(size=(2, 500))
    here, there = (Energy().compare(exact(unit * reference), exact(unit * current)) for unit in (1.0, factor))

    assert there.score == pytest.approx(here.score)
    assert there.p_value == pytest.approx(here.p_value)


def test_the_p_value_is_that_of_a_permutation_test():
    """No permutations are needed to know what they would say."""
    rng = np.random.default_rng(3)
    reference, current = rng.exponential(size=150), rng.exponential(1.25, size=100)
    both = np.concatenate((reference, current))
    detector = Energy(bias_corrected=False, tail=1e-9)
    observed = stats.energy_distance(reference, current)
    shuffled = [
        stats.energy_distance(order[:150], order[150:]) for order in (rng.permutation(both) for _ in range(2_000))
    ]

    p_value = detector.compare(exact(reference), exact(current)).p_value

    assert p_value == pytest.approx(np.mean(np.array(shuffled) >= observed), abs=0.03)


def test_bins_come_close():
    """Also where the last bin is wide."""
    rng = np.random.default_rng(4)
    reference, current = rng.lognormal(size=20_000), rng.lognormal(0.2, size=5_000)
    layout = layout_of(reference)

    in_bins = Energy().compare(binned(reference, layout), binned(current, layout)).score

    assert in_bins == pytest.approx(Energy().compare(exact(reference), exact(current)).score, rel=0.05)


def test_a_constant_reference_scores_the_share_that_moved():
    """Without distances in the reference there is no unit."""
    result = Energy().compare(exact([5.0] * 100), exact([5.0] * 70 + [6.0] * 20 + [900.0] * 10))

    assert result.score == pytest.approx(0.3)
    assert result.p_value < 0.001

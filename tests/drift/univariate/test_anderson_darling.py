"""The Anderson-Darling distance."""

import math

import numpy as np
import pytest
from drift_samples import exact
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.univariate.anderson_darling import AndersonDarling
from otel_ml.drift.univariate.cramer_von_mises import CramerVonMises


def pettitt(reference, current):
    """A² = 1/(nm) Σ (Mᵢ N - n i)² / (i (N - i)), Mᵢ of the reference among the i smallest (Pettitt, 1976, eq. 1)."""
    n, m = len(reference), len(current)
    order = np.argsort(np.concatenate((reference, current)))
    among = np.cumsum(order < n)[:-1]
    places = np.arange(1, n + m)
    return float((np.square(among * (n + m) - n * places) / (places * (n + m - places))).sum() / (n * m))


@given(seed=st.integers(0, 500), size=st.integers(5, 200))
def test_the_statistic_is_pettitts(seed, size):
    """Of samples of one size, where the score has the same H."""
    reference, current = np.random.default_rng(seed).normal(size=(2, size))

    score = AndersonDarling(bias_corrected=False).compare(exact(reference), exact(current)).score

    assert score**2 * (8 * math.log(2) - 4) * size / 2 == pytest.approx(pettitt(reference, current))


def test_tails_count_in_full():
    """What moves the outermost 2 % of the values is lost on a mean over all of them."""
    rng = np.random.default_rng(2)
    reference, current = rng.normal(size=(2, 3_000))
    current[np.abs(current) > 2.2] *= 1.5
    pair = exact(reference), exact(current)

    assert AndersonDarling().compare(*pair).p_value < CramerVonMises().compare(*pair).p_value


def test_of_two_values_the_test_is_pearsons():
    """With one cut there is one difference, and both are its square over its variance."""
    result = AndersonDarling().compare(exact([0.0] * 5_000 + [1.0] * 5_000), exact([0.0] * 4_902 + [1.0] * 5_098))

    assert result.p_value == pytest.approx(0.1658, rel=2e-3)

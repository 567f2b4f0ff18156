"""The change of spread."""

import math

import numpy as np
import pytest
from drift_samples import binned, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift.univariate.levene import Levene


@given(seed=st.integers(0, 500), n=st.integers(5, 60), m=st.integers(5, 60))
def test_the_p_value_is_that_of_scipy(seed, n, m):
    """Where every value is known, of an even or an odd number of them."""
    rng = np.random.default_rng(seed)
    reference, current = rng.lognormal(size=n), 1.3 * rng.lognormal(size=m)

    p_value = Levene().compare(exact(reference), exact(current)).p_value

    assert p_value == pytest.approx(stats.levene(reference, current, center="median").pvalue, rel=1e-6)


@pytest.mark.parametrize("draw", ["normal", "lognormal", "exponential"])
@pytest.mark.parametrize("factor", [0.7, 1.0, 1.2])
def test_bins_and_moments_come_close(draw, factor):
    """The tails lie in two wide bins; the means say how much of it there is."""
    rng = np.random.default_rng(3)
    reference, current = getattr(rng, draw)(size=20_000), factor * getattr(rng, draw)(size=5_000)
    layout = layout_of(reference)

    in_bins = Levene().compare(binned(reference, layout), binned(current, layout)).score

    assert in_bins == pytest.approx(Levene().compare(exact(reference), exact(current)).score, abs=0.02)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_the_score_is_the_logarithm_of_the_ratio(factor):
    """Growing and shrinking by the same factor are the same change."""
    reference = np.random.default_rng(4).normal(size=5_000)

    score = Levene().compare(exact(reference), exact(factor * reference + 9)).score

    assert score == pytest.approx(abs(math.log(factor)), rel=0.01)


def test_a_shift_is_no_change_of_spread():
    """Wherever the values lie."""
    reference, current = np.random.default_rng(5).normal(size=(2, 2_000))
    layout = layout_of(reference)

    assert not Levene().compare(exact(reference), exact(current + 1)).drifted
    assert not Levene().compare(binned(reference, layout), binned(current + 0.5, layout)).drifted
    assert not Levene().compare(binned(reference, layout), binned(current + 100, layout)).drifted


def test_an_outlier_below_all_bins_counts_as_far_as_it_lies():
    """The mean says how far; of the two sides of the median the one is taken that knows more."""
    reference, current = np.random.default_rng(6).normal(1_000.0, 5.0, size=(2, 1_000))
    current[0] = 0.01
    layout = layout_of(reference)

    in_bins = Levene().compare(binned(reference, layout), binned(current, layout)).score

    assert in_bins == pytest.approx(Levene().compare(exact(reference), exact(current)).score, abs=0.02)


def test_a_constant_that_leaves_its_bins_has_no_spread_yet():
    """Beyond the last edge a value may lie anywhere, but the moments know."""
    layout = layout_of([7.0] * 50)

    assert Levene().compare(binned([7.0] * 50, layout), binned([9.0] * 50, layout)).score == 0


def test_a_constant_beside_values_is_the_greatest_change():
    """The ratio is infinite; the score stays a number."""
    values = np.arange(50.0)

    assert Levene().compare(exact([7.0] * 50), exact(values)).score == 10
    assert Levene().compare(exact(values), exact([7.0] * 50)).score == 10
    assert Levene().compare(exact([7.0] * 50), exact([9.0] * 50)).score == 0

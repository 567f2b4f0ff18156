"""The procedures of Benjamini & Hochberg and of Benjamini & Yekutieli."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from otel_ml.drift.false_discovery import benjamini_hochberg, benjamini_yekutieli


def test_a_worked_example():
    """The fifteen p-values of the 1995 paper, of which four are discoveries at 5 %."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
                0.7590, 1.0]  # fmt: skip

    q_values = benjamini_hochberg(p_values)

    assert q_values[0] == pytest.approx(0.0015)
    assert sum(q <= 0.05 for q in q_values) == 4


@given(p_values=st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_both_are_those_of_scipy(p_values):
    """An implementation that others wrote gives the same q-values."""
    assert benjamini_hochberg(p_values) == pytest.approx(false_discovery_control(p_values, method="bh"))
    assert benjamini_yekutieli(p_values) == pytest.approx(false_discovery_control(p_values, method="by"))


@pytest.mark.parametrize("p_value", [-0.1, 1.1, math.inf])
def test_what_is_no_p_value_is_refused(p_value):
    """A number outside [0, 1] is a mistake of the caller, not evidence."""
    with pytest.raises(ValueError, match="each must be a number from 0 to 1"):
        benjamini_hochberg([0.5, p_value])


def test_what_was_not_tested_stays_out():
    """None and NaN are no tests: the others are corrected as if they were not there."""
    assert benjamini_hochberg([None, 0.02, math.nan, 0.04]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]


@pytest.mark.parametrize("p_values", [[], [None]])
def test_no_test_has_no_q_value(p_values):
    """A model without a testable feature is no error."""
    assert benjamini_hochberg(p_values) == p_values


def test_any_dependence_costs_the_harmonic_number():
    """Benjamini-Yekutieli q-values are those of Benjamini-Hochberg times 1 + 1/2 + … + 1/n, at most 1."""
    assert benjamini_yekutieli([0.01, None, 0.02, 0.9]) == [
        pytest.approx(0.03 * 11 / 6),
        None,
        pytest.approx(0.03 * 11 / 6),
        1.0,
    ]


def test_the_share_of_false_discoveries_holds_whatever_the_dependence():
    """Clean p-values made to collide where Benjamini-Hochberg is weakest: 5 % of the families at most are spoiled.

    The worst case of two p-values: the second depends on the first so that BH at 5 % errs in 7.5 % of the families.
    """
    rng = np.random.default_rng(0)
    spoiled = {"bh": 0, "by": 0}
    for u in rng.random(20_000).tolist():
        # Below 0.05 both fall together just at BH's second step, below 0.075 each alone at its first.
        if u < 0.025:
            pair = [0.025 + u, 0.025 + u]
        elif u < 0.05:
            pair = [u - 0.025, 0.5]
        elif u < 0.075:
            pair = [0.5, u - 0.05]
        else:
            pair = [0.5 + u / 2, 0.5 + u / 2]
        spoiled["bh"] += min(benjamini_hochberg(pair)) <= 0.05
        spoiled["by"] += min(benjamini_yekutieli(pair)) <= 0.05

    assert spoiled["bh"] / 20_000 == pytest.approx(0.075, abs=0.006)
    assert spoiled["by"] / 20_000 <= 0.05

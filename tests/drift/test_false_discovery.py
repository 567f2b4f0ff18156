"""The Benjamini-Hochberg procedure."""

import math

import pytest

from otel_ml.drift import benjamini_hochberg


def test_a_worked_example():
    """The fifteen p-values of the 1995 paper, of which four are discoveries at 5 %."""
    p_values = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
                0.7590, 1.0]  # fmt: skip

    q_values = benjamini_hochberg(p_values)

    assert q_values[0] == pytest.approx(0.0015)
    assert sum(q <= 0.05 for q in q_values) == 4


def test_what_was_not_tested_stays_out():
    """None and NaN are no tests: the others are corrected as if they were not there."""
    assert benjamini_hochberg([None, 0.02, math.nan, 0.04]) == [None, pytest.approx(0.04), None, pytest.approx(0.04)]


@pytest.mark.parametrize("p_values", [[], [None]])
def test_no_test_has_no_q_value(p_values):
    """A model without a testable feature is no error."""
    assert benjamini_hochberg(p_values) == p_values

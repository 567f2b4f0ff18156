import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drawing.numerals import numeral, numerals, percent, round_steps


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1_250_000.0, "1,250,000"),
        (0.0125, "0.0125"),
        (12.0, "12"),
        (-3.14159, "-3.142"),
        (3.2e-11, "3.2e-11"),
        (1e300, "1e300"),
        (5e-324, "4.941e-324"),
        (1.7976931348623157e308, "1.798e308"),
        (999_999_999.9, "1e9"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (math.nan, "NaN"),
    ],
)
def test_a_number_is_told_in_four_digits(value, text):
    """As people write it."""
    assert numeral(value) == text


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30, unique=True))
def test_different_numbers_are_told_apart(values):
    """In as many digits as that takes."""
    values = sorted({value + 0.0 for value in values})

    assert len(set(numerals(values))) == len(values)


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0%"), (1e-9, "<0.1%"), (0.0016, "0.16%"), (0.12345, "12.3%"), (0.9999, "100%"), (1.0, "100%")],
)
def test_a_share_is_told_in_percent(share, text):
    """In three digits."""
    assert percent(share) == text


@given(st.floats(1e-300, 1e300), st.integers(2, 8))
def test_steps_reach_the_highest_value(highest, at_most):
    """In no more steps than there is room for."""
    steps = round_steps(highest, at_most)

    assert steps[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(steps) <= at_most + 1


def test_steps_of_nothing_are_of_one():
    """A scale needs a height."""
    assert round_steps(0.0, 4) == round_steps(math.nan, 4) == round_steps(5e-324, 4) == [0.0, 1.0]

"""What changed about the shape of a column."""

import math

import numpy as np
import pytest
from drift_samples import binned, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.univariate.shape import shape_change

REFERENCE = np.random.default_rng(1).normal(100, 10, size=20_000)


@pytest.mark.parametrize("form", ["exact", "bins"])
def test_a_shift_moves_the_mean_and_every_quantile(form):
    """In standard deviations of the reference; spread and skewness stay."""
    layout = layout_of(REFERENCE)
    sides = [exact(values) if form == "exact" else binned(values, layout) for values in (REFERENCE, REFERENCE + 3)]

    change = shape_change(*sides)

    assert change.mean == pytest.approx(0.3, abs=0.01)
    assert change.log_spread == pytest.approx(0, abs=1e-6)
    assert change.skewness == pytest.approx(0, abs=0.01)
    assert change.quantiles[:4] == pytest.approx([0.3] * 4, abs=0.02)


def test_a_spread_that_grows_moves_the_quantiles_apart():
    """The median stays."""
    change = shape_change(exact(REFERENCE), exact(100 + 1.5 * (REFERENCE - 100)))

    assert change.log_spread == pytest.approx(math.log(1.5), rel=1e-3)
    assert change.quantiles[0] < -0.7 < 0.7 < change.quantiles[4]
    assert change.quantiles[2] == pytest.approx(0, abs=0.01)


def test_skewness_is_bowleys():
    """Of exponential values ln(4/3) / ln 3, of normal ones 0."""
    change = shape_change(exact(REFERENCE), exact(np.random.default_rng(2).exponential(size=50_000)))

    assert change.skewness == pytest.approx(math.log(4 / 3) / math.log(3), abs=0.03)


@given(
    before=st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=9),
    after=st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=9),
)
def test_any_numbers_have_quantiles_that_move(before, after):
    """Constants and single values included."""
    change = shape_change(exact(before), exact(after))

    assert np.isfinite(change.quantiles).all()
    assert math.isfinite(change.mean)
    assert -2 <= change.skewness <= 2
    assert not math.isnan(change.log_spread)


def test_a_constant_that_moves_has_a_unit():
    """The difference itself."""
    change = shape_change(exact([5.0] * 9), exact([7.0] * 9))

    assert (change.mean, change.log_spread, change.skewness) == (1, 0, 0)
    assert change.quantiles == (1, 1, 1, 1, 1)

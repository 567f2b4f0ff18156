import numpy as np
import pytest
from drift_samples import binned, categories, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.columns import Columns
from otel_ml.drift.explanation import effect_sizes

values = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60)


def effect(reference, current):
    return effect_sizes(Columns([(reference, current)]))[0]


def test_of_truth_values_it_is_the_difference_of_shares_in_standard_deviations():
    """0.5 and 0.8 true: 0.3 over the deviation of a share of 0.65."""
    million = 10**6

    size = effect(categories(false=million, true=million), categories(false=0.2 * million, true=0.8 * million))

    assert size == pytest.approx(0.3 / np.sqrt(0.65 * 0.35), rel=1e-4)


@pytest.mark.parametrize("shift", [0.1, 0.25, 0.5])
def test_of_a_shifted_normal_it_is_the_shift(shift):
    """The mean is the function of a normal column that shows its shift best."""
    chance = np.random.default_rng(1)
    reference, current = chance.normal(size=200_000), chance.normal(shift, size=200_000)

    size = effect(binned(reference, layout_of(reference)), binned(current, layout_of(reference)))

    assert size == pytest.approx(shift, rel=0.06)


@given(values, values)
def test_it_lies_between_nothing_and_everything(was, now):
    """0 for equal windows, at most 2, the same in both directions for categories."""
    there = effect(exact(was), exact(now))

    assert 0 <= there <= 2
    assert effect(exact(was), exact(was)) == 0


def test_windows_without_a_common_value_have_the_largest():
    """2, but for what chance can do."""
    assert effect(exact([1.0] * 10_000), exact([2.0] * 10_000)) == pytest.approx(2, abs=1e-3)
    assert effect(categories(a=10_000), categories(b=10_000)) == pytest.approx(2, abs=1e-3)


def test_no_function_of_the_column_shifts_more():
    """Cauchy-Schwarz: for any function of a category the shift of its mean is at most the effect size."""
    chance = np.random.default_rng(1)
    was, now = np.array([500_000, 300_000, 200_000]), np.array([400_000, 250_000, 350_000])
    size = effect(categories(**dict(zip("abc", was, strict=True))), categories(**dict(zip("abc", now, strict=True))))
    r, c = was / was.sum(), now / now.sum()
    p = (r + c) / 2

    functions = chance.normal(size=(5_000, 3))
    deviations = np.sqrt((functions**2) @ p - (functions @ p) ** 2)
    shifts = np.abs(functions @ (c - r)) / deviations

    assert shifts.max() <= size * (1 + 1e-4)
    assert shifts.max() == pytest.approx(size, rel=1e-3)


def test_without_drift_it_is_about_nothing_at_every_size():
    """What chance adds on average is taken off: the mean of e² without drift is small beside what it adds."""
    chance = np.random.default_rng(1)
    reference = chance.normal(size=10_000)
    layout = layout_of(reference)
    pairs = [(binned(reference, layout), binned(chance.normal(size=200), layout)) for _ in range(200)]

    squared = effect_sizes(Columns(pairs)) ** 2

    by_chance = 11 / 200
    assert squared.mean() < by_chance / 2
    assert (squared == 0).mean() > 0.4

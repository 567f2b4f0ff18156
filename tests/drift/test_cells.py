"""Two samples counted in common cells."""

from types import SimpleNamespace

import numpy as np
import pytest
from drift_samples import binned, categories, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.columns import Columns


def cells(reference, current, bins=10):
    """The cells of one pair, those in use."""
    found = Columns([(reference, current)]).cells(bins)
    used = found.reference[0] + found.current[0] > 0
    return SimpleNamespace(
        reference=found.reference[0][used], current=found.current[0][used], p_value=float(found.p_value[0])
    )


@pytest.mark.parametrize("bins", [2, 10, 50])
def test_cells_have_equal_mass(bins):
    """Where the reference allows it, each holds the same share of it."""
    reference = np.random.default_rng(0).normal(size=10_000)

    shared = cells(exact(reference), exact(reference + 0.1), bins)

    assert len(shared.reference) == bins
    assert shared.reference == pytest.approx(1 / bins, rel=0.01)


def test_each_cell_has_enough_values():
    """Neighbours are joined until five values are to be expected in the smaller sample."""
    rng = np.random.default_rng(1)

    shared = cells(exact(rng.normal(size=5_000)), exact(rng.normal(size=40)), 100)

    assert ((5_000 * shared.reference + 40 * shared.current) / 5_040 * 40 >= 5 - 1e-9).all()
    assert len(shared.reference) > 2


def test_too_few_values_for_two_cells_are_no_evidence():
    """The score is what it is, the p-value admits that it may well be chance."""
    assert cells(exact([1.0, 2.0, 3.0]), exact([7.0]), 10).p_value == 1
    assert cells(categories(a=5), categories(b=1)).p_value == 1


@given(seed=st.integers(0, 50))
def test_shares_sum_to_one(seed):
    """Joining and pooling lose nothing."""
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(size=300), rng.normal(1, size=60)
    layout = layout_of(reference)

    for shared in (
        cells(binned(reference, layout), exact(current), 10),
        cells(categories(a=300, b=3, c=1), categories(a=20, d=30, e=1)),
    ):
        assert shared.reference.sum() == pytest.approx(1)
        assert shared.current.sum() == pytest.approx(1)


def test_two_kinds_cannot_be_compared():
    """A number is no category."""
    with pytest.raises(TypeError, match="cannot compare NumericDistribution with CategoricalDistribution"):
        cells(exact([1.0]), categories(a=1))


@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=5), bins=st.integers(2, 30))
def test_a_column_has_the_same_cells_alone_as_among_others(sizes, bins):
    """Columns are compared in matrices, but never with each other."""
    rng = np.random.default_rng(sum(sizes))
    pairs = [(exact(rng.normal(size=size).round(1)), exact(rng.normal(size=17))) for size in sizes]

    together = Columns(pairs).cells(bins)

    for row, pair in enumerate(pairs):
        alone = Columns([pair]).cells(bins)
        assert np.array_equal(together.reference[row], alone.reference[0])
        assert np.array_equal(together.current[row], alone.current[0])
        assert together.used[row] == alone.used[0]
        assert together.p_value[row] == pytest.approx(alone.p_value[0])

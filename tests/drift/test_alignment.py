"""Common points and common cells of two distributions."""

import numpy as np
import pytest
from drift_samples import binned, categories, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.alignment import cells, functions
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.exponential import ExponentialHistogram

values = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=50)


@given(reference=values, current=values, edges=st.sets(st.integers(-25, 25), min_size=1, max_size=10))
def test_bins_against_values_are_compared_where_the_bins_are_known(reference, current, edges):
    """At the common points both functions are the truth; nothing is interpolated."""
    layout = BinLayout(np.array(sorted(edges), dtype=float))

    aligned = functions(binned(reference, layout), exact(current))

    assert np.allclose(aligned.reference, exact(reference).cdf(aligned.points))
    assert np.allclose(aligned.current, exact(current).cdf(aligned.points))
    assert set(layout.edges) <= set(aligned.points)


@given(
    reference=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=50),
    current=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=50),
)
def test_histograms_of_two_scales_are_compared_where_both_are_known(reference, current):
    """Bounds of one scale are bounds of every higher one."""
    sides = [ExponentialHistogram.of(np.array(side)).distribution() for side in (reference, current)]

    aligned = functions(*sides)

    assert np.allclose(aligned.reference, exact(reference).cdf(aligned.points))
    assert np.allclose(aligned.current, exact(current).cdf(aligned.points))


def test_without_a_common_border_functions_are_interpolated():
    """Better a straight line in a bin than no answer at all."""
    reference, current = np.linspace(0, 10, 1001), np.linspace(1, 11, 1001)

    aligned = functions(
        binned(reference, BinLayout(np.array([2.0, 5.0]))), binned(current, BinLayout(np.array([3.0, 6.0])))
    )

    assert np.abs(aligned.reference - aligned.current).max() == pytest.approx(0.1, abs=0.01)


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

    assert ((shared.reference + shared.current) / 2 * 40 >= 5 - 1e-9).all()
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

"""Two distribution functions at common points."""

from types import SimpleNamespace

import numpy as np
import pytest
from drift_samples import binned, exact
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.functions import functions_of
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.exponential import ExponentialHistogram


def function_pair(reference, current):
    """Points and both functions of one pair."""
    found = functions_of([(reference, current)])
    return SimpleNamespace(points=found.points[0], reference=found.reference[0], current=found.current[0])


values = st.lists(st.integers(-20, 20).map(float), min_size=1, max_size=50)


@given(reference=values, current=values, edges=st.sets(st.integers(-25, 25), min_size=1, max_size=10))
def test_bins_against_values_are_compared_where_the_bins_are_known(reference, current, edges):
    """At the common points both functions are the truth; nothing is interpolated."""
    layout = BinLayout(np.array(sorted(edges), dtype=float))

    aligned = function_pair(binned(reference, layout), exact(current))

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

    aligned = function_pair(*sides)

    assert np.allclose(aligned.reference, exact(reference).cdf(aligned.points))
    assert np.allclose(aligned.current, exact(current).cdf(aligned.points))


def test_without_a_common_border_functions_are_interpolated():
    """Better a straight line in a bin than no answer at all."""
    reference, current = np.linspace(0, 10, 1001), np.linspace(1, 11, 1001)

    aligned = function_pair(
        binned(reference, BinLayout(np.array([2.0, 5.0]))), binned(current, BinLayout(np.array([3.0, 6.0])))
    )

    assert np.abs(aligned.reference - aligned.current).max() == pytest.approx(0.1, abs=0.01)


def test_a_short_pair_beside_a_long_one_repeats_its_last_point():
    """What fills a row up has neither width nor mass."""
    short, long = (exact([1.0, 2.0]), exact([2.0])), (exact(np.arange(9.0)), exact(np.arange(4.0)))

    found = functions_of([short, long])

    assert found.points.shape == found.reference.shape == found.current.shape
    assert set(found.points[0]) == {1.0, 2.0}
    assert found.reference[0][found.points[0] == 2.0].max() == 1.0
    assert (np.diff(found.points[0, 3:]) == 0).all()

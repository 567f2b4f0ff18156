import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from otel_ml.baseline.columns import NumberBatch, NumberColumn
from otel_ml.baseline.numeric import QUANTILES_K, quantile_sketch, runs, summarise_numbers
from otel_ml.sketch.bins import layout_from_quantiles
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters
from otel_ml.sketch.moments import Moments

doubles = arrays(np.float64, st.integers(1, 400), elements=st.floats(-1e6, 1e6, width=32))
anything = arrays(np.float64, st.integers(1, 400), elements=st.floats())


def summarise(values, **settings_):
    return summarise_numbers(NumberColumn.of(values), len(values), **settings_)


@given(anything)
def test_every_row_is_accounted_for(values):
    """A row is missing, infinite or finite, and only finite ones are in the sketches."""
    summary, counters, layout = summarise(values)
    finite = np.isfinite(values)

    assert counters.rows == len(values)
    assert counters.missing == np.isnan(values).sum()
    assert counters.positive_infinite == (values == np.inf).sum()
    assert counters.negative_infinite == (values == -np.inf).sum()
    assert summary.moments.count == counters.valid == finite.sum()
    assert (layout is None) == (not finite.any())


@given(doubles)
def test_every_sketch_holds_all_values(values):
    """Unlike in a window, bins, histogram, exact counts and quantiles stand side by side."""
    summary, _, layout = summarise(values)

    assert summary.bins[layout.hash].count == len(values)
    assert summary.histogram.count == len(values)
    assert summary.quantiles.count == len(values)
    assert summary.exact is None or summary.exact.count == len(values)
    assert (summary.exact is not None) == (len(np.unique(values)) <= 256)


@given(doubles)
def test_edges_are_cut_from_the_exact_quantiles(values):
    """A column that fits into one run has the edges of all its values."""
    _, _, layout = summarise(values)

    assert layout == layout_from_quantiles(np.sort(values))


def test_edges_of_a_large_column_are_exact_too():
    """The strata that edges are cut from end at the quantiles themselves."""
    values = np.random.default_rng(5).lognormal(size=200_003)

    _, _, layout = summarise(values)

    assert layout == layout_from_quantiles(np.sort(values))


@settings(max_examples=30, deadline=None)
@given(doubles, st.integers(3, 100))
def test_counts_do_not_depend_on_the_length_of_a_run(values, run):
    """Columns too long to be sorted at once lose nothing but exactness of their edges."""
    summary, counters, layout = summarise(values, longest_run=1, short_run=run)
    expected = ExponentialHistogram.of(values)

    assert counters.rows == len(values)
    assert summary.bins[layout.hash].counts.tolist() == layout.count_sorted(np.sort(values)).tolist()
    assert summary.histogram.scale == expected.scale
    assert summary.histogram.zero_count == expected.zero_count
    assert summary.histogram.positive.counts.tolist() == expected.positive.counts.tolist()
    assert summary.histogram.negative.counts.tolist() == expected.negative.counts.tolist()
    assert summary.moments.minimum == values.min()
    assert summary.moments.maximum == values.max()
    assert math.isclose(summary.moments.mean, Moments.of(values).mean, rel_tol=1e-9, abs_tol=1e-6)


def test_edges_from_samples_are_near_the_quantiles():
    """A column of many runs is cut into bins of nearly equal mass, and its range is exact."""
    values = np.random.default_rng(7).normal(size=500_000)

    summary, _, layout = summarise(values, longest_run=1, short_run=9_000)

    ranks = np.linspace(0, 1, 101)
    found = np.searchsorted(np.sort(values), summary.quantiles.quantiles(ranks), side="right") / len(values)
    inside = summary.bins[layout.hash].counts[1:-1]
    assert abs(found - ranks).max() < 2e-3
    assert layout.edges[0] == np.nextafter(values.min(), -np.inf)
    assert layout.edges[-1] == values.max()
    assert abs(inside / len(values) - 1 / 64).max() < 2e-3


def test_samples_of_very_long_columns_are_thinned_out(monkeypatch):
    """However many runs there are, the samples of all fit into memory, and edges stay near the quantiles."""
    monkeypatch.setattr("otel_ml.baseline.numeric._MANY", 80_000)
    values = np.random.default_rng(9).exponential(size=400_000)

    summary, _, layout = summarise(values, longest_run=1, short_run=2_000)

    counts = summary.bins[layout.hash].counts
    assert counts.sum() == len(values)
    assert abs(counts[1:-1] / len(values) - 1 / 64).max() < 3e-3


@given(st.lists(st.lists(st.floats(-100, 100)), max_size=8), st.integers(1, 20))
def test_runs_do_not_depend_on_batches(batches, length):
    """The same values in other pieces make the same runs."""
    values = [value for batch in batches for value in batch]

    found = [run.tolist() for run in runs((NumberBatch(np.array(b)) for b in batches), Counters(), length)]

    assert found == [values[start : start + length] for start in range(0, len(values), length)]


@pytest.mark.parametrize("count", [1, 2, QUANTILES_K, QUANTILES_K + 1, 2047, 2048, 65_537, 1_000_003])
def test_quantiles_are_within_the_error_they_claim(count):
    """Evenly spaced ranks keep every quantile within half their distance, and the count exact."""
    values = np.sort(np.random.default_rng(count).gamma(2.0, size=count))

    sketch = quantile_sketch(values)

    ranks = np.linspace(0, 1, 513)
    found = np.searchsorted(values, sketch.quantiles(ranks), side="right") / count
    assert sketch.count == count
    assert np.allclose((sketch.minimum, sketch.maximum), (values[0], values[-1]), rtol=1e-6)
    assert abs(found - ranks).max() <= 1 / min(count, QUANTILES_K - 1) + 1e-12


def test_an_outlier_weighs_one_value():
    """The extremes of a million values do not stand for a thousand each."""
    values = np.append(np.linspace(0, 1, 1_000_000), 1e30)

    distribution = quantile_sketch(values).distribution()

    assert distribution.total - distribution.cumulative[-2] == 1


def test_weighted_samples_make_a_sketch_of_what_they_stand_for():
    """Samples of a long column count as often as they stand for values."""
    values, weights = np.arange(5_000.0), np.full(5_000, 37)

    sketch = quantile_sketch(values, weights, minimum=-1.0, maximum=6_000.0)

    assert sketch.count == 5_000 * 37
    assert (sketch.minimum, sketch.maximum) == (-1.0, 6_000.0)
    assert abs(sketch.quantiles([0.5])[0] - 2_500) < 10


def test_zeros_of_either_sign_are_one_value():
    """-0.0 and 0.0 leave the same bytes."""
    summary, _, _ = summarise(np.array([-0.0, 0.0, 1.0]))

    assert summary.exact.values.tolist() == [0.0, 1.0]
    assert math.copysign(1.0, summary.moments.minimum) == 1.0


@pytest.mark.parametrize("dtype", ["i1", "u8", ">i4", "f2", "f4", ">f8", np.longdouble])
def test_every_type_of_number_is_read(dtype):
    """Integers and floats of any width and byte order are doubles in the end."""
    summary, counters, _ = summarise(np.array([1, 2, 3], dtype=dtype))

    assert counters.valid == 3
    assert summary.exact.values.tolist() == [1.0, 2.0, 3.0]


def test_long_doubles_beyond_doubles_count_as_infinite():
    """A value that no double holds is infinite, as an integer beyond the range is."""
    _, counters, _ = summarise(np.array([np.longdouble("1e4000"), 1.0]))

    assert counters.positive_infinite == 1

"""Histograms in matrices are the same as histograms one by one."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from otel_ml.sketch.exponential import MAX_BUCKETS, Buckets, ExponentialHistogram
from otel_ml.sketch.histogram_columns import NEGATIVE, POSITIVE, HistogramColumns, summed

finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(
    st.lists(finite, max_size=30), st.lists(st.floats(-10, 10), max_size=80), st.lists(st.just(0.0), max_size=3)
)
histograms = st.builds(
    lambda items, scale: coarsened(ExponentialHistogram.of(np.array(items, np.float64)), scale),
    values,
    st.integers(-10, 20),
)


def coarsened(histogram, scale):
    histogram.downscale(scale)
    return histogram


def contents(histogram):
    """Everything; the scale of a histogram without buckets means nothing."""
    sides = [(side.offset, side.counts.tolist()) for side in (histogram.negative, histogram.positive)]
    has_buckets = any(counts for _, counts in sides)
    return histogram.scale if has_buckets else None, histogram.zero_count, sides


@given(columns=st.lists(histograms, max_size=5))
def test_what_was_stacked_comes_out_again(columns):
    """Scale, zeros and buckets of each column."""
    stacked = HistogramColumns.of(columns)

    assert [contents(found) for found in stacked.histograms()] == [contents(column) for column in columns]
    assert stacked.totals.tolist() == [column.count for column in columns]


def test_empty_buckets_at_the_ends_are_left_out():
    """Other writers may send them."""
    histogram = ExponentialHistogram(3, 0, Buckets(-2, np.array([0, 0, 5, 0, 1, 0])), Buckets(7, np.array([0, 0])))

    (found,) = HistogramColumns.of([histogram]).histograms()

    assert contents(found) == (3, 0, [(0, []), (0, [5, 0, 1])])


@given(parts=st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[histograms] * width), min_size=1)))
@example(parts=[([ExponentialHistogram.of(np.array([value]))]) for value in (1.0, 1e300, -1e-300)])
def test_adding_up_matrices_is_merging_histograms_to_the_bit(parts):
    """Whatever lies between their scales and offsets."""
    found = summed([HistogramColumns.of(columns) for columns in parts])

    expected = [column.copy() for column in parts[0]]
    for columns in parts[1:]:
        for mine, theirs in zip(expected, columns, strict=True):
            mine.merge(theirs)
    assert [contents(column) for column in found.histograms()] == [contents(column) for column in expected]
    assert found.lengths.max() <= MAX_BUCKETS


@given(data=st.data(), parts=st.lists(histograms, min_size=2, max_size=7))
def test_neither_order_nor_grouping_leaves_a_trace(data, parts):
    """Sums of sums, in any order, are the same histograms."""
    columns = [HistogramColumns.of([part]) for part in parts]
    shuffled = data.draw(st.permutations(columns))
    cut = data.draw(st.integers(1, len(parts) - 1))

    grouped = summed([summed(shuffled[:cut]), summed(shuffled[cut:])])

    (expected,), (found,) = summed(columns).histograms(), grouped.histograms()
    assert contents(found) == contents(expected)


@given(histogram=histograms, by=st.integers(0, 12), first=st.integers(-500, 500))
def test_counts_below_a_border_are_those_of_the_coarser_histogram(histogram, by, first):
    """Before the first bucket nothing lies, and after the last one everything."""
    columns = HistogramColumns.of([histogram])
    coarse = histogram.copy()
    coarse.downscale(max(-10, histogram.scale - by))
    borders = np.broadcast_to(first + np.arange(300), (1, 2, 300))

    below = columns.counts_below(np.array([coarse.scale]), borders)[0]

    for side, buckets in ((NEGATIVE, coarse.negative), (POSITIVE, coarse.positive)):
        indexes = buckets.offset + np.arange(len(buckets.counts))
        expected = [int(buckets.counts[indexes < border].sum()) for border in borders[0, side]]
        assert below[side].tolist() == expected


@given(columns=st.lists(histograms, min_size=3, max_size=3))
def test_rows_are_columns_of_their_own(columns):
    """In the order that is asked for."""
    chosen = HistogramColumns.of(columns).rows(np.array([2, 0]))

    assert [contents(column) for column in chosen.histograms()] == [contents(columns[2]), contents(columns[0])]

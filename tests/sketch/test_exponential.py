import math
import sys

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.exponent_mapping import ExponentMapping
from opentelemetry.sdk.metrics._internal.exponential_histogram.mapping.logarithm_mapping import LogarithmMapping

from otel_ml.sketch.exponential import (
    MAX_BUCKETS,
    MAX_SCALE,
    MIN_SCALE,
    Buckets,
    ExponentialHistogram,
    bucket_bounds,
    bucket_index,
)
from otel_ml.sketch.moments import Moments

magnitudes = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
finite = st.floats(allow_nan=False, allow_infinity=False)
values = st.one_of(
    st.lists(finite, max_size=60), st.lists(st.floats(-10, 10), max_size=200), st.lists(st.just(0.0), max_size=3)
).map(lambda items: np.array(items, np.float64))
scales = st.integers(MIN_SCALE, MAX_SCALE)
SMALLEST_NORMAL, LARGEST = sys.float_info.min, sys.float_info.max


def sdk_index(value, scale):
    mapping = ExponentMapping(scale) if scale <= 0 else LogarithmMapping(scale)
    return mapping.map_to_index(value)


def contents(histogram):
    """Everything, with buckets by index and the empty ones left out."""
    return (
        histogram.scale if len(histogram.positive.counts) or len(histogram.negative.counts) else None,
        histogram.zero_count,
        *(
            {buckets.offset + i: count for i, count in enumerate(buckets.counts.tolist()) if count}
            for buckets in (histogram.positive, histogram.negative)
        ),
    )


@given(value=magnitudes, scale=scales)
@example(value=5e-324, scale=0)
@example(value=SMALLEST_NORMAL, scale=20)
@example(value=np.nextafter(SMALLEST_NORMAL, 1), scale=0)
@example(value=LARGEST, scale=20)
@example(value=LARGEST, scale=-10)
@example(value=math.sqrt(2), scale=1)
def test_a_value_falls_into_the_bucket_the_opentelemetry_sdk_would_choose(value, scale):
    """Subnormals, the ends of the range and all scales included; only next to a bound may its logarithm stray."""
    index = bucket_index(value, scale)

    reference = sdk_index(value, scale)
    if index != reference:
        bound = bucket_bounds(scale, max(index, reference), max(index, reference))[0]
        assert abs(index - reference) == 1
        assert abs(value - bound) <= 1e-12 * bound


@given(exponent=st.integers(-1022, 1023), scale=scales)
def test_powers_of_two_are_upper_bounds(exponent, scale):
    """Buckets are closed above, so a power of two belongs to the bucket below it; the SDK agrees exactly."""
    value = 2.0**exponent

    index = bucket_index(value, scale)

    assert index == sdk_index(value, scale)
    if scale >= 0:
        assert index == (exponent << scale) - 1


@given(value=magnitudes, scale=scales)
def test_a_bucket_holds_what_lies_between_its_bounds(value, scale):
    """The bounds decide: above the lower one, up to and including the upper one."""
    index = bucket_index(value, scale)

    lower, upper = bucket_bounds(scale, index, index + 1)
    assert lower < value <= upper


@given(scale=st.integers(MIN_SCALE, 12), first=st.integers(-(1 << 14), 1 << 14))
def test_bounds_of_a_scale_are_bounds_of_the_next(scale, first):
    """Bit for bit: otherwise a value on a bound would move when the scale changes."""
    coarse = bucket_bounds(scale, first, first + 40)

    fine = bucket_bounds(scale + 1, 2 * first, 2 * (first + 40))
    assert fine[::2].tobytes() == coarse.tobytes()


@given(values=values)
def test_every_value_is_counted_once_by_sign_and_magnitude(values):
    """Each value is in the bucket of its magnitude on its sign's side, zero of either sign in the zero count."""
    histogram = ExponentialHistogram.of(values)

    assert histogram.count == len(values)
    assert histogram.zero_count == np.count_nonzero(values == 0)
    for side, buckets in ((1, histogram.positive), (-1, histogram.negative)):
        expected = {}
        for value in values[values * side > 0]:
            index = bucket_index(abs(float(value)), histogram.scale)
            expected[index] = expected.get(index, 0) + 1
        assert {buckets.offset + i: int(n) for i, n in enumerate(buckets.counts) if n} == expected


@given(values=values)
def test_the_scale_is_the_finest_that_fits_160_buckets(values):
    """No side has more, and one scale finer, a side would."""
    histogram = ExponentialHistogram.of(values)

    sides = [np.abs(values[values > 0]), np.abs(values[values < 0])]
    assume(any(map(len, sides)))
    widths = [
        [
            bucket_index(float(side.max()), scale) - bucket_index(float(side.min()), scale) + 1
            for side in sides
            if len(side)
        ]
        for scale in (histogram.scale, histogram.scale + 1)
        if scale <= MAX_SCALE
    ]
    assert max(widths[0]) <= MAX_BUCKETS
    assert histogram.scale == MAX_SCALE or max(widths[1]) > MAX_BUCKETS
    assert histogram.scale >= MIN_SCALE


@given(parts=st.lists(values, min_size=1, max_size=5), order=st.randoms())
def test_merging_replicas_in_any_order_gives_the_same_buckets(parts, order):
    """What came out does not depend on how the values were spread over updates and replicas."""
    at_once = ExponentialHistogram.of(np.concatenate(parts))
    one_by_one = ExponentialHistogram()
    for part in parts:
        one_by_one.update(part)
    order.shuffle(parts)

    merged = ExponentialHistogram()
    for part in parts:
        merged.merge(ExponentialHistogram.of(part))

    assert contents(merged) == contents(at_once) == contents(one_by_one)


@given(items=st.lists(st.tuples(finite, st.integers(1, 9)), max_size=40))
def test_a_weighted_value_counts_as_often_as_it_weighs(items):
    """Weights are an abbreviation of repetition."""
    numbers, counts = np.array([n for n, _ in items]), np.array([c for _, c in items], np.int64)
    weighted = ExponentialHistogram()

    weighted.update_weighted(numbers, counts)

    assert contents(weighted) == contents(ExponentialHistogram.of(np.repeat(numbers, counts)))


@given(values=values, scale=scales)
def test_downscaling_gives_what_the_coarser_scale_would_have_counted(values, scale):
    """Exact: 2^n buckets, aligned to index 0, become one; never upwards."""
    histogram = ExponentialHistogram.of(values)
    before = histogram.scale

    histogram.downscale(scale)

    assert histogram.scale == min(scale, before)
    assert histogram.count == len(values)
    for side, buckets in ((1, histogram.positive), (-1, histogram.negative)):
        indexes = {bucket_index(abs(float(value)), histogram.scale) for value in values[values * side > 0]}
        assert {buckets.offset + i for i, n in enumerate(buckets.counts) if n} == indexes


def test_an_empty_histogram_of_a_low_scale_does_not_coarsen_another():
    """A scale says something about buckets only."""
    histogram = ExponentialHistogram.of(np.array([1.0, 1.0001]))
    before = contents(histogram)

    histogram.merge(ExponentialHistogram(scale=-5))

    assert contents(histogram) == before


def test_more_buckets_than_ours_are_brought_down_by_a_merge():
    """Other SDKs may be set to more than 160 buckets, with empty ones at the ends."""
    wide = ExponentialHistogram(3, 1, Buckets(-200, np.ones(400, np.int64)), Buckets(5, np.array([0, 2, 0])))

    merged = ExponentialHistogram()
    merged.merge(wide)

    assert (merged.scale, merged.count, merged.zero_count) == (1, 403, 1)
    assert len(merged.positive.counts) == 100
    assert contents(merged)[3] == {6 >> 2: 2}


def test_a_copy_goes_its_own_way():
    """Changing the copy leaves the original alone."""
    histogram = ExponentialHistogram.of(np.array([1.0, -2.0]))
    before = contents(histogram)

    histogram.copy().update(np.array([1e9, 0.0, -1e-9]))

    assert contents(histogram) == before


@given(values=values)
def test_the_distribution_is_exact_at_the_bounds(values):
    """At every known point the share of values at or below it is the true one, around zero and for negatives too."""
    distribution = ExponentialHistogram.of(values).distribution(Moments.of(values))

    assume(len(values))
    truth = np.searchsorted(np.sort(values), distribution.points, side="right")
    assert distribution.total == len(values)
    assert distribution.cumulative.tolist() == truth.tolist()
    assert (np.diff(distribution.points) > 0).all()
    assert np.isfinite(distribution.points).all()
    assert (distribution.minimum, distribution.maximum) == (values.min(), values.max())


def test_without_moments_the_outermost_bounds_stand_for_the_extremes():
    """The extremes of a histogram alone are known up to a bucket."""
    distribution = ExponentialHistogram.of(np.array([-3.0, 3.0])).distribution()

    assert distribution.minimum <= -3.0
    assert distribution.minimum == pytest.approx(-3.0, rel=1e-5)
    assert distribution.maximum == pytest.approx(3.0, rel=1e-5)


def test_nothing_seen_is_an_empty_distribution():
    """No value, no extremes."""
    distribution = ExponentialHistogram().distribution()

    assert distribution.total == 0
    assert np.isnan(distribution.minimum)
    assert np.isnan(distribution.quantiles(np.array([0.5]))).all()


def test_quantiles_are_good_to_a_bucket():
    """At scale 3 a bucket is 9 % wide: so good are the quantiles of a normal sample."""
    values = np.random.default_rng(3).normal(size=100_000)
    ranks = np.array([0.01, 0.1, 0.9, 0.99])

    estimated = ExponentialHistogram.of(values).distribution().quantiles(ranks)

    assert estimated == pytest.approx(np.quantile(values, ranks), rel=0.1)

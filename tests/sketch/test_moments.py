import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.moments import Moments

samples = st.lists(st.floats(-1e6, 1e6), max_size=60).map(lambda items: np.array(items, np.float64))


def test_a_textbook_sample():
    """Mean 5 and sample variance 32/7."""
    moments = Moments.of(np.array([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]))

    assert (moments.count, moments.mean, moments.minimum, moments.maximum) == (8, 5.0, 2.0, 9.0)
    assert moments.variance == pytest.approx(32 / 7)
    assert moments.standard_deviation == pytest.approx(math.sqrt(32 / 7))


@given(parts=st.lists(samples, min_size=1, max_size=5))
def test_merging_equals_having_seen_it_all(parts):
    """Replicas merged know what one would have known, up to the rounding of a sum."""
    everything = np.concatenate(parts)
    merged = Moments()
    for part in parts:
        merged.merge(Moments.of(part))

    assert merged.count == len(everything)
    if len(everything):
        assert merged.mean == pytest.approx(statistics.fmean(everything), rel=1e-12, abs=1e-9)
        assert (merged.minimum, merged.maximum) == (everything.min(), everything.max())
    if len(everything) > 1:
        assert merged.variance == pytest.approx(statistics.variance(everything.tolist()), rel=1e-9, abs=1e-9)


def test_a_large_offset_does_not_cancel():
    """The variance of 1e9 + {1, 2, 3} is 1, in pieces too."""
    moments = Moments()
    for value in (1e9 + 1, 1e9 + 2, 1e9 + 3):
        moments.update(np.array([value]))

    assert moments.variance == pytest.approx(1.0)


@given(value=st.floats(allow_nan=False, allow_infinity=False), count=st.integers(1, 50))
def test_equal_values_have_their_own_mean_and_no_variance(value, count):
    """Rounding never takes the mean out of the range."""
    moments = Moments.of(np.full(count, value))
    moments.update(np.full(3, value))

    assert moments.mean == value
    assert moments.m2 == 0.0


@given(values=st.lists(st.sampled_from([1.7e308, -1.7e308, 1e200, 0.0]), min_size=1, max_size=20))
def test_the_largest_numbers_overflow_the_variance_only(values):
    """Squares may be infinite, but nothing turns into NaN and the mean stays finite."""
    moments = Moments()
    for start in range(0, len(values), 3):
        moments.update(np.array(values[start : start + 3]))

    assert min(values) <= moments.mean <= max(values)
    assert moments.m2 >= 0.0
    assert moments.mean == pytest.approx(math.fsum(value / len(values) for value in values), rel=1e-9, abs=1e294)


def test_nothing_seen_says_so():
    """No value: no variance, and merging it changes nothing."""
    moments = Moments.of(np.array([1.0, 3.0]))

    moments.merge(Moments.of(np.empty(0)))

    assert math.isnan(Moments().variance)
    assert math.isnan(Moments.of(np.array([1.0])).standard_deviation)
    assert (moments.count, moments.mean) == (2, 2.0)


def test_a_copy_goes_its_own_way():
    """Changing the copy leaves the original alone."""
    moments = Moments.of(np.array([1.0]))

    moments.copy().update(np.array([5.0]))

    assert moments == Moments.of(np.array([1.0]))

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.exact import LIMIT, ExactCounts, distinct_counts

few = st.lists(st.sampled_from([-3.5, -0.0, 0.0, 1.0, 2.0, 5e-324, 1e308]), max_size=60)


def contents(exact):
    return dict(zip(exact.values.tolist(), exact.counts.tolist(), strict=True))


@given(batches=st.lists(few, max_size=5))
def test_every_value_is_counted_exactly(batches):
    """Batches add up to what a plain counter would know."""
    exact = ExactCounts()
    for batch in batches:
        exact.update(np.array(batch, np.float64))

    flat = [value for batch in batches for value in batch]
    assert contents(exact) == Counter(flat)
    assert exact.count == len(flat)
    assert (np.diff(exact.values) > 0).all()


def test_negative_zero_is_zero():
    """Equal values are one value, and its bytes do not depend on which came first."""
    exact = ExactCounts.of(np.array([-0.0, 0.0, -0.0]))

    assert exact.values.tobytes() == np.array([0.0]).tobytes()
    assert exact.counts.tolist() == [3]


def test_one_value_too_many_changes_nothing():
    """256 distinct values fit; the 257th is refused, along with its batch."""
    exact = ExactCounts.of(np.arange(float(LIMIT)))

    with pytest.raises(IncompatibleSketchError, match="more than 256"):
        exact.update(np.array([0.0, 1e6]))
    with pytest.raises(IncompatibleSketchError, match="more than 256"):
        exact.merge(ExactCounts.of(np.array([0.5])))
    with pytest.raises(IncompatibleSketchError, match="more than 256"):
        ExactCounts.of(np.arange(LIMIT + 1.0))

    assert exact.count == LIMIT
    exact.update(np.array([0.0]))
    assert exact.count == LIMIT + 1


@given(parts=st.lists(few, max_size=5), order=st.randoms())
def test_merging_replicas_in_any_order_gives_the_same_bits(parts, order):
    """Merged replicas know what one would have known."""
    at_once = ExactCounts.of(np.array([value for part in parts for value in part], np.float64))
    order.shuffle(parts)

    merged = ExactCounts()
    for part in parts:
        merged.merge(ExactCounts.of(np.array(part, np.float64)))

    assert merged.values.tobytes() == at_once.values.tobytes()
    assert merged.counts.tobytes() == at_once.counts.tobytes()


def test_the_distribution_is_a_step_function():
    """All mass sits on the values."""
    distribution = ExactCounts.of(np.array([1.0, 1.0, 4.0, 9.0])).distribution()

    assert distribution.is_step
    assert distribution.cdf(np.array([0.9, 1.0, 3.9, 4.0, 9.0])).tolist() == [0.0, 0.5, 0.5, 0.75, 1.0]
    assert (distribution.minimum, distribution.maximum) == (1.0, 9.0)


def test_nothing_seen_is_an_empty_distribution():
    """No value, no extremes."""
    distribution = ExactCounts().distribution()

    assert distribution.total == 0
    assert np.isnan(distribution.maximum)


def test_a_copy_goes_its_own_way():
    """Changing the copy leaves the original alone."""
    exact = ExactCounts.of(np.array([1.0]))

    exact.copy().update(np.array([1.0, 2.0]))

    assert contents(exact) == {1.0: 1}


def test_distinct_values_of_nothing_are_none():
    """An empty batch has no values to tell apart."""
    values, counts = distinct_counts(np.empty(0))

    assert len(values) == len(counts) == 0

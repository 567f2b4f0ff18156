from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey

counters = st.builds(Counters, *[st.integers(0, 1000)] * 5)


def test_what_a_sketch_can_hold_is_what_nothing_else_counted():
    """Rows less the missing, the mismatched and the infinite ones."""
    assert Counters(rows=10, missing=1, mismatched=2, positive_infinite=3, negative_infinite=1).valid == 3


@given(left=counters, right=counters)
def test_counters_add_up(left, right):
    """Merging sums every counter and leaves the other one alone."""
    other = Counters(right.rows, right.missing, right.mismatched, right.positive_infinite, right.negative_infinite)
    expected = left.rows + right.rows, left.missing + right.missing, left.valid + right.valid

    left.merge(right)

    assert (left.rows, left.missing, left.valid) == expected
    assert right == other


def test_keys_are_values():
    """Two keys that say the same are the same, and a version may be unknown."""
    assert ModelKey("fraud") == ModelKey("fraud", "")
    assert FeatureKey(FeatureRole.FEATURE, "age") != FeatureKey(FeatureRole.PREDICTION, "age")

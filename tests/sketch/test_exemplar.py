"""Which requests are kept as examples."""

import random

from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.exemplar import PER_REASON, Exemplar, ExemplarReason, merged_exemplars

exemplars = st.lists(
    st.builds(
        Exemplar,
        st.sampled_from(ExemplarReason),
        st.integers(0, 3),
        st.integers(0, 3),
        st.integers(0, 5),
        st.sampled_from(["", "a", "b"]),
        st.none() | st.integers(-3, 3).map(float),
    ),
    max_size=20,
)


def of(reason, value, time=0):
    return Exemplar(reason, 1, 1, time, "", value)


def test_the_most_extreme_and_the_latest_are_kept():
    """Two of each reason."""
    large = [of(ExemplarReason.LARGEST, value) for value in (1.0, 5.0, 3.0)]
    small = [of(ExemplarReason.SMALLEST, value) for value in (1.0, 5.0, 3.0)]
    missing = [of(ExemplarReason.MISSING, None, time) for time in (1, 3, 2)]

    kept = merged_exemplars(large, small, missing)

    assert [exemplar.value for exemplar in kept] == [5.0, 3.0, 1.0, 3.0, None, None]
    assert [exemplar.time_unix_nano for exemplar in kept[4:]] == [3, 2]


@given(exemplars, st.integers(0, 20), st.integers(0, 20), st.integers())
def test_any_order_and_partition_keeps_the_same(found, first, second, seed):
    """Replicas report when they like."""
    shuffled = found.copy()
    random.Random(seed).shuffle(shuffled)
    one, two = sorted((first, second))

    merged = merged_exemplars(merged_exemplars(shuffled[:one], shuffled[one:two]), shuffled[two:])

    assert merged == merged_exemplars(found)
    assert len(merged) <= PER_REASON * len(ExemplarReason)

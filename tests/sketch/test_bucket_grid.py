import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.bucket_grid import BucketGrid
from otel_ml.sketch.exponential import ExponentialHistogram

finite = st.floats(allow_nan=False, allow_infinity=False)
batches = st.lists(
    st.one_of(
        st.lists(finite, max_size=30),
        st.lists(st.floats(-3, 3), max_size=80),
        st.lists(st.sampled_from([0.0, -0.0, 1.0, 2.0, -4.0, 5e-324, -5e-324, 1.7976931348623157e308]), max_size=5),
    ).map(lambda items: np.array(items, np.float64)),
    max_size=6,
)


def contents(histogram):
    scale = histogram.scale if len(histogram.positive.counts) or len(histogram.negative.counts) else None
    sides = (histogram.positive.trimmed(), histogram.negative.trimmed())
    return scale, histogram.zero_count, [(side.offset, side.counts.tolist()) for side in sides]


def grid_of(batches):
    grid = BucketGrid()
    for batch in batches:
        grid.update_sorted(np.sort(batch))
    return grid


@given(batches=batches)
def test_counting_between_bounds_gives_the_histogram_bit_for_bit(batches):
    """However the range grows from batch to batch, nothing of it is left in the result."""
    histogram = grid_of(batches).histogram()

    assert contents(histogram) == contents(ExponentialHistogram.of(np.concatenate([np.empty(0), *batches])))


def test_a_growing_range_loses_nothing():
    """Extremes that come late, on either side and towards zero, are counted like the rest."""
    random = np.random.default_rng(0)
    batches = [random.normal(size=500) * 10.0**power for power in (0, 1, -3, 6, 0, -12, 250)]

    histogram = grid_of(batches).histogram()

    assert contents(histogram) == contents(ExponentialHistogram.of(np.concatenate(batches)))


def test_asking_for_the_histogram_changes_nothing():
    """It may be asked for at any time, and counting goes on."""
    first, second = np.array([1.0, 2.0]), np.array([-1.0, 1e9])
    grid = grid_of([first])

    early = grid.histogram()
    grid.update_sorted(second)

    assert early.count == 2
    assert contents(grid.histogram()) == contents(ExponentialHistogram.of(np.concatenate((first, second))))

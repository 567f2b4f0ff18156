import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution, just_below
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.moments import Moments

samples = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60).map(np.array)


def step(points, cumulative):
    points = np.array(points, np.float64)
    return NumericDistribution(
        points, np.array(cumulative), cumulative[-1], float(points[0]), float(points[-1]), is_step=True
    )


def interpolated(points, cumulative, total, minimum, maximum):
    return NumericDistribution(
        np.array(points, np.float64), np.array(cumulative), total, minimum, maximum, is_step=False
    )


def test_a_step_function_jumps_at_its_points():
    """Right-continuous: at a point its own values are counted."""
    distribution = step([1.0, 2.0, 4.0], [1, 3, 4])

    assert distribution.cdf(np.array([0.0, 1.0, 1.9, 2.0, 3.9, 4.0, 9.0])).tolist() == [0, 0.25, 0.25, 0.75, 0.75, 1, 1]


def test_between_the_points_of_bins_mass_is_spread_evenly():
    """Half-way through a bin, half of it lies below."""
    distribution = interpolated([0.0, 10.0], [0, 4], 4, 0.0, 10.0)

    assert distribution.cdf(np.array([-1.0, 2.5, 5.0, 11.0])) == pytest.approx([0.0, 0.25, 0.5, 1.0])


def test_open_bins_reach_to_the_extremes():
    """What lies beyond the outermost points is spread between them and the minimum or maximum."""
    distribution = interpolated([0.0, 1.0], [2, 3], 4, -4.0, 3.0)

    assert distribution.cdf(np.array([-4.0, -2.0, 0.0, 2.0, 3.0])) == pytest.approx([0.0, 0.25, 0.5, 0.875, 1.0])


def test_a_bin_is_no_wider_than_its_values():
    """All of a bin's mass lies at or above the minimum, and at or below the maximum."""
    distribution = interpolated([0.0, 8.0, 16.0], [0, 2, 4], 4, 4.0, 12.0)

    assert distribution.cdf(np.array([3.9, 6.0, 8.0, 10.0, 12.0])) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])


def test_a_constant_is_a_step_whatever_holds_it():
    """Where minimum and maximum are one, there is nothing to interpolate."""
    distribution = ExponentialHistogram.of(np.full(3, 7.0)).distribution(Moments.of(np.full(3, 7.0)))

    assert distribution.cdf(np.array([np.nextafter(7.0, 0), 7.0])).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("is_step", [True, False])
def test_nothing_seen_has_no_shares(is_step):
    """Nothing divided by nothing is not a number."""
    distribution = NumericDistribution(np.empty(0), np.empty(0, np.int64), 0, np.nan, np.nan, is_step)

    assert np.isnan(distribution.cdf(np.array([0.0]))).all()
    assert np.isnan(distribution.quantiles(np.array([0.0, 0.5, 1.0]))).all()


@example(values=np.array([0.0, 1.0]), at=np.array([5e-324]))
@example(values=np.array([-1.7e308, 1.7e308]), at=np.array([-1e308, 0.0, 1e308]))
@given(values=samples, at=samples)
def test_every_sketch_gives_a_distribution_function(values, at):
    """Increasing from 0 below the minimum to 1 at the maximum, and the masses of any bins add up to 1."""
    moments = Moments.of(values)
    edges = np.unique(at)
    for distribution in (
        ExactCounts.of(values).distribution(),
        AnchoredBins.of(BinLayout(edges + 0.0), values).distribution(moments=moments),
        ExponentialHistogram.of(values).distribution(moments),
    ):
        shares = distribution.cdf(np.sort(np.concatenate((values, at))))

        # Interpolating rounds: two equal shares may differ in their last bit.
        assert (np.diff(shares) >= -1e-12).all()
        assert distribution.cdf(just_below(np.array([values.min()]))) == 0.0
        assert distribution.cdf(np.array([values.max()])) == 1.0
        assert distribution.mass(edges).sum() == pytest.approx(1.0)
        assert len(distribution.mass(edges)) == len(edges) + 1


def test_quantiles_are_the_smallest_point_with_enough_at_or_below():
    """A rank that is met exactly does not ask for the next point, rounding or not."""
    distribution = step(range(10), range(1, 11))

    ranks = np.arange(1, 11) / 10
    assert distribution.quantiles(ranks).tolist() == list(range(10))
    assert distribution.quantiles(np.array([0.0, 0.11])).tolist() == [0.0, 1.0]


def test_quantiles_stay_within_the_extremes():
    """A bucket's bound may lie beyond the largest value; no quantile does."""
    distribution = interpolated([8.0, 16.0], [0, 4], 4, 9.0, 10.0)

    assert distribution.quantiles(np.array([0.0, 1.0])).tolist() == [9.0, 10.0]


def test_the_largest_values_may_lie_above_the_last_point():
    """Ranks beyond the last known point belong to the maximum."""
    distribution = interpolated([0.0], [1], 4, -1.0, 50.0)

    assert distribution.quantiles(np.array([0.9])).tolist() == [50.0]


def test_a_categorical_total_counts_the_nameless():
    """What no longer has a name still counts."""
    assert CategoricalDistribution({"a": 2, "b": 1}, other=4).total == 7

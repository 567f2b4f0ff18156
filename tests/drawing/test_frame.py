import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline.columns import NumberColumn
from otel_ml.baseline.numeric import summarise_numbers
from otel_ml.drawing.frame import OTHERS, UNSEEN, Frame, frame_of
from otel_ml.sketch.bins import AnchoredBins, layout_from_quantiles
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution

numbers = st.floats(allow_nan=False, allow_infinity=False)
samples = st.lists(numbers, min_size=1, max_size=60)
categories = st.dictionaries(st.text(max_size=8), st.integers(1, 1000), min_size=1, max_size=40)


def exactly(values):
    points, counts = np.unique(np.asarray(values, np.float64) + 0.0, return_counts=True)
    return NumericDistribution(
        points, np.cumsum(counts), int(counts.sum()), float(points[0]), float(points[-1]), is_step=True
    )


def binned(values, layout):
    counts = layout.count_sorted(np.sort(np.asarray(values, np.float64)))
    summary, _, _ = summarise_numbers(NumberColumn.of(np.asarray(values, np.float64)), len(values))
    return AnchoredBins(layout.hash, counts, layout).distribution(layout, summary.moments)


@given(samples)
def test_shares_of_numbers_add_up_to_one(values):
    """Whatever they are: subnormals, the largest doubles, all the same."""
    frame = frame_of(exactly(values))

    assert frame.shares.sum() == pytest.approx(1.0)
    assert (frame.shares >= 0).all()
    assert len(frame.shares) == len(frame.names)
    assert all(frame.names)


@given(samples)
def test_the_reference_has_the_shares_of_its_frame(values):
    """What is drawn over a frame is counted as the frame was."""
    reference = exactly(values)
    frame = frame_of(reference)

    assert frame.of(reference).tolist() == frame.shares.tolist()
    assert frame.count == len(values)


@given(samples, samples, samples)
def test_a_mixture_has_the_mixture_of_the_shares(values, left, right):
    """Replicas that are merged look as they would have looked together."""
    frame = frame_of(exactly(values))

    together = frame.of(exactly([*left, *right]))

    apart = len(left) * frame.of(exactly(left)) + len(right) * frame.of(exactly(right))
    assert together == pytest.approx(apart / (len(left) + len(right)), abs=1e-9)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=60), samples)
def test_counts_in_bins_have_shares_that_add_up_to_one(values, now):
    """As those of a server that knows the baseline."""
    distinct, counts = np.unique(np.asarray(values) + 0.0, return_counts=True)
    layout = layout_from_quantiles(distinct, counts)
    frame = frame_of(binned(values, layout))

    assert frame.of(binned(now, layout)).sum() == pytest.approx(1.0)


@given(samples)
def test_a_frame_of_numbers_is_the_same_after_json(values):
    """A page that gets it from the network draws what a notebook draws; shares are rounded to a millionth."""
    frame = frame_of(exactly(values))

    again = Frame.of_json(json.loads(json.dumps(frame.to_json(), allow_nan=False)))

    assert (again.edges.tolist(), again.points.tolist()) == (frame.edges.tolist(), frame.points.tolist())
    assert (again.labels, again.count, again.names) == (frame.labels, frame.count, frame.names)
    assert again.shares == pytest.approx(frame.shares, abs=1e-6)


@given(categories, st.integers(0, 100), categories)
def test_shares_of_categories_add_up_to_one(counts, other, now):
    """Those that have no bin of their own are in the last one."""
    frame = frame_of(CategoricalDistribution(counts, other))

    assert frame.shares.sum() == pytest.approx(1.0)
    assert frame.of(CategoricalDistribution(now)).sum() == pytest.approx(1.0)
    assert Frame.of_json(json.loads(json.dumps(frame.to_json()))).labels == frame.labels


@pytest.mark.parametrize(
    "values",
    [
        [5e-324, 1e-323, 1.5e-323] * 20,
        [0.0, 5e-324],
        [1e308, -1e308, 0.0] * 10,
        [1.7e308, 1.6e308],
        np.linspace(-1.7, 1.7, 100) * 1e308,
        np.linspace(1e300, 1.0001e300, 100),
        np.geomspace(5e-324, 1.7e308, 100),
        [1e15, 1e15 + 0.125],
        [*np.linspace(0, 1, 500), 1e300],
    ],
)
def test_extreme_values_have_bins(values):
    """Increasing ones, with names that differ."""
    frame = frame_of(exactly(values))

    assert frame.shares.sum() == pytest.approx(1.0)
    assert (np.diff(frame.edges) > 0).all()
    assert np.isfinite(frame.edges).all()
    assert len(set(frame.names)) == len(frame.names)


def test_one_huge_value_does_not_press_all_others_into_a_bin():
    """It lies in the last bin, and the others are as spread as without it."""
    values = [*np.linspace(0, 100, 2000), 1e12]

    frame = frame_of(exactly(values))

    assert frame.shares.max() < 0.1
    assert frame.edges[-2] < 200


@pytest.mark.parametrize("value", [0.0, -3.5, 1e308, 5e-324])
def test_a_constant_has_a_bin_of_its_own(value):
    """And one for whatever is not the same."""
    frame = frame_of(exactly([value] * 7))

    assert frame.shares.tolist() == [1.0, 0.0]
    assert frame.names[-1] == UNSEEN
    assert frame.of(exactly([value, value, 17.0, 18.0])).tolist() == [0.5, 0.5]


def test_few_numbers_have_a_bin_each():
    """Codes and counts are no ranges."""
    frame = frame_of(exactly([1.0, 1.0, 2.0, 5.0]))

    assert frame.names == ("1", "2", "5", UNSEEN)
    assert frame.shares.tolist() == [0.5, 0.25, 0.25, 0.0]


def test_skewed_numbers_do_not_all_lie_in_the_first_bin():
    """Bins grow with the numbers, or hold equal masses where some are not positive."""
    skewed = np.random.default_rng(0).lognormal(0, 3, 5000)

    for values in (skewed, np.append(skewed, np.zeros(500)), -skewed):
        assert frame_of(exactly(values)).shares.max() < 0.25


def test_bins_of_numbers_have_round_edges():
    """People count in ones, twos and fives."""
    values = np.random.default_rng(0).normal(0, 1, 5000)

    edges = frame_of(exactly(values)).edges

    assert np.allclose(edges / 0.25, np.rint(edges / 0.25))


def test_large_numbers_have_names_that_tell_them_apart():
    """Four digits of a time since 1970 are the same all year."""
    frame = frame_of(exactly(np.linspace(1.7e9, 1.7e9 + 3600, 1000)))

    assert len(set(frame.names)) == len(frame.names)


def test_hours_keep_their_order_and_are_all_there():
    """As do truth values; no hour is among the others."""
    hours = {f"{hour:02}": 1 + hour for hour in range(24)}

    frame = frame_of(CategoricalDistribution(hours))

    assert frame.labels == (*hours, UNSEEN)


def test_rare_categories_are_together():
    """Twelve are named, the most frequent ones."""
    counts = {f"category {index}": 100 - index for index in range(40)}

    frame = frame_of(CategoricalDistribution(counts, 5))

    assert frame.labels == (*(f"category {index}" for index in range(12)), OTHERS)
    assert math.isclose(
        frame.shares[-1], (5 + sum(100 - index for index in range(12, 40))) / (5 + sum(counts.values()))
    )


def test_what_is_of_another_kind_or_empty_has_no_shares():
    """There is nothing to draw, and no error."""
    of_numbers, of_names = frame_of(exactly([1.0, 2.0])), frame_of(CategoricalDistribution({"a": 1}))

    assert of_numbers.of(CategoricalDistribution({"a": 1})) is None
    assert of_names.of(exactly([1.0])) is None
    assert of_names.of(CategoricalDistribution({})) is None
    assert frame_of(CategoricalDistribution({})) is None

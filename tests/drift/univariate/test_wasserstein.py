"""The Wasserstein distance."""

import numpy as np
import pytest
from drift_samples import binned, exact, layout_of, moments_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift import create
from otel_ml.drift.comparison import aligned
from otel_ml.drift.univariate.wasserstein import Wasserstein
from otel_ml.sketch.exponential import ExponentialHistogram


def truth(reference, current, tail=0.005):
    """scipy's distance of the winsorised values, in standard deviations."""
    ordered = np.sort(reference)
    low, high = (
        ordered[np.searchsorted(np.arange(1, len(ordered) + 1) / len(ordered), rank)] for rank in (tail, 1 - tail)
    )
    clipped = np.clip(reference, low, high)
    return stats.wasserstein_distance(clipped, np.clip(current, low, high)) / clipped.std()


@given(seed=st.integers(0, 1000), shift=st.floats(0, 5))
def test_the_distance_is_that_of_scipy(seed, shift):
    """In closed form, over values winsorised to the reference's central 99 %."""
    rng = np.random.default_rng(seed)
    reference, current = rng.gamma(2, size=400), rng.gamma(2, size=300) + shift

    score = Wasserstein(bias_corrected=False).compare(exact(reference), exact(current)).score

    assert score == pytest.approx(truth(reference, current))


def test_a_shift_is_measured_in_standard_deviations():
    """Half a standard deviation is 0.5, whatever the unit of the feature."""
    reference = np.random.default_rng(1).normal(40_000, 1_000, size=20_000)

    assert Wasserstein().compare(exact(reference), exact(reference + 500)).score == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_bins_come_close(draw, shift):
    """64 bins know neither the values in them nor the ends of the tails."""
    rng = np.random.default_rng(2)
    reference, current = (getattr(rng, draw)(size=20_000) + add for add in (0.0, shift))
    layout = layout_of(reference)

    score = Wasserstein().compare(binned(reference, layout), binned(current, layout)).score

    assert score == pytest.approx(truth(reference, current), abs=0.02, rel=0.35)


def test_one_enormous_value_does_not_decide():
    """A unit error in one row of ten thousand is for the range check; the distribution has not moved."""
    reference, current = np.random.default_rng(3).normal(size=(2, 10_000))
    current[0] = 1e12

    assert not Wasserstein().compare(exact(reference), exact(current)).drifted


def test_a_constant_reference_scores_the_share_that_moved():
    """Without a spread there is no unit to measure distances in."""
    result = Wasserstein().compare(exact([5.0] * 100), exact([5.0] * 70 + [6.0] * 20 + [900.0] * 10))

    assert result.score == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["wasserstein", "energy"])
def test_a_constant_in_a_bucket_of_a_histogram_is_a_constant(name):
    """The bucket's width is no spread: all of the values moved."""
    numbers = [np.full(1_000, 7.0), np.full(1_000, 8.0)]
    sides = aligned(*(ExponentialHistogram.of(side) for side in numbers))

    result = create(name).compare(
        *(side.distribution(moments_of(values)) for side, values in zip(sides, numbers, strict=True))
    )

    assert result.score == pytest.approx(1.0)


def test_doubles_near_the_end_of_their_range_do_not_overflow():
    """Distances are scaled before they are squared."""
    reference = np.array([-1.7e308, 0.0, 1.7e308] * 100)

    score = Wasserstein(bias_corrected=False).compare(exact(reference), exact(reference / 2)).score

    assert score == pytest.approx(truth(reference / 1e308, reference / 2 / 1e308))


@pytest.mark.parametrize("size", [50, 1_000])
@pytest.mark.parametrize("draw", ["normal", "lognormal"])
def test_clean_data_score_about_nothing(size, draw):
    """What chance adds on average is taken off at every size; one test in twenty is below 5 %."""
    rng = np.random.default_rng(size)
    results = [
        Wasserstein().compare(exact(getattr(rng, draw)(size=size)), exact(getattr(rng, draw)(size=size)))
        for _ in range(400)
    ]

    assert np.median([result.score for result in results]) < 0.5 / np.sqrt(size)
    assert 0.01 <= np.mean([result.p_value < 0.05 for result in results]) <= 0.083

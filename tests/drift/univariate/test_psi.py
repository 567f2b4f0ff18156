"""The Population Stability Index."""

import math

import numpy as np
import pytest
from drift_samples import binned, categories, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.errors import ConfigurationError


def test_a_worked_example_over_categories():
    """PSI = Σ (c - r) ln(c / r), computed by hand: 0.1 ln 1.2 + 0 - 0.1 ln (2/3)."""
    detector = PopulationStabilityIndex(bias_corrected=False)

    result = detector.compare(categories(a=500, b=200, c=300), categories(a=600, b=200, c=200))

    assert result.score == pytest.approx(0.1 * math.log(1.2) - 0.1 * math.log(2 / 3))
    assert not result.drifted


def test_a_worked_example_over_quartiles():
    """Four bins of the reference's own quartiles, the current window in shares .1, .2, .3 and .4."""
    reference = np.arange(1, 401)
    current = np.concatenate([np.full(10, 50), np.full(20, 150), np.full(30, 250), np.full(40, 350)])
    expected = sum((c - 0.25) * math.log(c / 0.25) for c in (0.1, 0.2, 0.3, 0.4))

    result = PopulationStabilityIndex(bins=4, bias_corrected=False).compare(exact(reference), exact(current))

    assert result.score == pytest.approx(expected)
    assert result.drifted


def test_an_empty_bin_gets_the_floor():
    """A category that vanished makes PSI large, not infinite."""
    detector = PopulationStabilityIndex(floor=0.001)

    result = detector.compare(categories(a=500_000, b=500_000), categories(a=1_000_000))

    assert result.score == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(500), rel=1e-4)


def test_few_values_are_counted_in_fewer_bins():
    """Ten bins for ten values would score chance: neighbours with fewer than five expected values are joined."""
    rng = np.random.default_rng(0)
    scores = [
        PopulationStabilityIndex().compare(exact(rng.normal(size=10_000)), exact(rng.normal(size=25))).score
        for _ in range(50)
    ]

    # With ten bins, and what chance adds, the mean would be 9 / 25 and more.
    assert np.mean(scores) < 0.1


def test_frequent_values_keep_bins_of_their_own():
    """Where 60 % are zeros, deciles fall together; a change in the zeros still counts in full."""
    zeros = np.zeros(600)
    reference, current = np.append(zeros, np.arange(1, 401)), np.append(zeros[:300], np.arange(1, 401).repeat(2)[:700])
    layout = layout_of(reference)

    by_value = PopulationStabilityIndex().compare(exact(reference), exact(current))
    by_bin = PopulationStabilityIndex().compare(binned(reference, layout), binned(current, layout))

    assert by_value.score > 0.3 * math.log(2)
    assert by_bin.score == pytest.approx(by_value.score, rel=0.05)


def test_values_beyond_the_range_have_a_bin_of_their_own():
    """A discrete value that becomes a new one above the old maximum does not hide among the old ones."""
    reference, current = np.repeat([0.0, 1.0], 500), np.repeat([0.0, 2.0], 500)

    assert PopulationStabilityIndex().compare(exact(reference), exact(current)).drifted


@given(shift=st.floats(0.5, 3), seed=st.integers(0, 100))
def test_a_greater_shift_scores_higher(shift, seed):
    """PSI grows with the distance of two normal distributions."""
    reference, current = np.random.default_rng(seed).normal(size=(2, 1000))
    detector = PopulationStabilityIndex()

    near = detector.compare(exact(reference), exact(current + shift / 2)).score
    far = detector.compare(exact(reference), exact(current + shift)).score

    assert far > near


@pytest.mark.parametrize(
    ("setting", "value", "valid"),
    [
        ("bins", 1, "a whole number from 2 to 1000"),
        ("bins", 10.0, "a whole number from 2 to 1000"),
        ("floor", 0, "a number above 0 and at most 0.01"),
    ],
)
def test_settings_are_checked(setting, value, valid):
    """A wrong setting is named with what would be valid."""
    with pytest.raises(ConfigurationError, match=f"psi::{setting}: {value!r} is not valid .{valid}"):
        PopulationStabilityIndex(**{setting: value})

"""Change of correlations."""

import math

import numpy as np
import pytest
from vector_samples import summary_from, summary_of, without_radial_moments

from otel_ml.drift.multivariate.correlation import CorrelationShift
from otel_ml.drift.multivariate.correlation_noise import CorrelationNoise
from otel_ml.drift.multivariate.vectors import VectorPair


def correlated(seed, rows, correlation, dimensions=4):
    """Independent dimensions, but for the second, which goes with the first."""
    matrix = np.random.default_rng(seed).normal(size=(rows, dimensions))
    matrix[:, 1] = correlation * matrix[:, 0] + math.sqrt(1 - correlation**2) * matrix[:, 1]
    return matrix


def test_the_p_value_is_that_of_fishers_transformation():
    """His z of .50 is .5493 and of .30 is .3095; the standard error of their difference is √(1/100 + 1/100)."""
    covariances = [[[1.0, r], [r, 1.0]] for r in (0.5, 0.3)]
    reference, current = (summary_from(103, [0.0, 0.0], covariance, excess_kurtosis=0.0) for covariance in covariances)

    result = CorrelationShift().compare(reference, current)

    assert result.p_value == pytest.approx(math.erfc((0.5493 - 0.3095) / math.sqrt(2 / 100) / math.sqrt(2)), rel=2e-3)


def test_the_score_is_the_largest_change_beyond_chance():
    """From .8 to .2, with thousands of vectors of which chance changes little."""
    result = CorrelationShift().compare(summary_of(correlated(1, 20_000, 0.8)), summary_of(correlated(2, 20_000, 0.2)))

    assert result.score == pytest.approx(0.6, abs=0.05)
    assert result.p_value < 1e-6


def test_units_do_not_matter():
    """A correlation has none."""
    reference, current = correlated(1, 500, 0.8), correlated(2, 500, 0.6)
    units = np.array([1e-3, 1e9, 1.0, 5.0])

    here = CorrelationShift().compare(summary_of(reference), summary_of(current))
    there = CorrelationShift().compare(summary_of(reference), summary_of(reference * units))

    assert here.score > 0.05
    assert there.score == pytest.approx(0.0, abs=1e-6)


def test_the_pairs_that_changed_most_are_named():
    """Positions, both correlations and the q-value of the change."""
    pair = VectorPair(summary_of(correlated(1, 2_000, 0.8)), summary_of(correlated(2, 2_000, -0.1)))

    changes = CorrelationShift().changes(pair, limit=3)

    assert len(changes) == 3
    assert (changes[0].first, changes[0].second) == (0, 1)
    assert (changes[0].reference, changes[0].current) == pytest.approx((0.8, -0.1), abs=0.06)
    assert changes[0].q_value < 1e-6
    assert changes[1].q_value > 0.01


def test_dimensions_without_variance_have_no_correlation():
    """Whether on one side or on both; and a single dimension has none either."""
    reference, current = correlated(1, 500, 0.8, dimensions=3), correlated(2, 500, 0.8, dimensions=3)
    current[:, 1:] = 4.0

    result = CorrelationShift().compare(summary_of(reference), summary_of(current))

    assert (result.score, result.p_value) == (0.0, None)
    assert CorrelationShift().compare(summary_of(reference[:, :1]), summary_of(reference[:, 1:2])).score == 0.0


def test_dimensions_that_stop_repeating_each_other_are_seen():
    """From a correlation of 1 that has no finite z."""
    reference, current = correlated(1, 2_000, 1.0), correlated(2, 2_000, 0.99)

    result = CorrelationShift().compare(summary_of(reference), summary_of(current))

    assert result.p_value < 1e-6


def skewed(seed, rows, correlation):
    """Two log-normal dimensions that go together, and four on their own."""
    return np.exp(correlated(seed, rows, correlation, dimensions=6)).clip(max=8.0)


def test_where_the_noise_is_known_skewed_dimensions_are_judged_by_their_own():
    """One number for all pairs, as their kurtosis gives, is ten times too large for some: a change stays unseen."""
    reference = skewed(1, 20_000, -0.8)
    noise = CorrelationNoise.of(reference)
    was = summary_of(reference)
    windows = [summary_of(skewed(seed, 400, -0.6)) for seed in range(2, 42)]

    blind, seeing = (
        [CorrelationShift().result(VectorPair(was, now, of)).p_value < 0.05 for now in windows] for of in (None, noise)
    )

    assert sum(blind) <= 4
    assert sum(seeing) >= 36


@pytest.mark.parametrize("correlation", [0.8, -0.8])
@pytest.mark.parametrize("rows", [200, 1_000])
def test_where_the_noise_is_known_one_skewed_window_in_twenty_is_below_five_percent(rows, correlation):
    """Nominal or fewer, also where correlations vary three times as much as those of normal values do."""
    reference = skewed(1, 20_000, correlation)
    noise, was = CorrelationNoise.of(reference), summary_of(reference)

    results = [
        CorrelationShift().result(VectorPair(was, summary_of(skewed(seed, rows, correlation)), noise))
        for seed in range(2, 202)
    ]

    # Three standard deviations of 200 fair draws around 5 %.
    assert np.mean([result.p_value < 0.05 for result in results]) <= 0.096


def test_known_noise_needs_no_kurtosis():
    """Summaries that came without fourth moments are judged all the same."""
    reference, current = correlated(1, 2_000, 0.8), correlated(2, 2_000, 0.2)
    was, now = summary_of(reference), without_radial_moments(summary_of(current))

    assert CorrelationShift().result(VectorPair(was, now)).p_value is None
    assert CorrelationShift().result(VectorPair(was, now, CorrelationNoise.of(reference))).p_value < 1e-6

"""The Kullback-Leibler divergence."""

import math

import pytest
from drift_samples import categories
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from otel_ml.drift.univariate.kl import KullbackLeibler
from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.sketch.distribution import CategoricalDistribution

PLAIN = KullbackLeibler(bias_corrected=False)

tables = st.lists(st.tuples(st.integers(50, 1000), st.integers(50, 1000)), min_size=2, max_size=10)


def sides(table):
    return [
        CategoricalDistribution({f"c{place}": count for place, count in enumerate(side)})
        for side in zip(*table, strict=True)
    ]


@given(table=tables)
def test_the_divergence_is_that_of_scipy(table):
    """Of the current window from the reference, in nats."""
    expected, found = zip(*table, strict=True)

    assert PLAIN.compare(*sides(table)).score == pytest.approx(entropy(found, expected), abs=1e-9)


@given(table=tables)
def test_psi_is_the_sum_of_both_directions(table):
    """Jeffreys's divergence is Kullback's and Leibler's, there and back."""
    left, right = sides(table)
    both = PLAIN.compare(left, right).score + PLAIN.compare(right, left).score

    assert PopulationStabilityIndex(bias_corrected=False).compare(left, right).score == pytest.approx(both, abs=1e-9)


def test_what_is_new_counts_for_more_than_what_is_gone():
    """The direction is what people choose KL for: a code without a word for what comes now is expensive."""
    few, more = categories(a=9_000, b=1_000), categories(a=8_000, b=1_000, new=1_000)

    assert KullbackLeibler().compare(few, more).score > 3 * KullbackLeibler().compare(more, few).score


def test_a_new_category_is_finite():
    """Its share of the reference is the floor."""
    result = KullbackLeibler(floor=0.001).compare(categories(a=1_000_000), categories(a=500_000, b=500_000))

    assert result.score == pytest.approx(0.5 * math.log(0.5) + 0.5 * math.log(500), rel=1e-4)

"""The Hellinger distance."""

import math

import pytest
from drift_samples import categories

from otel_ml.drift.univariate.hellinger import Hellinger


def test_a_worked_example():
    """H² = 1 - Σ √(r c), by hand for shares (.5, .5) and (.9, .1)."""
    result = Hellinger(bias_corrected=False).compare(categories(a=500, b=500), categories(a=900, b=100))

    assert result.score == pytest.approx(math.sqrt(1 - math.sqrt(0.45) - math.sqrt(0.05)))
    assert result.drifted


def test_nothing_in_common_is_one():
    """The distance is a metric between 0 and 1."""
    assert Hellinger(bias_corrected=False).compare(categories(a=100), categories(b=100)).score == pytest.approx(1)
    assert Hellinger().compare(categories(a=10_000), categories(b=10_000)).score == pytest.approx(1, abs=1e-3)

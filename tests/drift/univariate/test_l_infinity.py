"""The L∞ distance."""

import pytest
from drift_samples import categories
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.univariate.l_infinity import LInfinity
from otel_ml.drift.univariate.total_variation import TotalVariation
from otel_ml.sketch.distribution import CategoricalDistribution

PLAIN = LInfinity(bias_corrected=False)


def test_the_greatest_change_counts():
    """|.3 - .45| of three changes."""
    result = PLAIN.compare(categories(a=500, b=300, c=200), categories(a=400, b=450, c=150))

    assert result.score == pytest.approx(0.15)
    assert result.drifted


def test_a_little_of_everything_is_not_much():
    """A thousand small changes are seen by other distances."""
    left = CategoricalDistribution({f"c{place}": 1_000 for place in range(20)})
    right = CategoricalDistribution({f"c{place}": 1_000 + (-1) ** place * 500 for place in range(20)})

    assert not LInfinity().compare(left, right).drifted
    assert TotalVariation().compare(left, right).drifted


@given(table=st.lists(st.tuples(st.integers(50, 1000), st.integers(50, 1000)), min_size=2, max_size=10))
def test_it_is_at_most_the_total_variation(table):
    """What one category gained, others lost."""
    left, right = (
        CategoricalDistribution({f"c{place}": count for place, count in enumerate(side)})
        for side in zip(*table, strict=True)
    )

    assert PLAIN.compare(left, right).score <= TotalVariation(bias_corrected=False).compare(left, right).score + 1e-12

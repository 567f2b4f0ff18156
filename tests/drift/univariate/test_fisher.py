"""Fisher's exact test."""

import math

import numpy as np
import pytest
from drift_samples import categories
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift.columns import Columns
from otel_ml.drift.univariate.chi_squared import ChiSquared
from otel_ml.drift.univariate.fisher import Fisher

counts = st.integers(0, 60)


@given(a=counts, b=counts, c=counts, d=counts)
def test_the_p_value_is_that_of_scipy(a, b, c, d):
    """Two-sided: the tables at most as likely as this one. A single value, though, is no evidence."""
    if not (a + b and c + d):
        return
    expected = 1.0 if min(a + c, b + d) <= 1 else stats.fisher_exact([[a, b], [c, d]]).pvalue

    assert Fisher().compare(categories(x=a, y=b), categories(x=c, y=d)).p_value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("table", [(4_000, 6_000, 30, 70), (1_000, 999_000, 1_130, 998_870), (5, 9_995, 60, 9_940)])
def test_large_tables_are_as_exact(table):
    """Of many values as of few, alone as among other columns."""
    a, b, c, d = table
    pair = (categories(x=a, y=b), categories(x=c, y=d))

    p_values = Fisher().measure(Columns([pair, (categories(x=3), categories(y=3)), pair])).p_value

    expected = stats.fisher_exact([[a, b], [c, d]]).pvalue
    assert p_values[[0, 2]] == pytest.approx([expected, expected], rel=1e-6)


def test_beyond_exactness_is_the_normal_limit():
    """Two million values on either side, where nobody could tell the difference."""
    reference, current = categories(x=1_000_000, y=1_000_000), categories(x=1_002_000, y=998_000)
    expected = stats.chi2_contingency([[1_000_000, 1_000_000], [1_002_000, 998_000]], correction=True).pvalue

    assert Fisher().compare(reference, current).p_value == pytest.approx(expected, rel=1e-4)


def test_the_score_is_that_of_two_categories():
    """|φ| is Cramér's V."""
    left, right = categories(x=300, y=700), categories(x=450, y=550)

    assert Fisher().compare(left, right).score == pytest.approx(ChiSquared().compare(left, right).score, rel=1e-3)


@pytest.mark.parametrize("current", [categories(x=5, y=5, z=5), categories(x=5, z=5)])
def test_three_categories_are_not_for_this_test(current):
    """No score and no p-value, rather than those of a part of the table."""
    result = Fisher().compare(categories(x=5, y=5), current)

    assert math.isnan(result.score)
    assert result.p_value is None
    assert not result.drifted


def test_false_alarms_are_rarer_than_the_level():
    """An exact test of few values errs on the side of silence."""
    rng = np.random.default_rng(0)
    found = rng.binomial(50, 0.3, size=(3_000, 2)).tolist()
    pairs = [tuple(categories(x=count, y=50 - count) for count in pair) for pair in found]

    assert np.mean(Fisher().measure(Columns(pairs)).p_value < 0.05) <= 0.05

"""The G-test."""

import numpy as np
import pytest
from drift_samples import binned, categories, layout_of
from scipy import stats

from otel_ml.drift.columns import Columns
from otel_ml.drift.univariate.g_test import GTest
from otel_ml.drift.univariate.jensen_shannon import JensenShannon
from otel_ml.sketch.distribution import CategoricalDistribution

TABLE = np.array([[120, 90, 290], [150, 80, 470]])


def sides(table):
    return [CategoricalDistribution({f"c{place}": int(count) for place, count in enumerate(side)}) for side in table]


def test_the_p_value_is_that_of_scipy_but_for_williams():
    """2 Σ observed ln(observed / expected), divided by one and a little more."""
    g, _, freedom, _ = stats.chi2_contingency(TABLE, correction=False, lambda_="log-likelihood")
    n, rows, columns = TABLE.sum(), TABLE.sum(axis=1), TABLE.sum(axis=0)
    williams = 1 + (n * (1 / rows).sum() - 1) * (n * (1 / columns).sum() - 1) / (6 * n * freedom)

    result = GTest().compare(*sides(TABLE))

    assert result.p_value == pytest.approx(stats.chi2.sf(g / williams, freedom))


def test_the_score_is_the_jensen_shannon_divergence():
    """Of two samples of the same size, how much a value's cell tells about the side it is from."""
    left, right = sides(TABLE)

    assert GTest().compare(left, right).score == pytest.approx(JensenShannon().compare(left, right).score ** 2)


def test_low_counts_raise_no_more_alarms_than_they_should():
    """Where the plain statistic is above its χ² too often: seven cells of seven values each."""
    rng = np.random.default_rng(0)
    tables = rng.multinomial(49, np.full(7, 1 / 7), size=(4_000, 2))
    pairs = [tuple(sides(table)) for table in tables]

    p_values = GTest().measure(Columns(pairs)).p_value

    assert 0.03 <= np.mean(p_values < 0.05) <= 0.06


def test_numbers_are_counted_in_bins():
    """A shift by a fifth of a standard deviation is plain with a thousand values."""
    reference, current = np.random.default_rng(1).normal(size=(2, 1_000))
    layout = layout_of(reference)

    result = GTest().compare(binned(reference, layout), binned(current + 0.2, layout))

    assert result.p_value < 0.01


def test_the_remainder_of_heavy_hitters_is_no_evidence():
    """Their shares do not sum to 1 when both sides get the benefit of the doubt."""
    left = CategoricalDistribution({f"c{place}": 100 + place for place in range(50)}, other=4_000, error_bound=40)
    right = CategoricalDistribution({f"c{place}": 110 + place for place in range(50)}, other=3_500, error_bound=40)

    assert GTest().compare(left, right).p_value > 0.99
    assert GTest().compare(left, categories(new=8_000)).p_value < 1e-12

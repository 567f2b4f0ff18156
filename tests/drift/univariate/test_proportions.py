"""The z-test of two proportions."""

import math

import numpy as np
import pytest
from drift_samples import categories
from scipy import stats

from otel_ml.drift.columns import Columns
from otel_ml.drift.univariate.fisher import Fisher
from otel_ml.drift.univariate.proportions import Proportions


def test_the_p_value_is_campbells():
    """Pearson's χ² times (N - 1) / N."""
    statistic = stats.chi2_contingency([[30, 70], [45, 55]], correction=False).statistic

    result = Proportions().compare(categories(yes=30, no=70), categories(yes=45, no=55))

    assert result.p_value == pytest.approx(stats.chi2.sf(statistic * 199 / 200, 1))


def test_the_score_is_cohens_h():
    """2 arcsin √0.5 - 2 arcsin √0.4 is 0.2014."""
    detector = Proportions(bias_corrected=False)

    assert detector.compare(categories(a=50, b=50), categories(a=40, b=60)).score == pytest.approx(0.20136, abs=1e-5)
    assert detector.compare(categories(a=50), categories(b=50)).score == pytest.approx(math.pi)


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
@pytest.mark.parametrize(("n", "m"), [(100, 100), (1_000, 100), (10_000, 1_000)])
def test_false_alarms_are_at_the_level_or_below(share, n, m):
    """With few values to be expected, Fisher's test takes over."""
    rng = np.random.default_rng(n + m)
    found = np.stack((rng.binomial(n, share, 3_000), rng.binomial(m, share, 3_000)), axis=1).tolist()
    pairs = [(categories(yes=a, no=n - a), categories(yes=b, no=m - b)) for a, b in found]

    assert np.mean(Proportions().measure(Columns(pairs)).p_value < 0.05) <= 0.065


def test_few_values_are_left_to_fisher():
    """Three of a hundred where there were none."""
    pair = categories(yes=0, no=100), categories(yes=3, no=97)

    assert Proportions().compare(*pair).p_value == Fisher().compare(*pair).p_value


def test_three_categories_are_not_for_this_test():
    """No score and no p-value, rather than those of a part of the table."""
    result = Proportions().compare(categories(x=5, y=5), categories(x=5, y=5, z=5))

    assert math.isnan(result.score)
    assert result.p_value is None

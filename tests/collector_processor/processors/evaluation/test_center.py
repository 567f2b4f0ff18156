"""Where the values of a column are."""

import numpy as np
import pytest
from processor_samples import categorical, numeric

from collector_processor.processors.evaluation.center import center_of
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary

VALUES = np.array([1.0, 2.0, 3.0, 6.0])


def truth(name, false, true):
    return FeatureSummary(
        FeatureKey(FeatureRole.FEATURE, name), BooleanSummary(false, true), Counters(rows=false + true)
    )


def test_of_numbers_it_is_the_mean():
    """With the standard deviation of the same values, and how far it is from the baseline."""
    center = center_of(numeric("age", VALUES), numeric("age", [0.0, 2.0]))

    assert (center.n, center.mean) == (4, 3.0)
    assert center.deviation == pytest.approx(VALUES.std(ddof=1))
    assert center.standardised == pytest.approx((3.0 - 1.0) / np.sqrt(2))


def test_of_truth_values_it_is_the_share_of_true():
    """A truth value is 0 or 1."""
    center = center_of(truth("member", 300, 100), truth("member", 500, 500))

    assert (center.n, center.mean) == (400, 0.25)
    assert center.deviation == pytest.approx(np.sqrt(0.25 * 0.75))
    assert center.standardised == pytest.approx(-0.5)


@pytest.mark.parametrize(
    "summary",
    [
        categorical("color", {"red": 3}),
        numeric("age", []),
        numeric("age", [1.0]),
        numeric("age", [-1.7e308, 1.7e308]),
        truth("member", 0, 0),
        numeric("all", VALUES, role=FeatureRole.JOINT),
    ],
)
def test_some_columns_have_none(summary):
    """Categories have no order, one value has no deviation, and joint columns are many."""
    assert center_of(summary, None) is None


@pytest.mark.parametrize("baseline", [None, numeric("age", [5.0, 5.0]), categorical("age", {"old": 9})])
def test_without_a_baseline_that_varies_there_is_no_distance_from_it(baseline):
    """Its standard deviation would be the unit."""
    center = center_of(numeric("age", VALUES), baseline)

    assert center.mean == 3.0
    assert center.standardised is None

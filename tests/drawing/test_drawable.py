import numpy as np
import pytest

from otel_ml.baseline.columns import NumberColumn
from otel_ml.baseline.numeric import summarise_numbers
from otel_ml.drawing.drawable import distribution_of
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.datetime_summary import DatetimeSummary
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, FeatureSummary, OpaqueSummary

KEY = FeatureKey(FeatureRole.FEATURE, "x")


def summarised(values):
    content, counters, layout = summarise_numbers(NumberColumn.of(np.asarray(values, np.float64)), len(values))
    return FeatureSummary(KEY, content, counters), layout


def test_few_numbers_are_drawn_exactly():
    """Rather than between the edges of bins."""
    summary, layout = summarised([1.0, 2.0, 2.0])

    found = distribution_of(summary, layout)

    assert found.is_step
    assert found.points.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("kept", ["quantiles", "bins", "histogram"])
def test_numbers_are_drawn_by_whatever_is_kept(kept):
    """Of a baseline of another version, too."""
    values = np.random.default_rng(0).normal(size=5000)
    summary, layout = summarised(values)
    content = NumericSummary(summary.content.moments)
    setattr(content, kept, getattr(summary.content, kept))

    found = distribution_of(FeatureSummary(KEY, content), layout)

    assert found.total == 5000
    assert found.cdf(np.array([0.0]))[0] == pytest.approx(0.5, abs=0.03)


def test_truth_values_categories_and_hours_are_drawn():
    """All hours, those without a value as well."""
    times = DatetimeSummary()
    times.update(np.array([3600.0, 7200.0, 7300.0]))
    categories = CategoricalSummary(CategoryCounts(counts={"a": 2}, other=1))

    assert distribution_of(FeatureSummary(KEY, BooleanSummary(1, 3))).counts == {"false": 1, "true": 3}
    assert distribution_of(FeatureSummary(KEY, categories)).total == 3
    hours = distribution_of(FeatureSummary(KEY, times)).counts
    assert len(hours) == 24
    assert (hours["01"], hours["02"], hours["03"]) == (1, 2, 0)


@pytest.mark.parametrize("content", [NumericSummary(), BooleanSummary(), CategoricalSummary(), OpaqueSummary()])
def test_what_is_empty_is_not_drawn(content):
    """Nor what is not read at all."""
    assert distribution_of(FeatureSummary(KEY, content)) is None

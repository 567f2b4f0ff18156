"""The simulated month."""

import numpy as np
import pytest

from benchmarks.detection.month_traffic import DAY, Change, Traffic
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole


@pytest.fixture(scope="module")
def traffic():
    return Traffic.of(0)


@pytest.fixture(scope="module")
def baseline(traffic):
    return traffic.baseline()


def column(windows, name, kind=FeatureKind.NUMERIC):
    return [window.parts[FeatureKey(FeatureRole.FEATURE, name), kind] for window in windows]


def test_every_row_of_every_column_is_accounted_for(traffic, baseline):
    """In each window a column's counts, and its missing values, add up to the rows of the window."""
    for window in traffic.month(baseline, 1).windows():
        assert len(window.parts) == len(baseline.features) == 50
        for (key, kind), summary in window.parts.items():
            assert kind is baseline.kind(key)
            assert summary.counters.rows == window.rows
            if kind is FeatureKind.NUMERIC:
                (bins,) = summary.content.bins.values()
                assert bins.count == summary.content.moments.count == summary.counters.valid


def test_training_data_and_traffic_are_of_one_process(traffic, baseline):
    """Over whole days the mean of every numeric column is that of its baseline, within five standard errors."""
    windows = list(traffic.month(baseline, 4).windows())

    for key, reference in baseline.features.items():
        if reference.kind is FeatureKind.NUMERIC:
            was = reference.content.moments
            parts = [part.content.moments for part in column(windows, key.name)]
            count = sum(part.count for part in parts)
            mean = sum(part.mean * part.count for part in parts) / count
            assert abs(mean - was.mean) < 5 * was.standard_deviation * np.sqrt(1 / count + 1 / was.count), key


def test_there_is_a_season(traffic, baseline):
    """Night and day differ in the mean of a seasonal column by more than chance."""
    windows = list(traffic.month(baseline, 4).windows())
    means = np.array([part.content.moments.mean for part in column(windows, "mean_0")]).reshape(-1, DAY).mean(axis=0)

    assert 0.15 < np.ptp(means) < 0.9


def test_changes_change_their_column_while_they_last(traffic, baseline):
    """A shift, a loss of values and a new category are there from the first to the last hour of the change."""
    month = traffic.month(baseline, 1)
    changes = [
        Change("steady_0", 5, 10, shift=3.0),
        Change("steady_1", 5, 10, missing=0.5),
        Change("few_0", 5, 10, new_category=0.5),
    ]

    windows = list(month.windows(changes))

    during = [5 <= hour < 10 for hour in range(DAY)]
    assert [part.content.moments.mean > 1.5 for part in column(windows, "steady_0")] == during
    assert [part.counters.missing > 0.3 * part.counters.rows for part in column(windows, "steady_1")] == during
    categories = [part.content.categories.counts for part in column(windows, "few_0", FeatureKind.CATEGORICAL)]
    assert ["new" in counts for counts in categories] == during


def test_a_month_can_be_looked_at_again(traffic, baseline):
    """What one evaluation did to its windows does not show in the next one's."""
    month = traffic.month(baseline, 1)
    for window in month.windows():
        for block in window.binned:
            block.counts[:] = 0

    again = column(month.windows(), "steady_0")

    for part in again:
        (bins,) = part.content.bins.values()
        assert bins.count == part.content.moments.count > 0

"""Many windows of one column in few points of a chart."""

import json
import math

import numpy as np
import pytest
from history_samples import SECOND, figures_of
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.console.buckets import thinned
from collector_processor.history import Column, ColumnSeries


def series(scores, thresholds=0.2, *, length=300 * SECOND, **changes):
    """A column as the history gives it."""
    times = np.arange(1, len(scores) + 1) * length
    figures = figures_of(len(scores), np.array(scores), threshold=thresholds, **changes)
    return ColumnSeries(Column("feature", "f000", "numeric"), times - length, times, figures)


@given(
    scores=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=2_000),
    most=st.integers(1, 300),
)
def test_thinning_keeps_the_worst(scores, most):
    """Of as few points as wanted, one is the largest score of all, and the last is of the last window."""
    found = thinned(series(scores), ["missing"], most)

    assert len(found["times"]) == len(found["scores"]) == len(found["thresholds"]) <= most
    assert max(found["scores"]) == pytest.approx(max(scores), rel=1e-6)
    assert found["times"][-1] == len(scores) * 300 * SECOND
    assert found["times"] == sorted(set(found["times"]))


def test_a_month_of_windows_is_300_points_with_every_peak():
    """A single window of 8,640 stays visible, and so does a single bad value."""
    scores, missing = np.full(8_640, 0.01), np.zeros(8_640)
    scores[[17, 4_321]], missing[5_000] = (0.9, 0.7), 0.25
    found = thinned(series(scores, missing=missing), ["missing"])

    assert len(found["times"]) == 300
    assert sorted(found["scores"])[-3:] == pytest.approx([0.01, 0.7, 0.9])
    assert max(found["values"]["missing"]) == 0.25


def test_thinning_goes_by_what_is_beyond_its_threshold():
    """Where the method changes, so does its scale: 0.3 of 0.1 is worse than 0.4 of 1."""
    found = thinned(series([0.3, 0.4], np.array([0.1, 1.0])), [], 1)

    assert found["scores"] == pytest.approx([0.3])
    assert found["thresholds"] == pytest.approx([0.1])


def test_what_is_infinite_is_drawn_at_the_top():
    """And what was not measured is a gap, not 0."""
    found = thinned(series([0.1, math.inf, math.nan]), [])

    assert found["scores"] == [0.1, 1.0, None]
    assert found["infinite"] == 1
    json.dumps(found, allow_nan=False)

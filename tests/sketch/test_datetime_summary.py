"""What is known of points in time."""

import calendar
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.sketch.datetime_summary import DatetimeSummary

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MOON = datetime(1969, 7, 20, 20, 17, 40, tzinfo=timezone.utc)


def summary_of(*moments, now=None):
    summary = DatetimeSummary()
    summary.update(np.array([(moment - EPOCH) / timedelta(seconds=1) for moment in moments]), now)
    return summary


def test_a_moment_before_the_epoch_has_an_hour_and_a_weekday():
    """The landing on the Moon was on a Sunday, after eight in the evening."""
    summary = summary_of(MOON)

    assert np.flatnonzero(summary.hours).tolist() == [20]
    assert np.flatnonzero(summary.weekdays).tolist() == [calendar.SUNDAY]
    assert summary.epochs.minimum == MOON.timestamp()


@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(timezone.utc))))  # noqa: DTZ001 - bounds must be naive
def test_hours_and_weekdays_are_those_of_the_calendar(moments):
    """In UTC, over all years that Python knows."""
    summary = summary_of(*moments)

    hours, weekdays = [moment.hour for moment in moments], [moment.weekday() for moment in moments]
    assert summary.hours.tolist() == [hours.count(hour) for hour in range(24)]
    assert summary.weekdays.tolist() == [weekdays.count(day) for day in range(7)]


def test_ages_are_counted_back_from_the_inference():
    """One time for all, or one each; values that lie ahead are younger than nothing."""
    summary = summary_of(MOON, now=MOON.timestamp() + 60)
    summary.update(np.array([100.0, 200.0]), np.array([101.0, 190.0]))

    assert summary.ages.exact.values.tolist() == [-10.0, 1.0, 60.0]
    assert summary.count == summary.ages.count == 3


def test_without_an_inference_there_are_no_ages():
    """A baseline's values were never looked at by a model at a certain time."""
    assert summary_of(MOON).ages.count == 0


@pytest.mark.parametrize("epoch", [-1e18, 1e18, 1e300])
def test_moments_beyond_any_calendar_are_counted(epoch):
    """Rounding must not take them out of the day."""
    summary = DatetimeSummary()

    summary.update(np.array([epoch]))

    assert (summary.hours.sum(), summary.weekdays.sum()) == (1, 1)

"""The story's clock, and what it breaks."""

from datetime import datetime, timedelta

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.demo.flights import DAY, FEATURES, TARGET
from otel_ml.demo.scenario import KILOMETRES_PER_MILE, LOST_SHARE, SYMPTOMS, Phase, Scenario


@pytest.fixture(scope="module")
def scenario():
    """The story at its usual speed."""
    return Scenario()


@pytest.fixture(scope="module")
def told(scenario, replay):
    """The flights as they reach the server."""
    return scenario.replayed(replay)


def during(flights, scenario, phase):
    """The flights of one phase."""
    return flights[[scenario.phase(day) is phase for day in flights[DAY].dt.to_pydatetime()]]


def test_the_story_goes_from_normal_through_the_incident_to_fixed(scenario):
    """Each phase begins at midnight after whole weeks."""
    second = timedelta(seconds=1)

    phases = [
        scenario.phase(scenario.moment(0)),
        scenario.phase(scenario.incident_starts - second),
        scenario.phase(scenario.incident_starts),
        scenario.phase(scenario.incident_ends - second),
        scenario.phase(scenario.incident_ends),
    ]

    assert phases == [Phase.NORMAL, Phase.NORMAL, Phase.INCIDENT, Phase.INCIDENT, Phase.FIXED]
    assert scenario.ends == datetime(2013, 12, 10)  # noqa: DTZ001 - local time of the airports


@given(speed=st.floats(0.1, 3.0))
def test_a_window_is_a_week_at_every_speed(speed):
    """Speed changes how long the story takes, not what the statistics see; intervals stay whole milliseconds."""
    scenario = Scenario.at_speed(speed, seed=0)

    assert scenario.elapsed_s(scenario.moment(0) + timedelta(weeks=1)) == pytest.approx(scenario.week_s)
    assert scenario.week_s == pytest.approx(5.0 / speed, abs=0.0101)
    assert scenario.week_s * 200 == pytest.approx(round(scenario.week_s * 200))


@given(elapsed_s=st.floats(0, 50))
def test_both_directions_of_the_clock_agree(elapsed_s):
    """From the wall clock to the simulated one and back."""
    scenario = Scenario()

    assert scenario.elapsed_s(scenario.moment(elapsed_s)) == pytest.approx(elapsed_s, abs=1e-6)


@pytest.mark.parametrize("phase", [Phase.NORMAL, Phase.FIXED])
def test_outside_the_incident_every_flight_arrives_as_it_was(scenario, told, replay, phase):
    """The feed is healthy before the incident, and again after the fix."""
    healthy = during(told, scenario, phase)

    pd.testing.assert_frame_equal(healthy, replay.loc[healthy.index])
    assert len(healthy)


def test_the_incident_breaks_three_columns_and_no_other(scenario, told, replay):
    """Kilometres instead of miles, seats lost, United renamed; what really happened stays as it was."""
    broken = during(told, scenario, Phase.INCIDENT)
    was = replay.loc[broken.index]

    untouched = [name for name in (*FEATURES, TARGET, DAY) if name not in {symptom.feature for symptom in SYMPTOMS}]
    pd.testing.assert_frame_equal(broken[untouched], was[untouched])
    pd.testing.assert_series_equal(broken["distance"], was["distance"] * KILOMETRES_PER_MILE)
    assert (broken["carrier"] == "UAL").equals(was["carrier"] == "UA")
    lost = broken["seats"].isna() & was["seats"].notna()
    assert lost.sum() / was["seats"].notna().sum() == pytest.approx(LOST_SHARE, abs=0.02)


def test_every_flight_of_the_story_is_replayed(scenario, told, replay):
    """Ten weeks from the first day, none left out."""
    expected = replay[replay[DAY] < scenario.ends]

    assert told.index.equals(expected.index)


def test_the_seed_decides_which_seats_are_lost(replay, told):
    """The same seed tells the same story, another a different one."""
    again, other = Scenario(seed=0).replayed(replay), Scenario(seed=1).replayed(replay)

    pd.testing.assert_frame_equal(again, told)
    assert not other["seats"].equals(told["seats"])

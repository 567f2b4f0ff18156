"""Lives of alerts, and what counts as the story having been shown."""

import json

import pytest

from otel_ml.demo.backend import AlertEvent, Column, Received
from otel_ml.demo.report import Timing, alerts, build, failure, false_alerts, problems
from otel_ml.demo.scenario import Phase, Scenario
from otel_ml.demo.traffic import Statistics
from otel_ml.demo.training import TrainedModel

SCENARIO = Scenario()
STARTED = 1_700_000_000_000_000_000


def moment_at(unix_nano):
    """The replay runs on time."""
    return SCENARIO.moment((unix_nano - STARTED) / 1e9)


def event(name, column, state, week, *, is_prediction=False):
    """An alert's event at the end of a week of the replay."""
    end = STARTED + round(week * SCENARIO.week_s * 1e9)
    return AlertEvent(name, column, is_prediction, state, 0.9, 0.2, f"{name} in week {week}", end, end + 10**9)


def life(name, column, fired=5, resolved=8, **how):
    """Both events of an alert."""
    return [event(name, column, "firing", fired, **how), event(name, column, "resolved", resolved, **how)]


STORY = [*life("drift", "distance"), *life("missing", "seats"), *life("unseen_category", "carrier")]


def found_problems(events, rows_sent=10, rows_counted=10):
    """What differs from the story after these events."""
    lives = alerts(events, moment_at)
    return problems(lives, SCENARIO, rows_sent=rows_sent, rows_counted=rows_counted)


def test_an_alert_lives_from_firing_to_resolved():
    """Score and reason of the moment it fired, and when both happened on either clock."""
    (found,) = alerts(life("drift", "distance"), moment_at)

    assert (found.name, found.feature, found.score, found.reason) == ("drift", "distance", 0.9, "drift in week 5")
    assert (found.fired_in_replay, found.resolved_in_replay) == ("2013-11-05T00:00", "2013-11-26T00:00")
    assert found.fired_at == "2023-11-14T22:13:46.000+00:00"
    assert found.resolved_at == "2023-11-14T22:14:01.000+00:00"


def test_events_that_overtook_each_other_make_the_same_lives():
    """Retries may deliver the end before the beginning."""
    assert set(alerts(STORY[::-1], moment_at)) == set(alerts(STORY, moment_at))


def test_an_alert_that_fires_twice_has_two_lives():
    """Each with an end of its own."""
    first, second = alerts([*life("drift", "distance", 4, 5), event("drift", "distance", "firing", 6)], moment_at)

    assert first.resolved_at is not None
    assert second.resolved_at is None


def test_the_story_as_written_has_no_problems():
    """Three symptoms fire, the same cause seen another way may too, all resolve, all rows arrive."""
    assert found_problems(STORY) == []
    assert found_problems([*STORY, *life("drift", "carrier"), *life("out_of_range", "distance")]) == []


def test_predictions_may_drift_while_features_are_broken():
    """They follow from features; before the incident they have no excuse."""
    assert found_problems([*STORY, *life("drift", "prediction", is_prediction=True)]) == []
    assert len(found_problems([*STORY, *life("drift", "prediction", 2, 3, is_prediction=True)])) == 1


@pytest.mark.parametrize("position", [0, 2, 4])
def test_a_symptom_that_did_not_fire_is_a_problem(position):
    """Each of the three must be seen."""
    events = [event for index, event in enumerate(STORY) if index not in (position, position + 1)]

    (problem,) = found_problems(events)
    assert "did not fire although" in problem


def test_an_alert_that_never_resolved_is_a_problem():
    """After the fix everything is quiet again."""
    (problem,) = found_problems(STORY[:-1])

    assert "never resolved" in problem


@pytest.mark.parametrize(
    "false",
    [
        life("drift", "departure_delay"),
        life("missing", "distance"),
        life("drift", "distance", 2, 3),
        life("drift", "distance", 9, 10),
    ],
    ids=["healthy column", "another check", "too early", "too late"],
)
def test_an_alert_that_the_incident_does_not_explain_is_false(false):
    """On the wrong column, by the wrong check, or at the wrong time."""
    lives = alerts([*STORY, *false], moment_at)

    (found,) = false_alerts(lives, SCENARIO)
    assert found.reason == false[0].reason
    assert any("for no reason" in problem for problem in found_problems([*STORY, *false]))


def test_rows_that_do_not_add_up_are_a_problem():
    """What was sent has to be counted, no more and no less."""
    assert found_problems(STORY, 10, 9) == ["10 rows were sent, but the processor counted 9"]
    assert found_problems(STORY, 10, 11) == ["10 rows were sent, but the processor counted 11"]


def test_a_machine_that_was_too_slow_is_told_so():
    """Only where something went wrong: a slow replay that shows the story is a replay."""
    lives = alerts(STORY, moment_at)

    assert problems(lives, SCENARIO, rows_sent=1, rows_counted=1, lag_s=9.0) == []
    assert "--speed 0.5" in problems(lives, SCENARIO, rows_sent=2, rows_counted=1, lag_s=9.0)[-1]


def statistics():
    """Of ten rows in one request."""
    found = Statistics(SCENARIO.ends, requests=1, rows=10)
    found.errors[Phase.NORMAL] = (120.0, 10)
    found.latencies_s.append(0.01)
    return found


def received(**changes):
    """What a backend has after the story."""
    column = Column()
    column.add("drift", 0.25)
    return Received(
        **{
            "rows_counted": 10, "snapshots": 2, "snapshot_bytes": 4000, "snapshot_columns": 20, "alerts": STORY,
            "columns": {"distance": column}, **changes,
        }
    )  # fmt: skip


def built(**changes):
    """The report of the story."""
    model = TrainedModel(None, 100, 10, 12.04, 21.9, 13.1)
    timing = Timing(8.0, 14.0, 34.0, 50.0, 64.5)
    return build(
        SCENARIO, model, statistics(), received(**changes), timing, moment_at=moment_at, speed=1.0
    )  # fmt: skip


def test_the_report_is_one_json_object():
    """With everything a machine wants to know."""
    content = json.loads(json.dumps(built().to_json(), allow_nan=False))

    assert (content["ok"], content["problems"], content["false_alerts"]) == (True, [], [])
    assert content["fired"] == content["resolved"] == ["distance: drift", "seats: missing", "carrier: unseen_category"]
    assert {"name", "feature", "score", "reason", "fired_at", "resolved_at"} <= content["alerts"][0].keys()
    assert (content["rows_sent"], content["rows_counted"], content["bytes_per_feature"]) == (10, 10, 200.0)
    assert content["features"] == {"distance": {"latest": {"drift": 0.25}, "highest": {"drift": 0.25}}}
    assert content["model"]["mean_absolute_error_by_phase"] == {"normal": 12.0, "incident": None, "fixed": None}
    assert content["seconds_since_launch"]["total"] == 64.5


def test_a_report_without_snapshots_states_no_size():
    """When snapshots stay in the processor nobody has weighed them."""
    told = built(snapshots=0, snapshot_bytes=0, snapshot_columns=0)

    assert told.to_json()["bytes_per_feature"] is None
    assert not told.problems


def test_a_demo_that_broke_off_says_why():
    """The reason is the only content."""
    assert failure("the processor was killed").to_json() == {"ok": False, "problems": ["the processor was killed"]}


def test_a_resolution_of_nothing_is_ignored():
    """A processor that kept its state may resolve what fired before this demo."""
    assert alerts([event("drift", "distance", "resolved", 1)], moment_at) == []


def test_a_window_that_still_holds_broken_rows_may_fire():
    """The week after the fix can be the second of three to breach."""
    assert found_problems([*life("drift", "distance", 7, 9), *STORY[2:]]) == []

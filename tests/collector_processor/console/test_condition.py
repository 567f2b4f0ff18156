"""How a model is, in a word."""

import dataclasses

import pytest
from history_samples import HOUR, SECOND, alert, record, subject

from collector_processor.console.condition import alert_of, calls_of, condition
from collector_processor.console.page import Live
from collector_processor.history import CallFigures
from otel_ml import semconv

LIVE = Live(lateness_s=30.0)
LINE = record(0).line
NOW = LINE.end_unix_nano


def state(line=LINE, firing=(), now=NOW, whose=None, told=()):
    return condition(whose or subject(), line, firing, LIVE, now, told)


def changed(**changes):
    return dataclasses.replace(LINE, **changes)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (LINE, "healthy"),
        (None, "silent"),
        (changed(drifted=1), "drifting"),
        (changed(outcome="no_baseline"), "no baseline"),
        (changed(outcome="insufficient_rows"), "too few rows"),
        (changed(outcome="overflow"), "too few rows"),
    ],
)
def test_the_last_window_says_how_a_model_is(line, word):
    """And why."""
    found = state(line)

    assert found["state"] == word
    assert found["why"]


def test_what_fires_comes_before_everything():
    """Also where nothing was heard since."""
    found = state(None, [alert(), alert(column="f001")])

    assert (found["state"], found["why"]) == ("firing", "f000: drift: PSI 0.31 > 0.20 of f000 (and 1 more)")


def test_a_part_is_told_by_its_whole():
    """One sentence about the change upstream says more than one about a column of it."""
    part = alert(column="f001", **{semconv.ALERT_CAUSE: "common_change"})
    whole = alert(check="common_change", column="")

    assert state(firing=[part, whole])["why"].startswith("common_change: ")
    assert state(firing=[part])["why"].startswith("f001: drift: ")


def test_what_fires_in_a_slice_names_it():
    """After what is about the whole; on the page of the slice nobody needs its name."""
    part = alert(whose=subject(segment="country=NO"))

    assert state(firing=[part])["why"] == "country=NO: f000: drift: PSI 0.31 > 0.20 of f000"
    assert state(firing=[part], whose=subject(segment="country=NO"))["why"].startswith("f000: drift: ")
    assert state(firing=[part, alert(column="f001")])["why"].startswith("f001: drift: ")


def test_the_alert_that_is_told_comes_with_its_requests():
    """For pages to lead to them; nothing else has a cause."""
    fires = alert(**{semconv.EXEMPLAR_TRACE_IDS: ["0af7"], semconv.WINDOW_END: 7})
    cause = state(firing=[fires])["cause"]

    assert (cause["column"], cause["window_end"], cause["trace_ids"]) == ("f000", 7, ["0af7"])
    assert state()["cause"] is None


def test_one_feature_is_not_many():
    """In English."""
    assert state(changed(compared=1))["why"] == "1 feature is as in the baseline"


@pytest.mark.parametrize(("windows_ago", "is_news"), [(0, True), (11, True), (12, False)])
def test_an_alert_that_just_resolved_is_news(windows_ago, is_news):
    """For whoever comes because it fired; a dozen windows later it is not."""
    over = alert("resolved", time=NOW - windows_ago * HOUR)
    why = state(told=[over, alert(time=NOW)])["why"]

    assert why == "3 features are as in the baseline" + ("; f000: drift resolved lately" if is_news else "")


def test_of_several_that_resolved_the_last_is_named():
    """And how many others there are."""
    over = [alert("resolved", time=NOW), alert("resolved", time=NOW, column="f001", whose=subject(segment="a=b"))]

    assert state(told=over)["why"].endswith("; f000: drift and 1 more resolved lately")
    assert state(told=over[1:])["why"].endswith("; a=b: f001: drift resolved lately")


@pytest.mark.parametrize(("windows", "word"), [(3, "healthy"), (4, "silent")])
def test_a_model_is_silent_once_windows_did_not_come(windows, word):
    """Three may be a pause, beside the time in which late rows are waited for."""
    assert state(now=NOW + windows * HOUR + 29 * SECOND)["state"] == word


def test_what_fired_when_a_model_was_last_heard_of_may_be_over():
    """So that a version that was replaced in trouble does not stand on top for ever."""
    found = state(firing=[alert()], now=NOW + 9 * HOUR)

    assert found["state"] == "silent"
    assert "an alert fired when it was last heard of" in found["why"]


def test_what_can_be_done_is_a_command():
    """With the name of the model in it."""
    assert "otel-ml doctor" in state(now=NOW + 9 * HOUR)["next"]
    assert "--model fraud --version 3 " in state(changed(outcome="no_baseline"))["next"]
    assert "--version" not in state(changed(outcome="no_baseline"), whose=subject("fraud", ""))["next"]
    assert state()["next"] is None


def test_calls_are_told_with_their_share_of_failures():
    """None where there were none, and no division by nothing."""
    found = calls_of(CallFigures(200, {"ValueError": 3, "KeyError": 1}, 0.01, 0.05, 0.09))

    assert (found["failed"], found["error_ratio"], found["p95_s"]) == (4, 0.02, 0.05)
    assert calls_of(CallFigures(0))["error_ratio"] == 0.0
    assert calls_of(None) is None


def test_what_resolved_has_no_requests_to_look_at():
    """Those of its last window show what is well again."""
    traces = {semconv.EXEMPLAR_TRACE_IDS: ["0af7"]}

    assert alert_of(alert(**traces))["trace_ids"] == ["0af7"]
    assert alert_of(alert("resolved", **traces))["trace_ids"] == []


def test_a_silent_model_says_how_many_windows_are_missing():
    """In its own windows, which may be seconds or days long."""
    assert state(now=NOW + 9 * HOUR)["why"] == "8 windows were due since its last one, and none came"


def test_an_alert_is_told_with_all_that_it_says():
    """What it does not say is empty."""
    found = alert_of(alert(**{semconv.DRIFT_MOVED: ["a"], semconv.ALERT_CAUSE: "drift", semconv.WINDOW_END: 7}))
    bare = alert_of(dataclasses.replace(alert(), attributes={}))

    assert (found["moved"], found["cause"], found["window_end"]) == (["a"], "drift", 7)
    assert (bare["moved"], bare["features"], bare["cause"], bare["window_end"]) == ([], [], None, None)

"""Streaming detectors of river on series of windows."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from processor_samples import MODEL
from pydantic import ValidationError
from reference_samples import HOUR, MONDAY

from collector_processor.processors.evaluation import DRIFT, Check, FeatureEvaluation, WindowEvaluation
from collector_processor.processors.evaluation.center import Center
from collector_processor.processors.series import ConceptSettings, ConceptWatch
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

RISK = FeatureKey(FeatureRole.PREDICTION, "risk")
AGE = FeatureKey(FeatureRole.FEATURE, "age")
CHANGE = 300


def window(number, *, mean=0.0, missing=0, score=0.0, model=MODEL, outcome="evaluated", segment=None):
    """A prediction with a mean, and a feature with missing values and a score."""
    center = None if mean is None else Center(1_000, 50.0 + 10.0 * mean, 10.0, 50.0, 10.0)
    checks = [Check(DRIFT, "psi", score, 0.2, False, None, 1_000)]
    features = [
        FeatureEvaluation(RISK, FeatureKind.NUMERIC, Counters(rows=1_000), 1_000, center=center),
        FeatureEvaluation(AGE, FeatureKind.NUMERIC, Counters(rows=1_000, missing=missing), 1_000, checks=checks),
    ]
    start = MONDAY + number * HOUR
    return WindowEvaluation(model, start, start + HOUR, 1_000, False, outcome, "ab12cd34", features, segment)


def noise(number):
    return 0.05 * np.random.default_rng(number).standard_normal()


def run(watch, numbers, **changes):
    """The alarms, with the number of their window; the changes come with window `CHANGE`."""
    found = []
    for number in numbers:
        now = changes if number >= CHANGE else {}
        values = {"mean": noise(number), **now}
        found += [(number, alarm) for alarm in watch.observe(window(number, **values))]
    return found


def watch_of(*settings, **limit):
    return ConceptWatch([ConceptSettings.model_validate(each) for each in settings], **limit)


PAGE_HINKLEY = {"method": "page_hinkley", "settings": {"threshold": 5.0, "delta": 0.1}}


@pytest.mark.parametrize("settings", [PAGE_HINKLEY, {"method": "adwin"}, {"method": "kswin"}])
def test_a_change_of_the_mean_prediction_is_said_once(settings):
    """What goes on is the same change."""
    ((number, alarm),) = run(watch_of(settings), range(CHANGE + 20), mean=1.0)

    assert CHANGE <= number < CHANGE + 20
    assert (alarm.feature, alarm.method, alarm.series) == (RISK, settings["method"], "prediction_mean")
    # From the baseline's mean, in the baseline's standard deviations.
    assert alarm.value == pytest.approx(1.0)


def test_a_change_of_the_missing_ratio_is_found():
    """Of any column, features too."""
    watched = watch_of({**PAGE_HINKLEY, "series": "missing_ratio", "scale": 0.02})
    found = run(watched, range(CHANGE + 20), missing=100)

    assert [(alarm.feature, alarm.value) for _, alarm in found] == [(AGE, 0.1)]


def test_a_change_of_the_drift_score_is_found():
    """Below its threshold, too."""
    watched = watch_of({**PAGE_HINKLEY, "series": "drift_score", "scale": 0.02})
    found = run(watched, range(CHANGE + 20), score=0.1)

    assert [(alarm.feature, alarm.series) for _, alarm in found] == [(AGE, "drift_score")]


def test_windows_without_a_value_change_nothing():
    """Nothing is told from nothing: no mean, NaN, too few rows, a slice."""
    watched = watch_of(PAGE_HINKLEY)
    for number in range(CHANGE):
        for nothing in (
            {"mean": None},
            {"mean": float("nan")},
            {"mean": 9.0, "outcome": "insufficient_rows"},
            {"mean": 9.0, "segment": Segment("country", "DE")},
        ):
            assert watched.observe(window(number, **nothing)) == []

    assert run(watched, range(CHANGE)) == []


def test_two_models_are_told_apart():
    """Their predictions have nothing to do with each other."""
    watched = watch_of(PAGE_HINKLEY)
    found = []
    for number in range(CHANGE):
        found += watched.observe(window(number, mean=noise(number)))
        found += watched.observe(window(number, mean=5.0 + noise(number), model=ModelKey("churn", "1")))

    assert found == []
    assert len(watched) == 2


def test_a_restart_changes_nothing():
    """What led up to the change is remembered."""
    plain = run(watch_of(PAGE_HINKLEY), range(CHANGE + 20), mean=1.0)
    before = watch_of(PAGE_HINKLEY)
    run(before, range(CHANGE + 2), mean=1.0)
    after = watch_of(PAGE_HINKLEY)
    after.restore(before.encode())
    again = watch_of(PAGE_HINKLEY)
    # One that saw no window keeps what it was given.
    again.restore(after.encode())

    assert run(again, range(CHANGE + 2, CHANGE + 20), mean=1.0) == [found for found in plain if found[0] >= CHANGE + 2]
    assert plain


def test_what_is_not_watched_any_more_is_forgotten():
    """Other settings make another series."""
    before = watch_of(PAGE_HINKLEY)
    run(before, range(10))
    after = watch_of({"method": "adwin"})
    after.restore(before.encode())

    assert after.encode() == {}


def test_memory_is_bounded():
    """Models come and go; the series that were silent longest are forgotten."""
    watched = watch_of({**PAGE_HINKLEY, "series": "missing_ratio"}, limit=6)
    for number in range(10):
        watched.observe(window(number, model=ModelKey(f"model {number}", "")))
    restored = watch_of({**PAGE_HINKLEY, "series": "missing_ratio"}, limit=3)
    restored.restore(watched.encode())
    for number in range(20, 30):
        restored.observe(window(number, model=ModelKey(f"model {number}", "")))

    assert len(watched) == 6
    assert len(restored.encode()) == 3


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"method": "adwinn"}, "unknown streaming detector .* did you mean 'adwin'"),
        ({"method": "ddm"}, "'ddm' wants the error of each prediction"),
        ({"method": "adwin", "series": "errors"}, "prediction_mean"),
        ({"method": "adwin", "scale": 0.0}, "greater than 0"),
        ({"method": "adwin", "quiet": -1}, "greater than or equal to 0"),
        ({}, "Field required"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, problem):
    """At start, not with the first window."""
    with pytest.raises(ValidationError, match=problem):
        ConceptSettings.model_validate(settings)


def test_settings_that_river_does_not_have_are_refused():
    """With the name of the setting and where it stands."""
    watched = watch_of(PAGE_HINKLEY, {"method": "adwin", "settings": {"detla": 0.1}})

    with pytest.raises(ConfigurationError, match=r"processors::drift::concept::1::adwin::detla.*did you mean 'delta'"):
        watched.prepare()


def test_without_river_the_error_names_the_extra():
    """Nobody should have to search for what is missing."""
    program = """
        import sys
        sys.modules["river"] = None
        from collector_processor.processors.series import ConceptSettings, ConceptWatch
        from otel_ml.errors import ConfigurationError
        ConceptWatch([]).prepare()
        try:
            ConceptWatch([ConceptSettings(method="adwin")]).prepare()
        except ConfigurationError as error:
            print(error)
    """
    run_alone = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True
    )

    assert "processors::drift::concept::0::adwin: needs river: pip install 'otel-ml[concept]'" in run_alone.stdout

"""What lies beyond a limit: counted, kept together under one name, and no burden to anybody else."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import MINUTE, MODEL, SECOND, START, Producer, categorical, numeric
from reference_samples import amounts

from collector_processor.processors.evaluation import DecisionSettings, Evaluator, QualitySettings, Rule
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences
from collector_processor.processors.references.settings import ReferenceSettings
from collector_processor.processors.report import measurements
from collector_processor.processors.windows import LimitSettings, Outcome, WindowSettings, WindowStore
from collector_processor.processors.windows.overflow import OVERFLOW_COLUMN, OVERFLOW_MODEL
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch import codec
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

FIVE_MINUTES = 5 * MINUTE
OTHER = "_OTHER"
FURTHER = ModelKey("fraud", OTHER)
LAYOUT = BinLayout(np.linspace(0, 1, 63))


def store(**limits):
    changed = {name: limits.pop(name) for name in ("lateness", "allowed_lateness") if name in limits}
    return WindowStore(
        WindowSettings(window="5m", limits=LimitSettings(**limits), **changed),
        lambda: 1000.0,
        lambda: START + 365 * 86_400 * SECOND,
    )


def decoded(snapshot):
    return codec.decode(codec.encode(snapshot))


def of(model, *features, rows=10, start=START, segment=None):
    snapshot = Producer(model=model).snapshot(*features, rows=rows, start=start)
    return decoded(replace(snapshot, segment=segment))


def rows(windows):
    return {(window.model, window.segment): window.rows for window in windows}


def test_models_beyond_the_limit_are_one_model_of_which_rows_are_counted():
    """What they have in common is that they are too many: their columns are not looked at."""
    windows = store(models=2)

    outcomes = [windows.merge(of(ModelKey(f"m{number}"), numeric("x", [1.0] * 10))) for number in range(5)]

    assert outcomes == [Outcome.MERGED] * 5
    assert windows.overflown == {"too_many_models": 3}
    found = windows.close_all()
    assert rows(found) == {(ModelKey("m0"), None): 10, (ModelKey("m1"), None): 10, (OVERFLOW_MODEL, None): 30}
    assert not next(window for window in found if window.model == OVERFLOW_MODEL).parts


def test_versions_beyond_the_limit_are_one_version_with_counters_alone():
    """A mixture of versions has no distribution that means anything, but rows and gaps."""
    windows = store(versions=2)
    columns = numeric("amount", np.linspace(0, 1, 40), missing=3), categorical("sign", {"a": 40}, missing=2)

    for version in ("1", "2", "3", "4"):
        windows.merge(of(ModelKey("fraud", version), *columns, rows=43))
    windows.merge(of(ModelKey("churn", "9"), *columns, rows=43))

    assert windows.overflown == {"too_many_versions": 2}
    found = {window.model: window for window in windows.close_all()}
    assert {model.version: window.rows for model, window in found.items()} == {"1": 43, "2": 43, OTHER: 86, "9": 43}
    parts = {key.name: part for (key, _), part in found[FURTHER].parts.items()}
    assert {part.kind for part in parts.values()} == {FeatureKind.OPAQUE}
    assert (parts["amount"].counters.rows, parts["amount"].counters.missing) == (86, 6)
    assert parts["sign"].counters.missing == 4


def test_segments_beyond_the_limit_are_one_segment_with_all_that_a_segment_has():
    """Values of one dimension can be added up, and compared."""
    windows = store(segments=2)

    outcomes = [
        windows.merge(of(MODEL, numeric("amount", [float(number)] * 10), segment=Segment("customer", str(number))))
        for number in range(5)
    ]

    assert outcomes == [Outcome.MERGED] * 5
    assert windows.overflown == {"too_many_segments": 3}
    found = {window.segment.value: window for window in windows.close_all()}
    assert {value: window.rows for value, window in found.items()} == {"0": 10, "1": 10, OTHER: 30}
    (part,) = found[OTHER].parts.values()
    assert part.content.moments.count == 30


def test_what_a_sender_put_together_is_in_the_same_segment():
    """Its own limit has the same name for what lies beyond."""
    windows = store(segments=1)
    for value in (OTHER, "a", "b", OTHER):
        windows.merge(of(MODEL, segment=Segment("customer", value)))

    assert {window.segment.value: window.rows for window in windows.close_all()} == {"a": 10, OTHER: 30}


def test_dimensions_without_end_are_refused_and_the_whole_is_not():
    """Each would have a segment of its own for what lies beyond."""
    windows = store(segments=1)
    outcomes = [windows.merge(of(MODEL, segment=Segment(f"d{number}", "x"))) for number in range(20)]

    assert windows.merge(of(MODEL)) is Outcome.MERGED
    assert outcomes == [Outcome.MERGED] * 9 + [Outcome.TOO_MANY_SEGMENTS] * 11


def test_columns_beyond_the_limit_are_one_column_with_counters_alone():
    """The columns that were there first stay, the rows count all the same."""
    windows = store(features=2)
    windows.merge(of(MODEL, *(numeric(f"f{index}", [1.0] * 9, missing=1) for index in range(5))))

    (window,) = windows.close_all()

    assert windows.features_dropped == {"too_many_features": 3}
    assert (window.features, len(window.parts)) == (2, 3)
    counters = window.parts[OVERFLOW_COLUMN, FeatureKind.OPAQUE].counters
    assert (counters.rows, counters.missing) == (30, 3)


def evaluator(*baselines):
    return Evaluator(
        References(baselines),
        {"psi": create("psi")},
        DecisionSettings(),
        QualitySettings(),
        10,
        Rule(0.05, 1000, 0.25, 0.5, 0.05),
    )


def test_nothing_in_an_overflow_series_can_alert():
    """There is nothing that it should be like; a baseline for any version is not one for all of them."""
    windows = store(versions=1, features=1)
    windows.merge(of(ModelKey("fraud", "1"), numeric("amount", [1.0] * 10)))
    windows.merge(of(ModelKey("fraud", "2"), numeric("amount", [9.0] * 50, missing=50), rows=100))
    window = next(window for window in windows.close_all() if window.model == FURTHER)
    baseline = Baseline.build({"amount": np.linspace(0, 1, 1000)}, model="fraud")

    evaluation = evaluator(baseline).evaluate(window)

    assert evaluation.outcome == "overflow"
    assert [feature.checks for feature in evaluation.features] == [()]
    gauges = {gauge.metric.name: gauge for gauge in measurements(evaluation, 0.05)}
    assert gauges[semconv.MODEL_ROWS.name].attributes[semconv.METRIC_OVERFLOW] is True
    assert gauges["ml.feature.missing.ratio"].value == 0.5


def test_a_column_of_the_baseline_that_is_beyond_the_limit_is_not_called_missing():
    """It was sent; nobody kept it apart."""
    windows = store(features=1)
    windows.merge(of(MODEL, numeric("a", [0.5] * 100), numeric("b", [0.5] * 100), rows=100))
    (window,) = windows.close_all()
    baseline = Baseline.build({"a": np.linspace(0, 1, 1000), "b": np.linspace(0, 1, 1000)}, model="fraud", version="3")

    evaluation = evaluator(baseline).evaluate(window)

    assert {feature.key.name for feature in evaluation.features} == {"a", OTHER}
    missing = [check for feature in evaluation.features for check in feature.checks if check.name == "missing"]
    assert [check.score for check in missing] == [0.0]


def test_an_overflow_version_is_nobodys_reference_and_has_none():
    """Neither stable, nor yesterday."""
    history = WindowHistory(ReferenceSettings(), 3600.0)
    named = NamedReferences(ReferenceSettings(), history, lambda _: None, 10)
    mixed, own = amounts(START, model=FURTHER), amounts(START)

    history.remember(mixed)
    history.remember(own)

    assert [subject.model for subject in history.subjects()] == [MODEL]
    assert named.select(mixed) == []


def test_a_flood_of_new_names_takes_no_window_away():
    """Who has open windows keeps them; the flood is one series."""
    windows = store(models=50, versions=5, segments=10, features=20)
    windows.merge(of(MODEL, numeric("amount", [1.0] * 10)))
    known = [Segment("country", value) for value in ("NO", "SE")]
    for segment in known:
        windows.merge(of(MODEL, numeric("amount", [1.0] * 10), segment=segment))

    for number in range(500):
        windows.merge(of(ModelKey(f"junk{number}", "1"), numeric(f"j{number}", [1.0] * 10)))
        windows.merge(of(ModelKey("fraud", f"v{number}"), numeric("amount", [1.0] * 10)))
        windows.merge(of(MODEL, numeric(f"f{number}", [1.0] * 10), segment=Segment("country", f"c{number}")))
    windows.merge(of(MODEL, numeric("amount", [1.0] * 10)))

    assert len(windows.streams) <= 52
    assert sum(len(stream.windows) for stream in windows.streams.values()) <= 52 + 11
    found = {(window.model, window.segment): window for window in windows.close_all()}
    assert found[MODEL, None].rows == 20
    assert [found[MODEL, segment].rows for segment in known] == [10, 10]
    total = sum(window.rows for (_, segment), window in found.items() if segment is None)
    assert total == 1002 * 10


def test_segments_and_columns_keep_their_place_from_window_to_window():
    """Junk that comes first in a window is junk all the same."""
    windows = store(segments=1, features=1, lateness="1h")
    windows.merge(of(MODEL, numeric("amount", [1.0] * 10), segment=Segment("country", "NO")))
    later = START + FIVE_MINUTES

    windows.merge(of(MODEL, numeric("junk", [1.0] * 10), segment=Segment("country", "junk"), start=later))
    windows.merge(of(MODEL, numeric("amount", [1.0] * 10), segment=Segment("country", "NO"), start=later))

    found = {(window.start_unix_nano, window.segment.value): window for window in windows.close_all()}
    assert found[later, "NO"].rows == 10
    assert [key.name for key, _ in found[later, "NO"].parts] == ["amount"]
    assert [key.name for key, _ in found[later, OTHER].parts] == [OTHER]


def test_a_place_is_given_up_by_who_is_no_longer_seen():
    """Last week's segments do not keep today's out."""
    windows = store(segments=1, lateness="0s", allowed_lateness="0s")
    windows.merge(of(MODEL, segment=Segment("country", "NO")))
    windows.close_all()

    windows.merge(of(MODEL, segment=Segment("country", "SE"), start=START + 20 * FIVE_MINUTES))

    assert [window.segment.value for window in windows.close_all()] == ["SE"]


def test_models_without_windows_are_remembered_and_bounded():
    """A stream is small, and knows which windows are closed; a flood of them is not kept for ever."""
    windows = store(models=10, lateness="0s", allowed_lateness="0s")
    windows.merge(of(MODEL))
    for number in range(200):
        windows.merge(of(ModelKey(f"junk{number}"), start=START + number))
        windows.close_all()
        if number < 40:
            assert windows.merge(of(MODEL)) is Outcome.LATE

    assert len(windows.streams) <= 61


def test_beyond_the_memory_that_is_allowed_columns_are_counted_together():
    """A model with more than its share gets no more columns; one with less is not held up by it."""
    windows = store(memory_mib=1, features=100_000, models=10)
    for number in range(40):
        features = [numeric(f"f{number}_{index}", np.linspace(0, 1, 50)) for index in range(20)]
        windows.merge(of(ModelKey("greedy"), *features, rows=50))

    windows.merge(of(MODEL, numeric("amount", np.linspace(0, 1, 50)), rows=50))

    assert windows.size <= 2 << 20
    assert windows.features_dropped["memory"] > 500
    found = {window.model: window for window in windows.close_all()}
    assert found[ModelKey("greedy")].rows == 2000
    assert [key.name for key, _ in found[MODEL].parts] == ["amount"]
    assert windows.size == 0


names = st.sampled_from(["a", "b", "c", "d"])


@settings(max_examples=60, deadline=None)
@given(
    sent=st.lists(
        st.tuples(names, names, st.none() | names, st.lists(names, max_size=4, unique=True), st.integers(0, 3)),
        max_size=30,
    ),
    limit=st.integers(1, 3),
)
def test_no_row_is_lost_whatever_the_limits(sent, limit):
    """Each row of a whole model is in exactly one window, and each value of a column in one column."""
    windows = store(models=limit, versions=limit, segments=limit, features=limit, lateness="1h")
    for name, version, segment, columns, window in sent:
        snapshot = of(
            ModelKey(name, version),
            *(numeric(column, [1.0] * 10) for column in columns),
            start=START + window * FIVE_MINUTES,
            segment=segment and Segment("country", segment),
        )
        assert windows.merge(snapshot) in (Outcome.MERGED, Outcome.TOO_MANY_SEGMENTS)

    wholes = [window for window in windows.close_all() if window.segment is None]
    assert sum(window.rows for window in wholes) == 10 * sum(segment is None for *_, segment, _, _ in sent)
    cells = sum(part.counters.rows for window in wholes for part in window.parts.values())
    assert cells <= 10 * sum(len(columns) for *_, segment, columns, _ in sent if segment is None)
    assert all(window.features <= limit for window in wholes)


@pytest.mark.parametrize("role", [FeatureRole.FEATURE, FeatureRole.PREDICTION, FeatureRole.SCORE])
def test_the_overflow_of_any_column_is_the_same_one(role):
    """A prediction beyond the limit is a column like others."""
    windows = store(features=1)
    windows.merge(of(MODEL, numeric("kept", [1.0]), numeric("more", [1.0], role=role)))

    (window,) = windows.close_all()

    assert FeatureKey(FeatureRole.FEATURE, OTHER) in {key for key, _ in window.parts}

"""How the calls of a model went, merged over its replicas, from snapshot to evaluation."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import MINUTE, MODEL, SECOND, START, Producer, numeric
from reference_samples import Shelf
from sketch.test_calls import summaries, summary_of, view

from collector_processor.component import Request, Signal
from collector_processor.processors import checkpoint
from collector_processor.processors.alerts import AlertBook, AlertSettings
from collector_processor.processors.deduplication import Deduplicator
from collector_processor.processors.evaluation import Evaluator, Rule
from collector_processor.processors.evaluation.correction import Correction
from collector_processor.processors.evaluation.settings import DecisionSettings, QualitySettings
from collector_processor.processors.merging import Merger
from collector_processor.processors.plain_histograms import Increments
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.settings import ReferenceSettings
from collector_processor.processors.report import measurements
from collector_processor.processors.windows import LimitSettings, Outcome, WindowSettings, WindowStore
from collector_processor.processors.windows.overflow import OVERFLOW_MODEL
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch import codec
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.calls import LARGEST_BYTES, CallSummary
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment

VERSION = "service.version"
LAYOUT = BinLayout(np.array([0.0, 1.0]))
FAILED = summary_of([0.5] * 4, {"ValueError": 4})


class Clock:
    """A monotonic clock that stands still unless told."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def store(clock=None, *, limits=None, deployments=None, **settings):
    settings = WindowSettings(window="5m", limits=LimitSettings(**(limits or {})), **settings)
    return WindowStore(settings, clock or Clock(), lambda: START + 365 * 86_400 * SECOND, deployments=deployments)


def sent(producer, calls, *, values=(), start=START, segment=None, resource=None):
    """As a receiver decodes it."""
    columns = (numeric("amount", list(values), layout=LAYOUT),) if len(values) else ()
    snapshot = replace(producer.snapshot(*columns, start=start), calls=calls, segment=segment)
    return replace(codec.decode(codec.encode(snapshot)), resource=resource or {})


def only(windows):
    (window,) = windows.close_all()
    return window


def evaluator(*baselines):
    return Evaluator(
        References(baselines),
        {"psi": create("psi")},
        DecisionSettings(),
        QualitySettings(),
        10,
        Rule(0.05, 1000, 0.25, 0.5, 0.05),
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(summaries.filter(lambda calls: calls.count), min_size=1, max_size=6), st.booleans())
def test_calls_of_all_replicas_add_up(parts, is_together):
    """Merged one by one or many at once; and who sent them still has them."""
    windows, whole = store(), CallSummary()
    snapshots = [sent(Producer(bytes([place]) * 16), calls, values=[0.5]) for place, calls in enumerate(parts)]
    before = [view(snapshot.calls) for snapshot in snapshots]
    for calls in parts:
        whole.merge(calls)

    if is_together:
        with windows.together():
            for snapshot in snapshots:
                windows.merge(snapshot)
    else:
        for snapshot in snapshots:
            windows.merge(snapshot)

    window = only(windows)
    assert view(window.calls) == view(whole)
    assert window.rows == len(parts)
    assert [view(snapshot.calls) for snapshot in snapshots] == before


def test_a_snapshot_that_comes_twice_counts_once():
    """A collector that did not hear the answer sends again; in one request or in two."""
    telemetry, windows = SelfTelemetry(), store()
    merger = Merger(windows, Deduplicator(10), Increments(WindowSettings()), telemetry)
    snapshot = sent(Producer(), FAILED)

    merger.observe(Request(Signal.LOGS, b"", 0, snapshots=(snapshot, snapshot)), 1)
    merger.observe(Request(Signal.LOGS, b"", 0, snapshots=(snapshot,)), 2)

    assert view(only(windows).calls) == view(FAILED)


def test_windows_of_servers_that_say_nothing_have_no_calls():
    """Which is not the same as none."""
    windows = store()
    windows.merge(sent(Producer(), None, values=[0.5]))

    window = only(windows)

    assert window.calls is None
    assert evaluator().evaluate(window).calls is None


def test_calls_of_a_segment_are_skipped():
    """They are among those of the whole; adding them would be saying them twice."""
    windows = store()
    windows.merge(sent(Producer(), FAILED, segment=Segment("country", "NO")))

    assert only(windows).calls is None


def test_a_deployment_has_the_calls_of_its_own_servers():
    """So that a canary that fails is told from the stable version, and the whole knows of both."""
    windows = store(deployments=VERSION)
    windows.merge(sent(Producer(b"o" * 16), summary_of([0.01] * 90), resource={VERSION: "1.4"}))
    windows.merge(sent(Producer(b"n" * 16), FAILED, resource={VERSION: "1.5"}))

    calls = {window.segment: window.calls for window in windows.close_all()}

    assert {segment and segment.value: found.count for segment, found in calls.items()} == {
        None: 94,
        "1.4": 90,
        "1.5": 4,
    }
    assert calls[Segment(VERSION, "1.5")].errors == {"ValueError": 4}
    assert calls[Segment(VERSION, "1.4")].errors == {}


def test_models_and_versions_beyond_the_limit_share_their_calls():
    """Columns of different models have nothing in common, errors and seconds do."""
    windows = store(limits={"models": 2, "versions": 1})
    for name, version in (("fraud", "1"), ("fraud", "2"), ("fraud", "3"), ("churn", "1"), ("more", "1")):
        windows.merge(sent(Producer(model=ModelKey(name, version)), FAILED, values=[0.5]))

    calls = {window.model: window.calls.count for window in windows.close_all()}

    assert sum(calls.values()) == 20
    assert calls[ModelKey("fraud", "_OTHER")] == 8
    assert calls[OVERFLOW_MODEL] == 8


def test_what_comes_late_amends_a_copy():
    """What was given out stays as it was; the revision has all."""
    clock = Clock()
    windows, producer = store(clock, lateness="0s", allowed_lateness="1h"), Producer()
    windows.merge(sent(producer, FAILED))
    windows.merge(sent(producer, None, start=START + 5 * MINUTE))
    (first,) = windows.close_due()
    assert windows.merge(sent(producer, summary_of([0.01]))) is Outcome.AMENDED
    clock.now_s += 61

    (again,) = windows.close_due()

    assert (first.calls.count, again.calls.count, again.revision) == (4, 5, 1)
    assert evaluator().evaluate(first).calls.count == 4
    assert evaluator().evaluate(again).calls.count == 5


def test_calls_survive_a_restart():
    """Of the whole, of deployments and of what lies beyond a limit; and they go on to add up."""
    limits = {"models": 1}
    windows, again = (store(limits=limits, deployments=VERSION) for _ in range(2))
    shelf, others = Shelf(), (Deduplicator(10), AlertBook(AlertSettings()), Correction(0.05, 10))
    wide = summary_of([0.0, 1e-9, 0.01, 3.0], {"A": 1, "_OTHER": 1})
    windows.merge(sent(Producer(), wide, resource={VERSION: "1.4"}))
    windows.merge(sent(Producer(model=ModelKey("beyond")), FAILED))

    shelf.take(checkpoint.sections(windows, *others, 0))
    checkpoint.restore(shelf, again, *others)

    assert again.size == windows.size
    again.merge(sent(Producer(), wide, resource={VERSION: "1.4"}))
    twice = summary_of([0.0, 1e-9, 0.01, 3.0] * 2, {"A": 2, "_OTHER": 2})
    found = {(window.model, window.segment): window.calls for window in again.close_all()}
    assert view(found[MODEL, None]) == view(found[MODEL, Segment(VERSION, "1.4")]) == view(twice)
    assert view(found[OVERFLOW_MODEL, None]) == view(FAILED)


def test_sums_that_nobody_can_come_to_do_not_spoil_a_checkpoint():
    """Two hostile senders together claim more than can be read again."""
    windows, again, shelf = store(), store(), Shelf()
    others = Deduplicator(10), AlertBook(AlertSettings()), Correction(0.05, 10)
    hostile = CallSummary(1 << 53, {"A": 1 << 53})
    windows.merge(sent(Producer(b"a" * 16), hostile))
    windows.merge(sent(Producer(b"b" * 16), hostile))

    shelf.take(checkpoint.sections(windows, *others, 0))
    checkpoint.restore(shelf, again, *others)

    assert only(again).calls.count == 1 << 53


def test_calls_are_counted_in_the_memory_of_windows():
    """Once for each window; they leave with it."""
    windows = store()
    windows.merge(sent(Producer(b"a" * 16), FAILED))
    windows.merge(sent(Producer(b"b" * 16), FAILED))
    assert windows.size == LARGEST_BYTES

    windows.close_all()

    assert windows.size == 0


def test_where_columns_have_no_room_calls_have():
    """Too little memory is when people want to know how the calls go."""
    windows = store(limits={"memory_mib": 1})
    for number in range(300):
        windows.merge(sent(Producer(model=ModelKey(f"m{number % 90}")), FAILED, values=np.arange(300) / 7))

    closed = windows.close_all()

    assert sum(window.calls.count for window in closed) == 4 * 300


def test_a_window_of_calls_alone_says_nothing_about_columns():
    """Every call failed: that is no drift, no missing values, and no end of the world for the history."""
    baseline = Baseline.build({"amount": np.linspace(0, 1, 1000)}, model=MODEL.name, version=MODEL.version)
    windows = store()
    windows.merge(sent(Producer(), FAILED))
    window = only(windows)
    history = WindowHistory(ReferenceSettings(), 300.0)
    history.remember(window)
    alerts = AlertBook(AlertSettings())

    evaluation = evaluator(baseline).evaluate(window)

    assert (evaluation.outcome, evaluation.rows) == ("insufficient_rows", 0)
    assert view(evaluation.calls) == view(FAILED)
    assert [check for feature in evaluation.features for check in feature.checks] == []
    assert alerts.observe(evaluation) == []
    gauges = measurements(evaluation, 0.05)
    assert {gauge.metric.name: gauge.value for gauge in gauges if "ratio" in gauge.metric.name} == {}
    assert all(np.isfinite(gauge.value) for gauge in gauges)


@pytest.mark.parametrize("has_baseline", [True, False])
def test_an_evaluation_has_the_calls_of_its_window(has_baseline):
    """Whatever else is known of it."""
    baseline = Baseline.build({"amount": np.linspace(0, 1, 1000)}, model=MODEL.name, version=MODEL.version)
    windows = store()
    windows.merge(sent(Producer(), FAILED, values=np.linspace(0, 1, 50)))

    evaluation = evaluator(*[baseline] * has_baseline).evaluate(only(windows))

    assert evaluation.outcome == ("evaluated" if has_baseline else "no_baseline")
    assert evaluation.calls.quantile(0.5) == pytest.approx(0.5, rel=0.05)
    assert evaluation.calls.errors == {"ValueError": 4}

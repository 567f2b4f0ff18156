"""Windows that are evaluated again with what came late, and what that must not count twice."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import MINUTE, MODEL, SECOND, START, Producer, categorical, numeric
from reference_samples import AMOUNT, HOUR, MONDAY, amounts

from collector_processor.processors.alerts import AlertBook, AlertKey, AlertSettings, AlertState
from collector_processor.processors.common_changes import CommonChanges
from collector_processor.processors.evaluation import (
    Check,
    DecisionSettings,
    Evaluator,
    FeatureEvaluation,
    QualitySettings,
    Rule,
    WindowEvaluation,
)
from collector_processor.processors.record import window_record
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.series import Subject
from collector_processor.processors.references.settings import ReferenceSettings
from collector_processor.processors.report import events
from collector_processor.processors.series import ConceptSettings, SeriesWatch, SlowDriftSettings
from collector_processor.processors.windows import Changes, LimitSettings, Outcome, WindowSettings, WindowStore
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch import codec
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.feature import Counters, FeatureKind
from otel_ml.sketch.snapshot import Segment

FIVE_MINUTES = 5 * MINUTE
LAYOUT = BinLayout(np.array([1.0, 2.0]))
KEY = AlertKey(MODEL, AMOUNT, "drift")


class Clock:
    """A monotonic clock that stands still unless told."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def store(clock=None, *, deployments=None, **settings):
    settings = {"window": "5m", "lateness": "0s", "allowed_lateness": "10m", **settings}
    return WindowStore(
        WindowSettings(**settings), clock or Clock(), lambda: START + 365 * 86_400 * SECOND, deployments=deployments
    )


def sent(producer, values=(0.5,), *, window=0, length=MINUTE, segment=None, resource=None):
    """As a receiver decodes it: columns in bins, in sketches, of categories."""
    values = np.asarray(values, float)
    snapshot = producer.snapshot(
        numeric("binned", values, layout=LAYOUT),
        numeric("counted", values),
        numeric("sketched", np.linspace(0, 1, 30) + values[0]),
        categorical("sign", {str(value > 0): 1 for value in values}),
        rows=len(values),
        start=START + window * FIVE_MINUTES,
        length=length,
    )
    return replace(codec.decode(codec.encode(replace(snapshot, segment=segment))), resource=resource or {})


def contents(window):
    """Everything that a window holds, as bytes."""
    snapshot = replace(Producer().snapshot(), features=sorted(window.parts.values(), key=lambda part: part.key.name))
    return window.rows, window.snapshots, codec.encode(snapshot)


def evaluated_once(clock, producer, **settings):
    """A store whose first window was evaluated, and that window."""
    windows = store(clock, **settings)
    windows.merge(sent(producer))
    windows.merge(sent(producer, window=1))
    (window,) = windows.close_due()
    return windows, window


def test_a_late_snapshot_amends_its_window_which_is_given_out_again():
    """A replica behind a slow network is part of the result after all."""
    clock, producer = Clock(), Producer()
    windows, first = evaluated_once(clock, producer)

    outcome = windows.merge(sent(producer, [0.5, 1.5]))
    clock.now_s += 60

    (again,) = windows.close_due()
    assert outcome is Outcome.AMENDED
    assert (first.revision, first.rows, again.revision, again.rows) == (0, 1, 1, 3)
    assert windows.close_due() == []


def test_a_window_that_was_given_out_does_not_change():
    """Another thread evaluates it meanwhile."""
    clock, producer = Clock(), Producer()
    windows, first = evaluated_once(clock, producer)
    before = contents(first)

    for _ in range(12):
        windows.merge(sent(producer, [0.5, 1.5]))

    assert contents(first) == before


def test_late_snapshots_are_collected_before_a_window_is_evaluated_again():
    """A hundred replicas that come late are one revision, not a hundred."""
    clock, producer = Clock(), Producer()
    windows, _ = evaluated_once(clock, producer)

    given = []
    for _ in range(5):
        windows.merge(sent(producer))
        clock.now_s += 10
        given += windows.close_due()
    assert given == []
    clock.now_s += 10

    assert [window.rows for window in windows.close_due()] == [6]


def test_when_the_allowed_lateness_ends_a_window_is_given_out_a_last_time():
    """What was merged is reported; what comes after is late for good."""
    clock, producer = Clock(), Producer()
    windows, _ = evaluated_once(clock, producer)
    windows.merge(sent(producer))

    windows.merge(sent(producer, window=2, length=FIVE_MINUTES))

    given = windows.close_due()
    assert [(window.start_unix_nano - START) // FIVE_MINUTES for window in given] == [0, 1, 2]
    assert [(window.rows, window.revision) for window in given] == [(2, 1), (1, 0), (1, 0)]
    assert windows.merge(sent(producer)) is Outcome.LATE
    assert windows.merge(sent(producer, window=1)) is Outcome.AMENDED


def test_a_window_that_nobody_amends_is_not_given_out_again():
    """Silence is no news."""
    clock, producer = Clock(), Producer()
    windows, _ = evaluated_once(clock, producer)

    clock.now_s += 3600

    assert [window.revision for window in windows.close_due()] == [0]
    assert windows.streams[MODEL].windows == {}
    assert windows.size == 0


def test_a_window_of_which_only_late_snapshots_come_is_given_out_as_a_revision():
    """It is older than what was judged already; its snapshots are collected, too."""
    clock, producer = Clock(), Producer()
    windows = store(clock)
    windows.merge(sent(producer, window=1, length=FIVE_MINUTES))
    windows.close_due()

    outcomes = [windows.merge(sent(producer)) for _ in range(2)]
    clock.now_s += 60

    assert outcomes == [Outcome.AMENDED] * 2
    assert [(window.rows, window.revision, window.is_newest) for window in windows.close_due()] == [(2, 1, False)]


def test_the_newest_window_is_known():
    """What an older one says now is no longer how things are."""
    clock, producer = Clock(), Producer()
    windows, first = evaluated_once(clock, producer)
    windows.merge(sent(producer))
    clock.now_s += 60
    (again,) = windows.close_due()
    clock.now_s += 300
    windows.close_due()
    windows.merge(sent(producer))
    clock.now_s += 60

    (old,) = windows.close_due()

    assert [window.is_newest for window in (first, again, old)] == [True, True, False]


def test_a_deployment_is_amended_with_the_whole():
    """Both took the same snapshots in."""
    clock, producer = Clock(), Producer()
    windows = store(clock, deployments="service.version")
    for version in ("1.4", "1.5"):
        windows.merge(sent(producer, resource={"service.version": version}))
    windows.merge(sent(producer, window=1))
    windows.close_due()

    windows.merge(sent(producer, resource={"service.version": "1.4"}))
    clock.now_s += 60

    again = {window.segment and window.segment.value: window.rows for window in windows.close_due()}
    assert again == {None: 3, "1.4": 2}


def test_new_windows_push_out_those_that_wait_to_be_amended():
    """What was amended is evaluated a last time; it is not merged into a window of a few late rows afterwards."""
    clock, producer = Clock(), Producer()
    windows = store(clock, allowed_lateness="1h", limits=LimitSettings(open_windows=2))
    windows.merge(sent(producer))
    windows.merge(sent(producer, window=1, length=FIVE_MINUTES))
    windows.close_due()
    windows.merge(sent(producer, [0.5, 1.5]))

    outcome = windows.merge(sent(producer, window=2))

    assert outcome is Outcome.MERGED
    assert [(window.rows, window.revision) for window in windows.close_due()] == [(3, 1)]
    assert windows.merge(sent(producer)) is Outcome.LATE


def test_at_the_end_what_was_amended_is_given_out_too():
    """Where nothing is kept, now is the last time."""
    clock, producer = Clock(), Producer()
    windows, _ = evaluated_once(clock, producer)
    windows.merge(sent(producer))

    given = windows.close_all()

    assert [(window.rows, window.revision, window.is_partial) for window in given] == [(2, 1, False), (1, 0, True)]
    assert windows.streams[MODEL].windows == {}


deliveries = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([None, "NO"]), st.integers(0, 40), st.integers(0, 200)),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(deliveries=deliveries)
def test_the_last_word_on_a_window_is_what_it_would_have_been_in_time(deliveries):
    """Whatever the order, and however often windows were given out in between."""
    clock, in_time = Clock(), store(lateness="1d")
    late = store(clock, allowed_lateness="1d")
    last = {}
    for sequence, (window, segment, value, wait_s) in enumerate(deliveries):
        of = {"window": window, "segment": segment and Segment("country", segment)}
        in_time.merge(sent(Producer(sequence=sequence), [value / 10], **of))
        assert late.merge(sent(Producer(sequence=sequence), [value / 10], **of)).is_merged
        clock.now_s += wait_s
        last |= {(given.slot): given for given in late.close_due()}
    last |= {(given.slot): given for given in late.close_all()}

    expected = {window.slot: contents(window) for window in in_time.close_all()}
    assert {slot: contents(window) for slot, window in last.items()} == expected


def encoded(windows):
    """A checkpoint: all streams and windows."""
    return {
        **{model: stream_of(stream) for model, stream in windows.streams.items()},
        **{
            (model, slot): (contents(window), dict(window.progress))
            for model, stream in windows.streams.items()
            for slot, window in stream.windows.items()
        },
    }


def stream_of(stream):
    return stream.latest_end_unix_nano, stream.closed_until_unix_nano


def apply(kept, windows, changes):
    """What a checkpoint of changes does to one that was written before."""
    for model in changes.streams:
        kept.pop(model, None)
        if model in windows.streams:
            kept[model] = stream_of(windows.streams[model])
    for model, slot in changes.windows:
        kept.pop((model, slot), None)
        stream = windows.streams.get(model)
        if stream is not None and slot in stream.windows:
            window = stream.windows[slot]
            kept[model, slot] = contents(window), dict(window.progress)


@settings(max_examples=60, deadline=None)
@given(deliveries=deliveries, data=st.data())
def test_changes_added_to_what_was_kept_are_all_there_is(deliveries, data):
    """Whatever happens in between, writes that fail included: the next one is of everything."""
    clock = Clock()
    windows = store(clock, allowed_lateness="3m", limits=LimitSettings(models=1, segments=1, open_windows=2))
    kept, failed = {}, False
    for window, segment, value, wait_s in deliveries:
        producer = Producer(model=MODEL._replace(version=str(value % 2)))
        windows.merge(sent(producer, [value / 10], window=window, segment=segment and Segment("c", segment)))
        clock.now_s += wait_s
        action = data.draw(st.sampled_from(["nothing", "close", "write", "fail"]))
        if action == "close":
            windows.close_due()
        elif action == "write":
            kept, failed = encoded(windows) if failed else kept, False
            apply(kept, windows, windows.take_changes())
            assert kept == encoded(windows)
        elif action == "fail":
            windows.take_changes()
            failed = True
    kept = encoded(windows) if failed else kept
    apply(kept, windows, windows.take_changes())

    assert kept == encoded(windows)
    assert windows.take_changes() == Changes()


def test_windows_that_may_be_amended_survive_a_restart():
    """They are not evaluated anew, and take in what is late."""
    clock, producer = Clock(), Producer()
    before, _ = evaluated_once(clock, producer)
    after = store(clock)

    stream = before.streams[MODEL]
    after.restore_stream(MODEL, stream.latest_end_unix_nano, stream.closed_until_unix_nano)
    for window in stream.windows.values():
        after.restore_window(
            MODEL,
            window.start_unix_nano,
            window.end_unix_nano,
            parts=window.parts.values(),
            rows=window.rows,
            snapshots=window.snapshots,
            **window.progress,
        )

    assert after.close_due() == []
    assert after.merge(sent(producer)) is Outcome.AMENDED
    clock.now_s += 60
    assert [(window.rows, window.revision) for window in after.close_due()] == [(2, 1)]


def evaluation(score, *, number=0, revision=0, is_newest=True):
    check = Check("drift", "psi", score, 0.2, score > 0.2, 1e-6, 12_004, None, 1e-6, 42)
    feature = FeatureEvaluation(AMOUNT, FeatureKind.NUMERIC, Counters(rows=12_004), 12_004, checks=[check])
    start = START + number * FIVE_MINUTES
    return WindowEvaluation(
        MODEL,
        start,
        start + FIVE_MINUTES,
        12_004,
        False,
        "evaluated",
        "ab12cd34",
        [feature],
        revision=revision,
        is_newest=is_newest,
    )


def test_a_revision_takes_the_place_of_what_the_newest_window_said():
    """One window is one breach, however often it is evaluated."""
    book = AlertBook(AlertSettings())
    states = []
    for window in (evaluation(0.3), evaluation(0.3, revision=1), evaluation(0.3, revision=2)):
        assert book.observe(window) == []
        states.append(book.state(KEY))

    assert states == [AlertState.PENDING] * 3
    assert book.alerts[KEY].recent == [True]


@pytest.mark.parametrize("over_a_restart", [False, True])
def test_an_alert_is_taken_back_where_what_came_late_says_otherwise(over_a_restart):
    """And comes again if it does."""
    book = AlertBook(AlertSettings())
    book.observe(evaluation(0.3))
    (fired,) = book.observe(evaluation(0.3, number=1))
    if over_a_restart:
        kept, book = book.encode(), AlertBook(AlertSettings())
        book.restore(kept)

    (resolved,) = book.observe(evaluation(0.1, number=1, revision=1))
    (fires_again,) = book.observe(evaluation(0.3, number=1, revision=2))

    assert [transition.state.name for transition in (fired, resolved, fires_again)] == ["FIRING", "QUIET", "FIRING"]
    assert "0.10 with what came late" in resolved.reason
    assert events(resolved, 0)[0].attributes[semconv.WINDOW_REVISION] == 1
    assert book.alerts[KEY].recent == [True, True]


def test_a_window_that_is_not_the_newest_keeps_its_first_verdict():
    """Later windows were judged after it."""
    book = AlertBook(AlertSettings())
    book.observe(evaluation(0.3))
    book.observe(evaluation(0.1, number=1))
    before = book.encode()

    assert book.observe(evaluation(0.1, revision=1, is_newest=False)) == []
    assert book.encode() == before


def test_series_and_common_changes_count_a_window_once():
    """What was seen first stays: a sum cannot be taken back."""
    concept = [ConceptSettings(method="page_hinkley", series="drift_score")]
    series = SeriesWatch(SlowDriftSettings(), concept, 0.05)
    changes = CommonChanges(AlertSettings(), AlertBook(AlertSettings()), 300.0)
    for number in range(3):
        series.observe(evaluation(0.1, number=number))
        changes.observe(evaluation(0.1, number=number))
    before = series.sections()

    again = evaluation(0.9, number=2, revision=1)

    assert series.observe(again) == (again, [])
    assert changes.observe(again) is None
    assert series.sections() == before


def test_a_revision_uses_nothing_up_that_is_counted_by_windows():
    """Neither of the false discovery rate, nor of what a method is chosen by."""
    random = np.random.default_rng(1)
    baseline = Baseline.build({"amount": random.normal(size=5_000)}, model="fraud", version="3")
    rule = Rule(0.05, 1000, 0.25, 0.5, 0.05)
    detectors = {"psi": create("psi"), "ks": create("ks")}
    judge = Evaluator(References([baseline]), detectors, DecisionSettings(), QualitySettings(), 100, rule)
    judge.evaluate(amounts(MONDAY, rows=300))
    before = judge.correction.encode(), judge.deciding.sections()

    window = amounts(MONDAY, rows=600, mean=2.0)
    window.revision = 1
    found = judge.evaluate(window)

    assert (found.revision, found.rows) == (1, 600)
    assert any(check.breaches(0.05) for feature in found.features for check in feature.checks)
    assert (judge.correction.encode(), judge.deciding.sections()) == before
    assert '"revision": 1' in window_record(found, 0.05).details


def test_a_revision_replaces_what_later_windows_are_compared_with():
    """In the hour as well, with its marks of what drifted."""
    history, subject = WindowHistory(ReferenceSettings(), 1200.0), Subject(MODEL)
    first = [amounts(MONDAY + start * HOUR // 3, rows=100, length=HOUR // 3) for start in range(3)]
    for window in first:
        history.remember(window)
        history.mark_drifted(window, [AMOUNT])

    again = [replace(amounts(window.start_unix_nano, rows=150, length=HOUR // 3), revision=1) for window in first]
    for window in again:
        history.remember(window)

    (hour,) = history.within(subject, MONDAY, MONDAY + HOUR)
    assert (hour.rows, hour.windows, hour.drifted) == (450, 3, frozenset())
    assert history.size == sum(kept.size for kept in [hour, *history._series[subject].windows.values()])

"""Calls on their way into a snapshot: each once, whatever happens when."""

import sys
import threading

import numpy as np
import pytest
from opentelemetry.trace import SpanContext, TraceFlags
from recording.test_recorder import run

from otel_ml import record
from otel_ml.recording import measured_calls as measured_module
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.recording.measured_calls import MeasuredCalls
from otel_ml.recording.recorder import get_recorder
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry

INFO = ModelInfo(ModelKey("m", "3"), system="sklearn")


def succeed(count, duration_s=0.01, info=INFO, **more):
    for _ in range(count):
        get_recorder().submit(Inference(info, "predict", np.ones((1, 2)), np.ones(1), duration_s=duration_s, **more))


def fail(count, error_type="builtins.ValueError", info=INFO):
    for _ in range(count):
        get_recorder().submit(Inference(info, "predict", None, duration_s=0.5, error_type=error_type))


def test_what_was_added_is_taken_once():
    """Beyond what is counted at once as well."""
    calls = MeasuredCalls()
    for _ in range(5):
        calls.add(np.full(measured_module._TOGETHER // 2, 0.25), None)
    calls.add(np.full(3, 0.5), "ValueError")
    calls.add(np.empty(0), "KeyError")

    taken = calls.take()

    assert taken.count == taken.durations.count == 5 * (measured_module._TOGETHER // 2) + 3
    assert taken.errors == {"ValueError": 3}
    assert calls.take() is None


def test_a_snapshot_leads_to_slow_and_failed_calls():
    """By their traces; those nobody can find stand in nobody's way."""
    with captured_telemetry() as telemetry:
        for trace_id, duration_s, error_type in ((1, 0.2, None), (2, 0.9, None), (3, 0.1, "KeyError"), (4, 0.3, None)):
            context = SpanContext(trace_id, 5, is_remote=False, trace_flags=TraceFlags(1))
            inference = Inference(INFO, "predict", None, None, None, duration_s, error_type, None, context)
            get_recorder().submit(inference)
        succeed(3, duration_s=5.0)  # nobody could find them

        (snapshot,) = telemetry.snapshots()

    found = {(exemplar.reason.value, exemplar.trace_id, exemplar.value) for exemplar in snapshot.calls.exemplars}
    assert found == {("slowest", 2, 0.9), ("slowest", 3, 0.1), ("failed", 3, 0.1)}


def test_a_snapshot_says_how_the_calls_went():
    """Of its model and version: how many, how long, and with which errors."""
    with captured_telemetry() as telemetry:
        succeed(90)
        fail(10)
        fail(1, "httpx.ReadTimeout")
        succeed(7, info=ModelInfo(ModelKey("other")))

        found = {snapshot.model: snapshot.calls for snapshot in telemetry.snapshots()}

    calls = found[INFO.key]
    assert calls.count == calls.durations.count == 101
    assert calls.errors == {"builtins.ValueError": 10, "httpx.ReadTimeout": 1}
    assert calls.quantiles([0.5, 0.99]) == [pytest.approx(0.01, rel=0.05), pytest.approx(0.5, rel=0.05)]
    assert found[ModelKey("other")].count == 7
    assert found[ModelKey("other")].errors == {}


def test_a_model_of_which_every_call_fails_is_heard_of():
    """A snapshot without rows or columns, but with calls."""
    with captured_telemetry() as telemetry:
        fail(5)

        (snapshot,) = telemetry.snapshots()

    assert (snapshot.rows, len(snapshot.features)) == (0, 0)
    assert (snapshot.calls.count, snapshot.calls.error_count) == (5, 5)


def test_what_is_recorded_by_hand_is_no_call():
    """Nobody measured how long it took; its rows are counted as rows."""
    with captured_telemetry() as telemetry:
        record({"a": 1.0}, 0.5, model="m")

        (snapshot,) = telemetry.snapshots()

    assert snapshot.calls is None


def test_a_segment_says_nothing_of_calls():
    """They are in the snapshot of the whole."""
    with captured_telemetry() as telemetry:
        succeed(4, segments={"country": "NO"})
        succeed(2)

        calls = {snapshot.segment: snapshot.calls for snapshot in telemetry.snapshots()}

    assert [found is None for segment, found in calls.items() if segment is not None] == [True]
    assert calls[None].count == 6


def test_calls_in_a_backfill_are_told_of_in_their_own_time():
    """However many hours of the past are open at once."""
    hour = 3_600_000_000_000
    with captured_telemetry() as telemetry:
        for number in range(1, 30):
            succeed(number, timestamp_unix_nano=number * hour)
        get_recorder().flush()

        told = {snapshot.start_time_unix_nano // hour: snapshot.calls.count for snapshot in telemetry.snapshots()}
        (point,) = telemetry.points("ml.inference.duration")

    assert told == {number: number for number in range(1, 30)}
    assert point.count == sum(told.values())


def test_snapshots_and_metrics_tell_of_the_same_calls(monkeypatch):
    """While calls are published, snapshots emitted and flushes asked for, all at the same time; and at the end."""
    monkeypatch.setattr("otel_ml.recording.worker._PUBLISH_S", 0.003)
    threads = [threading.Thread(target=lambda: (succeed(500), fail(100), get_recorder().flush())) for _ in range(4)]
    with captured_telemetry(export_interval_ms=20, queue_size=100_000) as telemetry:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        succeed(3)
        get_recorder().shutdown()
        snapshots = telemetry.snapshots()
        points = telemetry.points("ml.inference.duration")

    calls = [snapshot.calls for snapshot in snapshots if snapshot.calls is not None]
    assert sum(found.count for found in calls) == sum(point.count for point in points) == 2_403
    assert sum(found.error_count for found in calls) == 400
    assert sum(found.durations.count for found in calls) == 2_403


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="this system does not fork")
def test_a_forked_child_tells_of_its_own_calls():
    """What the parent had counted, or had waiting, is the parent's to tell; what comes last is sent at the exit."""
    lines = run("""
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which servers do all the same
        import numpy as np
        from otel_ml.recording.inference import Inference, ModelInfo
        from otel_ml.recording.recorder import get_recorder
        from otel_ml.sketch import codec
        from otel_ml.sketch.feature import ModelKey

        def export(self, batch):
            for record in batch:
                snapshot = codec.decode(record.log_record.attributes["ml.sketch.payload"])
                print(snapshot.producer_id.hex(), snapshot.calls.count, flush=True)
            return LogRecordExportResult.SUCCESS

        Printing.export = export
        set_provider()
        info = ModelInfo(ModelKey("m"))
        def call(times):
            for _ in range(times):
                get_recorder().submit(Inference(info, "predict", None, duration_s=0.5, error_type="ValueError"))
        call(10)
        get_recorder().flush()
        call(5)
        child = os.fork()
        call(100 if child == 0 else 1000)
        if child:
            os.waitpid(child, 0)
        else:
            sys.exit()
    """)

    by_producer = {}
    for producer, calls in lines:
        by_producer[producer] = by_producer.get(producer, 0) + int(calls)
    assert sorted(by_producer.values()) == [100, 1015]

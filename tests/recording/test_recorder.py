"""The recorder as a part of somebody's process: on, off, forked, at its end, behind a dead collector."""

import subprocess
import sys
import textwrap
import threading

import pytest
from opentelemetry import _logs
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult, SimpleLogRecordProcessor

import otel_ml
from otel_ml.recording import guard
from otel_ml.recording.recorder import get_recorder
from otel_ml.testing import captured_telemetry

PRINTING_PROVIDER = """
    from opentelemetry import _logs
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult

    class Printing(LogRecordExporter):
        def export(self, batch):
            from otel_ml.sketch import codec
            for record in batch:
                snapshot = codec.decode(record.log_record.attributes["ml.sketch.payload"])
                print(snapshot.producer_id.hex(), snapshot.sequence, snapshot.rows, flush=True)
            return LogRecordExportResult.SUCCESS

        def shutdown(self):
            pass

        def force_flush(self, timeout_millis=0):
            return True

    def set_provider():
        provider = LoggerProvider()
        provider.add_log_record_processor(BatchLogRecordProcessor(Printing()))
        _logs.set_logger_provider(provider)
        return provider
"""


def run(program, **environment):
    """Standard output of a Python program of its own, split into words by line; it must end well and say nothing."""
    import os

    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(PRINTING_PROVIDER) + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return [line.split() for line in finished.stdout.splitlines()]


def test_what_was_recorded_last_is_sent_before_the_providers_shut_down():
    """Handlers at exit run last in, first out."""
    lines = run("""
        import otel_ml
        set_provider()
        for _ in range(100):
            otel_ml.record({"a": 1.0}, 0.5, model="m")
    """)

    assert [line[2] for line in lines] == ["100"]


def test_a_provider_may_be_set_after_the_first_records():
    """Those before it have nowhere to go; from then on everything is recorded."""
    lines = run("""
        import otel_ml
        for _ in range(100):
            otel_ml.record({"a": 1.0}, 0.5, model="m")
        set_provider()
        for _ in range(7):
            otel_ml.record({"a": 1.0}, 0.5, model="m")
    """)

    assert [line[2] for line in lines] == ["7"]


def test_a_meter_provider_set_last_still_collects_the_end():
    """The flush at exit is registered again, behind the handler of a provider that came later."""
    lines = run("""
        import time
        import otel_ml
        from opentelemetry import metrics
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import (
            MetricExporter, MetricExportResult, PeriodicExportingMetricReader
        )

        class PrintingMetrics(MetricExporter):
            def export(self, data, timeout_millis=0, **_):
                for resource in data.resource_metrics:
                    for scope in resource.scope_metrics:
                        for metric in scope.metrics:
                            if metric.name == "ml.feature.value":
                                print("metric", metric.data.data_points[0].count, flush=True)
                return MetricExportResult.SUCCESS

            def shutdown(self, timeout_millis=0, **_):
                pass

            def force_flush(self, timeout_millis=0):
                return True

        set_provider()
        otel_ml.record({"a": 1.0}, model="m")
        metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(PrintingMetrics(), 3_600_000)]))
        time.sleep(1.5)
        otel_ml.record({"a": 1.0}, model="m")
    """)

    assert ["metric", "2"] in lines


@pytest.mark.skipif(not hasattr(sys.modules["os"], "fork"), reason="this system does not fork")
def test_a_forked_child_reports_its_own_rows_under_its_own_id():
    """Neither what the parent counted nor what waited in its queue is told twice."""
    lines = run("""
        import os, sys, warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads, which servers do all the same
        import otel_ml
        provider = set_provider()
        for _ in range(10):
            otel_ml.record({"a": 1.0}, model="m")
        otel_ml.flush()
        for _ in range(5):
            otel_ml.record({"a": 1.0}, model="m")
        child = os.fork()
        for _ in range(100 if child == 0 else 1000):
            otel_ml.record({"a": 1.0}, model="m")
        if child:
            os.waitpid(child, 0)
        else:
            sys.exit()
    """)

    by_producer = {}
    for producer, _, rows in lines:
        by_producer[producer] = by_producer.get(producer, 0) + int(rows)
    assert sorted(by_producer.values()) == [100, 1015]


@pytest.mark.parametrize("environment", [{"OTEL_SDK_DISABLED": "true"}, {"OTEL_PYTHON_ML_ENABLED": "false"}])
def test_switched_off_there_is_no_thread_and_no_state(environment):
    """A switch that is off costs nothing but itself."""
    lines = run(
        """
        import threading
        import numpy as np
        import otel_ml
        from otel_ml.recording.recorder import get_recorder
        set_provider()
        before = threading.active_count()
        for _ in range(100):
            otel_ml.record({"a": 1.0}, 0.5, model="m")
            otel_ml.record(np.ones((1, 2)))
        otel_ml.flush()
        print(threading.active_count() - before, len(get_recorder().queue), get_recorder().enabled)
    """,
        **environment,
    )

    assert lines == [["0", "0", "False"]]


def test_without_an_sdk_there_is_no_thread_and_no_state():
    """The API alone sends nothing, so nothing is kept; nor is the SDK loaded."""
    lines = run("""
        for name in [name for name in list(__import__("sys").modules) if name.startswith("opentelemetry.sdk")]:
            del __import__("sys").modules[name]
        import sys, threading
        import otel_ml
        from otel_ml.recording.recorder import get_recorder
        for _ in range(100):
            otel_ml.record({"a": 1.0}, 0.5, model="m")
        loaded = [name for name in sys.modules if name.startswith("opentelemetry.sdk")]
        print(threading.active_count(), len(get_recorder().queue), otel_ml.flush(), loaded)
    """)

    assert lines == [["1", "0", "True", "[]"]]


class Stuck(LogRecordExporter):
    """A collector that does not answer until it is let go."""

    def __init__(self):
        self.go_on = threading.Event()
        self.entered = threading.Event()
        self.rows = 0

    def export(self, batch):
        self.entered.set()
        self.go_on.wait(30)
        self.rows += sum(record.log_record.attributes["ml.sketch.rows"] for record in batch)
        return LogRecordExportResult.SUCCESS

    def shutdown(self):
        self.go_on.set()

    def force_flush(self, timeout_millis=0):
        return True


def test_behind_a_stuck_collector_requests_go_on_and_memory_stays_bounded():
    """Even where the user's processor exports in the emitting thread: what does not fit is counted, not waited for."""
    with captured_telemetry(queue_size=1_000, export_interval_ms=10) as telemetry:
        stuck = Stuck()
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(SimpleLogRecordProcessor(stuck))
        former, _logs._internal._LOGGER_PROVIDER = _logs._internal._LOGGER_PROVIDER, provider
        try:
            otel_ml.record({"a": 1.0}, model="m")
            assert stuck.entered.wait(10)
            for _ in range(5_000):
                otel_ml.record({"a": 1.0}, model="m")
            waiting = len(get_recorder().queue)
            stuck.go_on.set()
            get_recorder().flush()
        finally:
            _logs._internal._LOGGER_PROVIDER = former
        dropped = sum(point.value for point in telemetry.points("ml.inference.dropped"))

    assert waiting == 1_000
    assert (dropped, stuck.rows) == (4_000, 1_001)


def test_other_settings_begin_anew_after_what_was_recorded_is_sent():
    """Under the settings it was recorded with."""
    with captured_telemetry(model_name="before") as telemetry:
        otel_ml.record({"a": 1.0})

        otel_ml.instrument(model_name="after", export_interval_ms=3_600_000)
        otel_ml.record({"a": 1.0})
        models = [snapshot.model.name for snapshot in telemetry.snapshots()]
        otel_ml.uninstrument()
        otel_ml.record({"a": 1.0})

        assert models == ["before", "after"]
        assert len(telemetry.snapshots()) == 2


def test_drops_are_reported_once_also_across_settings():
    """A new worker does not repeat what the old one said."""
    with captured_telemetry(queue_size=1) as telemetry:
        recorder = get_recorder()
        otel_ml.record({"a": 1.0}, model="m")
        recorder.flush()
        recorder.queue.resize(0)
        recorder.queue._limit = recorder.queue.quick = -1
        otel_ml.record({"a": 1.0}, model="m")
        first = sum(snapshot.dropped_rows for snapshot in telemetry.snapshots())
        recorder.configure(recorder.settings)
        otel_ml.record({"a": 1.0}, model="m")

        assert first == 1
        assert sum(snapshot.dropped_rows for snapshot in telemetry.snapshots()) == 1


def test_a_bad_baseline_is_said_and_the_rest_goes_on(tmp_path, caplog):
    """With the file's name; values are then summarised without it."""
    path = tmp_path / "broken.baseline"
    path.write_bytes(b"not a baseline")
    with captured_telemetry(baselines=[path]) as telemetry:
        otel_ml.record({"a": 1.0}, model="m")

        assert telemetry.snapshots()[0].rows == 1
    assert "broken.baseline" in caplog.text
    guard.reset()


def test_a_baseline_applies_to_its_model_and_one_without_version_to_every_version(tmp_path):
    """Bins tell which values were counted against which baseline."""
    baseline = otel_ml.Baseline.build({"a": [float(value) for value in range(500)]}, model="m")
    baseline.save(tmp_path / "m.baseline")
    with captured_telemetry(baselines=[tmp_path / "m.baseline"]) as telemetry:
        otel_ml.record({"a": 1.0}, model="m", version="7")
        otel_ml.record({"a": 1.0}, model="other")

        bins = {snapshot.model.name: snapshot.features[0].content.bins for snapshot in telemetry.snapshots()}

    (layout,) = baseline.layouts.values()
    assert list(bins["m"]) == [layout.hash]
    assert bins["other"] == {}

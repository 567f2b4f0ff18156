"""What others do on the request thread for the same row of 25 features, in nanoseconds; run in `environment.py`'s."""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.stopwatch import best_s
from benchmarks.workload import CATEGORIES, MODEL, NUMBERS, rows

CALLS = 200
QUICK_CALLS = 10_000
FRAME_ROWS = 256


def measure_ns() -> dict[str, float]:
    """Nanoseconds per row, by who does it."""
    row = rows(1)[0]
    return {
        "otel_ml_record": _otel_ml(row),
        "otel_histograms": _otel_histograms(row),
        "otel_log_record": _otel_log_record(row),
        "prometheus_histograms": _prometheus(row),
        "bentoml_monitor": _bentoml(row),
        "whylogs_row": _whylogs_row(row),
        "whylogs_frame_row": _whylogs_frame(),
    }


def _per_call_ns(work: Callable[[], object], calls: int = CALLS, prepare: Callable[[], object] | None = None) -> float:
    def repeat() -> None:
        for _ in itertools.repeat(None, calls):
            work()

    return best_s(repeat, rounds=5, prepare=prepare) / calls * 1e9


def _otel_ml(row: dict[str, Any]) -> float:
    from otel_ml import record
    from otel_ml.recording.recorder import get_recorder

    queue = get_recorder().queue
    queue.resize(2 * QUICK_CALLS)
    queue.open()
    try:
        return _per_call_ns(lambda: record(row, 0.5, model=MODEL), QUICK_CALLS, queue.waiting.clear)
    finally:
        queue.waiting.clear()
        queue.close()


def _otel_histograms(row: dict[str, Any]) -> float:
    """An instrument a feature would need as many; one with the feature as attribute is what people do."""
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    histogram = provider.get_meter("peer").create_histogram("feature")
    # Negative values are dropped with a warning each, which would be dearer still.
    values = [(abs(row[name]), {"feature": name}) for name in NUMBERS]

    def record_all() -> None:
        for value, attributes in values:
            histogram.record(value, attributes)

    return _per_call_ns(record_all)


def _otel_log_record(row: dict[str, Any]) -> float:
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, InMemoryLogRecordExporter

    provider = LoggerProvider(shutdown_on_exit=False)
    exporter = InMemoryLogRecordExporter()
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
    logger = provider.get_logger("peer")

    def emit() -> None:
        logger.emit(
            LogRecord(
                timestamp=1, severity_number=SeverityNumber.INFO, body="prediction", attributes=row, event_name="peer"
            )
        )

    try:
        return _per_call_ns(emit, prepare=exporter.clear)
    finally:
        provider.shutdown()


def _prometheus(row: dict[str, Any]) -> float:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    histogram = Histogram("feature", "values", ["name"], registry=registry)
    counter = Counter("category", "values", ["name", "value"], registry=registry)

    def observe() -> None:
        for name in NUMBERS:
            histogram.labels(name).observe(row[name])
        for name in CATEGORIES:
            counter.labels(name, row[name]).inc()

    return _per_call_ns(observe)


def _bentoml(row: dict[str, Any]) -> float:
    import bentoml

    previous = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # its default monitor writes files where it is started
        try:

            def log() -> None:
                with bentoml.monitor("peer") as monitor:
                    for name in NUMBERS:
                        monitor.log(row[name], name=name, role="feature", data_type="numerical")
                    for name in CATEGORIES:
                        monitor.log(row[name], name=name, role="feature", data_type="categorical")
                    monitor.log(0.5, name="prediction", role="prediction", data_type="numerical")

            return _per_call_ns(log)
        finally:
            os.chdir(previous)


def _whylogs_row(row: dict[str, Any]) -> float:
    from whylogs.core import DatasetProfile

    profile = DatasetProfile()
    return _per_call_ns(lambda: profile.track(row=row))


def _whylogs_frame() -> float:
    import pandas as pd
    from whylogs.core import DatasetProfile

    profile = DatasetProfile()
    frame = pd.DataFrame(rows(FRAME_ROWS))
    return _per_call_ns(lambda: profile.track(pandas=frame), 5) / FRAME_ROWS


if __name__ == "__main__":
    logging.disable()
    json.dump(measure_ns(), sys.stdout)

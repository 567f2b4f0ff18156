"""Telemetry caught in memory, for tests of what this library sends."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otel_ml import semconv
from otel_ml.config import Settings
from otel_ml.recording import guard
from otel_ml.recording.recorder import get_recorder
from otel_ml.sketch import codec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from opentelemetry.sdk.metrics.export import Metric
    from opentelemetry.sdk.trace import ReadableSpan

    from otel_ml.sketch.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class CapturedTelemetry:
    """What the process would have sent. Ask after the work is done: each question flushes first."""

    span_exporter: InMemorySpanExporter
    log_exporter: InMemoryLogRecordExporter
    metric_reader: InMemoryMetricReader

    def spans(self) -> tuple[ReadableSpan, ...]:
        """Finished spans."""
        return self.span_exporter.get_finished_spans()

    def events(self, name: str) -> list[Any]:
        """Log records of one event name, as the SDK's LogRecord."""
        get_recorder().flush()
        finished = self.log_exporter.get_finished_logs()
        return [log.log_record for log in finished if log.log_record.event_name == name]

    def snapshots(self) -> list[Snapshot]:
        """Every `ml.sketch.snapshot`, decoded as the processor would."""
        return [
            codec.decode(event.attributes[semconv.SKETCH_PAYLOAD])
            for event in self.events(semconv.EVENT_SKETCH_SNAPSHOT)
        ]

    def metrics(self) -> dict[str, Metric]:
        """Our metrics by name, as the reader collects them now."""
        get_recorder().flush()
        data = self.metric_reader.get_metrics_data()
        return {
            metric.name: metric
            for resource in (data.resource_metrics if data is not None else ())
            for scope in resource.scope_metrics
            if scope.scope.name == semconv.SCOPE_NAME
            for metric in scope.metrics
        }

    def points(self, name: str, attributes: Mapping[str, str] | None = None) -> list[Any]:
        """Data points of a metric that have at least these attributes; none if there is no such metric."""
        metric = self.metrics().get(name)
        wanted = (attributes or {}).items()
        points = metric.data.data_points if metric is not None else ()
        return [point for point in points if wanted <= (point.attributes or {}).items()]


@contextmanager
def captured_telemetry(
    *, preferred_temporality: dict[type, Any] | None = None, **settings: Any
) -> Iterator[CapturedTelemetry]:
    """Global providers that keep everything in memory, and a fresh recorder; the former ones come back at the end.

    Args:
        preferred_temporality: For the metric reader, by instrument class.
        settings: As for `otel_ml.instrument`; by default one snapshot an hour, that is, only on asking.
    """
    recorder = get_recorder()
    telemetry = CapturedTelemetry(
        InMemorySpanExporter(),
        InMemoryLogRecordExporter(),  # type: ignore[no-untyped-call]  # it has no annotations
        InMemoryMetricReader(preferred_temporality),
    )
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(telemetry.span_exporter))
    loggers = LoggerProvider(shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(telemetry.log_exporter))
    meters = MeterProvider([telemetry.metric_reader], shutdown_on_exit=False)
    former = recorder.settings
    recorder.shutdown()
    with _global_providers(tracers, meters, loggers):
        recorder.store.reset()
        guard.reset()
        recorder.configure(Settings.from_environment({}, **{"export_interval_ms": 3_600_000, **settings}))
        try:
            yield telemetry
        finally:
            recorder.shutdown()
            recorder.configure(former)
            for provider in (tracers, meters, loggers):
                provider.shutdown()


@contextmanager
def _global_providers(tracers: TracerProvider, meters: MeterProvider, loggers: LoggerProvider) -> Iterator[None]:
    # The API allows setting each provider once per process; a test suite has to go behind its back.
    places = (
        (trace, "_TRACER_PROVIDER", tracers),
        (metrics._internal, "_METER_PROVIDER", meters),  # noqa: SLF001 - see above
        (_logs._internal, "_LOGGER_PROVIDER", loggers),  # noqa: SLF001 - see above
    )
    former = [(module, name, getattr(module, name)) for module, name, _ in places]
    for module, name, provider in places:
        setattr(module, name, provider)
    try:
        yield
    finally:
        for module, name, provider in former:
            setattr(module, name, provider)

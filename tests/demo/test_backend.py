"""The demo's backend, spoken to over real gRPC."""

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from otel_ml import semconv
from otel_ml.demo.backend import Backend
from otel_ml.sketch import codec
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary

PROCESSOR = "otel_ml.processor"


@pytest.fixture
def backend():
    """A backend that listens."""
    with Backend() as listening:
        yield listening


@pytest.fixture
def channel(backend):
    """A connection to it."""
    with grpc.insecure_channel(f"127.0.0.1:{backend.port}") as connected:
        yield connected


def pairs(attributes):
    """Attributes as OTLP writes them."""
    kinds = {str: "string_value", bool: "bool_value", int: "int_value", float: "double_value", bytes: "bytes_value"}
    return [KeyValue(key=key, value=AnyValue(**{kinds[type(value)]: value})) for key, value in attributes.items()]


def send_metrics(channel, *metrics, scope="somebody"):
    """Export metrics of one scope."""
    scoped = ScopeMetrics(scope=InstrumentationScope(name=scope), metrics=metrics)
    MetricsServiceStub(channel).Export(
        ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(scope_metrics=[scoped])])
    )


def send_logs(channel, *records, scope="somebody"):
    """Export log records of one scope."""
    scoped = ScopeLogs(scope=InstrumentationScope(name=scope), log_records=records)
    LogsServiceStub(channel).Export(ExportLogsServiceRequest(resource_logs=[ResourceLogs(scope_logs=[scoped])]))


def gauge(name, value, **attributes):
    """A gauge with one point."""
    return Metric(name=name, gauge=Gauge(data_points=[NumberDataPoint(as_double=value, attributes=pairs(attributes))]))


def counter(name, *points):
    """A sum of (value, attributes)."""
    return Metric(
        name=name,
        sum=Sum(
            data_points=[NumberDataPoint(as_int=value, attributes=pairs(attributes)) for value, attributes in points]
        ),
    )


def alert(state, *, column="distance", end=5, role=semconv.FEATURE_NAME):
    """The event of an alert as the processor sends it."""
    return LogRecord(
        event_name=semconv.EVENT_ALERT,
        time_unix_nano=7,
        attributes=pairs(
            {
                role: column,
                semconv.ALERT_NAME: "drift",
                semconv.ALERT_STATE: state,
                semconv.ALERT_REASON: "PSI 0.94 > 0.20",
                semconv.DRIFT_SCORE: 0.94,
                semconv.DRIFT_THRESHOLD: 0.2,
                semconv.WINDOW_END: end,
            }
        ),
    )


def test_what_passes_through_is_counted_apart_from_results(backend, channel):
    """Spans, points and records of the server, and those that the processor makes itself."""
    spans = [Span(name="predict"), Span(name="POST /predict")]
    TraceServiceStub(channel).Export(
        ExportTraceServiceRequest(resource_spans=[ResourceSpans(scope_spans=[ScopeSpans(spans=spans)])])
    )
    send_metrics(channel, gauge("theirs", 1.0), gauge("theirs too", 2.0))
    send_metrics(channel, gauge("ours", 1.0), scope=PROCESSOR)
    send_logs(channel, LogRecord())
    send_logs(channel, alert("firing"), scope=PROCESSOR)

    received = backend.read()
    assert (received.spans, received.points, received.records) == (2, 2, 1)
    assert (received.result_points, received.result_records) == (1, 1)


def test_rows_are_those_the_processor_has_merged(backend, channel):
    """A cumulative sum over models; an older report that comes late changes nothing."""
    rows = semconv.PROCESSOR_ROWS.name
    send_metrics(channel, counter(rows, (100, {"model": "a"}), (20, {"model": "b"})), scope=PROCESSOR)
    send_metrics(channel, counter(rows, (90, {"model": "a"})), scope=PROCESSOR)

    assert backend.read().rows_counted == 120


def test_only_evaluated_windows_count(backend, channel):
    """A window with too few rows said nothing."""
    windows = semconv.PROCESSOR_WINDOWS.name
    outcome = semconv.PROCESSOR_OUTCOME
    send_metrics(
        channel, counter(windows, (3, {outcome: "evaluated"}), (1, {outcome: "insufficient_rows"})), scope=PROCESSOR
    )

    assert backend.read().windows == 3


def test_a_column_keeps_its_latest_values_its_peaks_and_its_history(backend, channel):
    """Features and predictions, by name."""
    drift, missing = semconv.feature_drift("psi").name, semconv.FEATURE_MISSING_RATIO.name
    for score, ratio in ((0.1, 0.0), (0.9, 0.5), (0.2, 0.1)):
        column = {semconv.FEATURE_NAME: "seats"}
        send_metrics(channel, gauge(drift, score, **column), gauge(missing, ratio, **column), scope=PROCESSOR)
    predicted = gauge(semconv.prediction_drift("psi").name, 0.3, **{semconv.PREDICTION_NAME: "delay"})
    send_metrics(channel, predicted, scope=PROCESSOR)

    columns = backend.read().columns
    assert columns["seats"].latest == {"drift": 0.2, "missing": 0.1}
    assert columns["seats"].peaks == {"drift": 0.9, "missing": 0.5}
    assert list(columns["seats"].drift) == [0.1, 0.9, 0.2]
    assert columns["delay"].latest == {"drift": 0.3}


def test_an_alert_is_kept_once_with_its_reason(backend, channel):
    """What is sent again because an answer got lost is not a second alert."""
    for _ in range(2):
        send_logs(channel, alert("firing", end=5), scope=PROCESSOR)
    send_logs(channel, alert("resolved", end=9), scope=PROCESSOR)

    fired, resolved = backend.read().alerts
    assert (fired.name, fired.column, fired.state, fired.score) == ("drift", "distance", "firing", 0.94)
    assert (fired.reason, fired.window_end_unix_nano, fired.time_unix_nano) == ("PSI 0.94 > 0.20", 5, 7)
    assert (resolved.state, resolved.window_end_unix_nano) == ("resolved", 9)


def test_an_alert_may_be_about_a_prediction(backend, channel):
    """Which column it is about, and on which side of the model that stands."""
    send_logs(channel, alert("firing", column="delay", role=semconv.PREDICTION_NAME), scope=PROCESSOR)

    (fired,) = backend.read().alerts
    assert (fired.column, fired.is_prediction) == ("delay", True)


def test_snapshots_are_weighed(backend, channel):
    """Bytes as they travelled, and columns in them."""
    features = [
        FeatureSummary(FeatureKey(FeatureRole.FEATURE, name), BooleanSummary(1, 2), Counters(rows=3)) for name in "ab"
    ]
    payload = codec.encode(Snapshot(b"p" * 16, 1, ModelKey("m"), 0, 1, 3, 0, features))
    record = LogRecord(event_name=semconv.EVENT_SKETCH_SNAPSHOT, attributes=pairs({semconv.SKETCH_PAYLOAD: payload}))
    send_logs(channel, record)

    received = backend.read()
    assert (received.snapshots, received.snapshot_bytes, received.snapshot_columns) == (1, len(payload), 2)


def test_what_was_read_does_not_change_any_more(backend, channel):
    """The view draws what it has read, whatever arrives meanwhile."""
    before = backend.read()
    send_logs(channel, alert("firing"), scope=PROCESSOR)

    assert before.alerts == []
    assert len(backend.read().alerts) == 1

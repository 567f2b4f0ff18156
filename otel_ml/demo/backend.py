"""The backend you already run, played by a small OTLP/gRPC receiver that keeps what the view and the report show.

It sees what any backend behind the processor sees and no more: spans, metrics and events that pass through, and the
processor's gauges, counters and alerts.
"""

from __future__ import annotations

import copy
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import (
    LogsServiceServicer,
    add_LogsServiceServicer_to_server,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import (
    MetricsServiceServicer,
    add_MetricsServiceServicer_to_server,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from otel_ml import semconv
from otel_ml.demo.errors import DemoError
from otel_ml.sketch import codec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
    from typing_extensions import Self

_MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
_HISTORY: Final = 60
# The scope of what the processor makes itself; everything else passes through it.
_PROCESSOR_SCOPE: Final = "otel_ml.processor"

Value: TypeAlias = str | int | float | bool | bytes | None

_DRIFT: Final = semconv.feature_drift("psi").name
_PREDICTION_DRIFT: Final = semconv.prediction_drift("psi").name
# What the view shows of a column, by the name of the gauge that brings it.
_GAUGES: Final = {
    _DRIFT: "drift",
    _PREDICTION_DRIFT: "drift",
    semconv.FEATURE_MISSING_RATIO.name: "missing",
    semconv.FEATURE_UNSEEN_CATEGORY_RATIO.name: "unseen_category",
    semconv.FEATURE_OUT_OF_RANGE_RATIO.name: "out_of_range",
}


@dataclass(frozen=True, slots=True)
class AlertEvent:
    """An alert began to fire, or resolved, as the processor's event says.

    Attributes:
        name: The check: "drift", "missing", ….
        column: Feature or prediction it is about.
        is_prediction: Which of the two.
        state: "firing" or "resolved".
        window_end_unix_nano: End of the window that made it so.
        time_unix_nano: When the processor said so.
    """

    name: str
    column: str
    is_prediction: bool
    state: str
    score: float
    threshold: float
    reason: str
    window_end_unix_nano: int
    time_unix_nano: int


@dataclass(slots=True)
class Column:
    """What the processor's gauges say about one feature or prediction.

    Attributes:
        latest: By "drift" (PSI), "missing", "unseen_category", "out_of_range": the value of the latest window.
        drift: PSI of the latest windows, oldest first.
        peaks: The highest value of each so far.
    """

    latest: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, float] = field(default_factory=dict)
    drift: deque[float] = field(default_factory=lambda: deque(maxlen=_HISTORY))

    def add(self, what: str, value: float) -> None:
        """Take in a gauge of a window."""
        self.latest[what] = value
        self.peaks[what] = max(value, self.peaks.get(what, value))
        if what == "drift":
            self.drift.append(value)


@dataclass(slots=True)
class Received:
    """Everything that has arrived, boiled down.

    Attributes:
        spans: Spans that passed through the processor.
        points: Data points that passed through.
        records: Log records that passed through.
        result_points: Data points of the processor's own.
        result_records: Log records of the processor's own.
        rows_counted: Rows the processor says it has merged.
        windows: Windows it says it has evaluated.
        snapshots: Snapshots that passed through.
        snapshot_bytes: Their encoded size together.
        snapshot_columns: Columns in them together: features and predictions.
        columns: By name of feature or prediction.
        alerts: In order of arrival.
        forwarded: By exporter and signal, items the processor says a backend has taken.
    """

    spans: int = 0
    points: int = 0
    records: int = 0
    result_points: int = 0
    result_records: int = 0
    rows_counted: int = 0
    windows: int = 0
    snapshots: int = 0
    snapshot_bytes: int = 0
    snapshot_columns: int = 0
    columns: dict[str, Column] = field(default_factory=dict)
    alerts: list[AlertEvent] = field(default_factory=list)
    forwarded: dict[tuple[str, str], int] = field(default_factory=dict)


class Backend:
    """An OTLP/gRPC receiver on a loopback port.

    Attributes:
        port: Where it listens.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._received = Received()
        self._seen: set[tuple[str, str, str, int]] = set()
        self._rows_before = self._windows_before = 0
        self._server = grpc.server(
            ThreadPoolExecutor(2, "backend"),
            options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
        )
        add_TraceServiceServicer_to_server(_Traces(self), self._server)  # type: ignore[no-untyped-call]  # generated
        add_MetricsServiceServicer_to_server(_Metrics(self), self._server)  # type: ignore[no-untyped-call]  # generated
        add_LogsServiceServicer_to_server(_Logs(self), self._server)  # type: ignore[no-untyped-call]  # generated
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        if not self.port:
            raise DemoError("the demo's own backend found no free port on 127.0.0.1")

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(grace=None).wait()

    def begin(self) -> None:
        """Forget what has arrived until now; what the processor counts goes on from here."""
        with self._lock:
            before, self._received = self._received, Received()
            self._rows_before += before.rows_counted
            self._windows_before += before.windows

    def read(self) -> Received:
        """What has arrived until now; does not change any more."""
        with self._lock:
            return copy.deepcopy(self._received)

    def take_traces(self, request: ExportTraceServiceRequest) -> None:
        """Count spans."""
        spans = sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        with self._lock:
            self._received.spans += spans

    def take_metrics(self, request: ExportMetricsServiceRequest) -> None:
        """Count data points, and keep what the processor's own say."""
        with self._lock:
            for resource in request.resource_metrics:
                for scope in resource.scope_metrics:
                    points = sum(len(_points(metric)) for metric in scope.metrics)
                    if scope.scope.name == _PROCESSOR_SCOPE:
                        self._received.result_points += points
                        for metric in scope.metrics:
                            self._take_result(metric)
                    else:
                        self._received.points += points

    def take_logs(self, request: ExportLogsServiceRequest) -> None:
        """Count log records, measure snapshots, and keep alerts."""
        with self._lock:
            for resource in request.resource_logs:
                for scope in resource.scope_logs:
                    if scope.scope.name == _PROCESSOR_SCOPE:
                        self._received.result_records += len(scope.log_records)
                        for record in scope.log_records:
                            if record.event_name == semconv.EVENT_ALERT:
                                self._take_alert(record)
                    else:
                        self._received.records += len(scope.log_records)
                        for record in scope.log_records:
                            if record.event_name == semconv.EVENT_SKETCH_SNAPSHOT:
                                self._take_snapshot(record)

    def _take_result(self, metric: Metric) -> None:
        received = self._received
        if metric.name == semconv.PROCESSOR_ROWS.name:
            # Cumulative, one series a model and version. Reports may overtake each other on the way.
            counted = sum(point.as_int for point in metric.sum.data_points)
            received.rows_counted = max(received.rows_counted, counted - self._rows_before)
        elif metric.name == semconv.PROCESSOR_WINDOWS.name:
            evaluated = sum(
                point.as_int
                for point in metric.sum.data_points
                if _attributes(point.attributes).get(semconv.PROCESSOR_OUTCOME) == "evaluated"
            )
            received.windows = max(received.windows, evaluated - self._windows_before)
        elif metric.name == semconv.PROCESSOR_FORWARDED.name:
            for point in metric.sum.data_points:
                attributes = _attributes(point.attributes)
                series = (str(attributes[semconv.PROCESSOR_EXPORTER]), str(attributes[semconv.PROCESSOR_SIGNAL]))
                received.forwarded[series] = max(point.as_int, received.forwarded.get(series, 0))
        elif metric.name in _GAUGES:
            for point in metric.gauge.data_points:
                attributes = _attributes(point.attributes)
                name = attributes.get(semconv.FEATURE_NAME) or attributes.get(semconv.PREDICTION_NAME)
                column = received.columns.setdefault(str(name), Column())
                column.add(_GAUGES[metric.name], point.as_double)

    def _take_alert(self, record: LogRecord) -> None:
        attributes = _attributes(record.attributes)
        is_prediction = semconv.PREDICTION_NAME in attributes
        alert = AlertEvent(
            name=str(attributes[semconv.ALERT_NAME]),
            # Some are about the model, and no column of it.
            column=str(attributes.get(semconv.PREDICTION_NAME) or attributes.get(semconv.FEATURE_NAME, "all features")),
            is_prediction=is_prediction,
            state=str(attributes[semconv.ALERT_STATE]),
            score=_number(attributes[semconv.DRIFT_SCORE]),
            threshold=_number(attributes[semconv.DRIFT_THRESHOLD]),
            reason=str(attributes[semconv.ALERT_REASON]),
            window_end_unix_nano=int(_number(attributes[semconv.WINDOW_END])),
            time_unix_nano=record.time_unix_nano,
        )
        # Transport is at least once: an answer that got lost makes the processor say it again.
        said = (alert.name, alert.column, alert.state, alert.window_end_unix_nano)
        if said not in self._seen:
            self._seen.add(said)
            self._received.alerts.append(alert)

    def _take_snapshot(self, record: LogRecord) -> None:
        payload = _attributes(record.attributes)[semconv.SKETCH_PAYLOAD]
        assert isinstance(payload, bytes)
        self._received.snapshots += 1
        self._received.snapshot_bytes += len(payload)
        self._received.snapshot_columns += len(codec.decode(payload).features)


class _Traces(TraceServiceServicer):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def Export(self, request: ExportTraceServiceRequest, context: object) -> ExportTraceServiceResponse:  # noqa: ARG002, N802 - gRPC's name and signature
        self._backend.take_traces(request)
        return ExportTraceServiceResponse()


class _Metrics(MetricsServiceServicer):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def Export(self, request: ExportMetricsServiceRequest, context: object) -> ExportMetricsServiceResponse:  # noqa: ARG002, N802 - gRPC's name and signature
        self._backend.take_metrics(request)
        return ExportMetricsServiceResponse()


class _Logs(LogsServiceServicer):
    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def Export(self, request: ExportLogsServiceRequest, context: object) -> ExportLogsServiceResponse:  # noqa: ARG002, N802 - gRPC's name and signature
        self._backend.take_logs(request)
        return ExportLogsServiceResponse()


def _points(metric: Metric) -> Sequence[object]:
    kind = metric.WhichOneof("data")
    points: Sequence[object] = getattr(metric, kind).data_points if kind else ()
    return points


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: AnyValue) -> Value:
    kind = value.WhichOneof("value")
    found: Value = getattr(value, kind) if kind else None
    return found


def _number(value: Value) -> float:
    assert isinstance(value, (int, float))
    return value

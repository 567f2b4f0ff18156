"""Results → OTLP bytes. Model, version and feature are attributes of data points: few backends keep the resource."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.metrics.v1.metrics_pb2 import NumberDataPoint, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector_processor.component import AttributeValue, Consumer, Event, Point, Request, Results, Signal
from otel_ml import semconv
from otel_ml.semconv import Metric

_SCOPE = InstrumentationScope(name="otel_ml.processor")
_SEVERITY_TEXT = {9: "INFO", 13: "WARN"}
# Keeps one request far below the 4 MiB that receivers take by default.
_POINTS_PER_REQUEST = 5000


class ResultsEncoder:
    """Encodes results and hands the metrics and the logs on, each to the exporters of its pipeline.

    Args:
        resource: Describes this process.
    """

    def __init__(
        self, metrics: Consumer[Request], logs: Consumer[Request], resource: Mapping[str, AttributeValue]
    ) -> None:
        self._metrics = metrics
        self._logs = logs
        self._resource = resource

    async def consume(self, results: Results) -> None:
        """Encode and hand on; what an exporter has no room for, it counts."""
        for start in range(0, len(results.points), _POINTS_PER_REQUEST):
            points = results.points[start : start + _POINTS_PER_REQUEST]
            body = encode_points(points, self._resource)
            await self._metrics.consume(Request(Signal.METRICS, body, len(points), own=True))
        if results.events:
            body = encode_events(results.events, self._resource)
            await self._logs.consume(Request(Signal.LOGS, body, len(results.events), own=True))


def encode_points(points: Iterable[Point], resource: Mapping[str, AttributeValue]) -> bytes:
    """An encoded ExportMetricsServiceRequest with one metric for each name."""
    by_metric: dict[Metric, list[Point]] = {}
    for point in points:
        by_metric.setdefault(point.metric, []).append(point)
    metrics = [_metric(metric, series) for metric, series in by_metric.items()]
    return ExportMetricsServiceRequest(
        resource_metrics=[
            ResourceMetrics(
                resource=Resource(attributes=_attributes(resource)),
                scope_metrics=[ScopeMetrics(scope=_SCOPE, metrics=metrics, schema_url=semconv.SCHEMA_URL)],
            )
        ]
    ).SerializeToString()


def encode_events(events: Iterable[Event], resource: Mapping[str, AttributeValue]) -> bytes:
    """An encoded ExportLogsServiceRequest with one record for each event."""
    observed = time.time_ns()
    records = [
        LogRecord(
            event_name=event.name,
            severity_number=event.severity.value,  # type: ignore[arg-type]  # an enum's number, as OTLP defines it
            severity_text=_SEVERITY_TEXT[event.severity.value],
            time_unix_nano=event.time_unix_nano,
            observed_time_unix_nano=observed,
            body=AnyValue(string_value=event.body),
            attributes=_attributes(event.attributes),
        )
        for event in events
    ]
    return ExportLogsServiceRequest(
        resource_logs=[
            ResourceLogs(
                resource=Resource(attributes=_attributes(resource)),
                scope_logs=[ScopeLogs(scope=_SCOPE, log_records=records, schema_url=semconv.SCHEMA_URL)],
            )
        ]
    ).SerializeToString()


def _metric(metric: Metric, points: Sequence[Point]) -> metrics_pb2.Metric:
    encoded = metrics_pb2.Metric(name=metric.name, unit=metric.unit, description=metric.description)
    data_points = [_data_point(point) for point in points]
    if metric.instrument == "counter":
        encoded.sum.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
        encoded.sum.is_monotonic = True
        encoded.sum.data_points.extend(data_points)
    else:
        encoded.gauge.data_points.extend(data_points)
    return encoded


def _data_point(point: Point) -> NumberDataPoint:
    data_point = NumberDataPoint(
        attributes=_attributes(point.attributes),
        time_unix_nano=point.time_unix_nano,
        start_time_unix_nano=point.start_time_unix_nano or 0,
    )
    # Without a trace there is nothing to follow, and OTLP's exemplars have no other place for an id.
    data_point.exemplars.extend(
        metrics_pb2.Exemplar(
            time_unix_nano=exemplar.time_unix_nano,
            as_double=0.0 if exemplar.value is None else exemplar.value,
            trace_id=exemplar.trace_id.to_bytes(16, "big"),
            span_id=exemplar.span_id.to_bytes(8, "big"),
            filtered_attributes=_attributes({semconv.EXEMPLAR_REASON: exemplar.reason.value}),
        )
        for exemplar in point.exemplars
        if exemplar.trace_id
    )
    if isinstance(point.value, int):
        data_point.as_int = point.value
    else:
        data_point.as_double = point.value
    return data_point


def _attributes(attributes: Mapping[str, AttributeValue]) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in attributes.items()]


def _value(value: AttributeValue) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, tuple):
        return AnyValue(array_value=ArrayValue(values=[_value(item) for item in value]))
    return AnyValue(string_value=value)

"""One of each signal, sent once."""

from __future__ import annotations

import os
import time
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.sdk.resources import Resource

from otel_ml import semconv
from otel_ml.cli.otlp.destination import Destination, destinations
from otel_ml.cli.otlp.listening import Listening, ask
from otel_ml.cli.otlp.problems import Explanation, explain
from otel_ml.cli.otlp.sending import Answer, send
from otel_ml.cli.processor_counts import TEST_MODEL
from otel_ml.sketch import codec
from otel_ml.sketch.block import NumericBlock
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import ENCODING, Snapshot

if TYPE_CHECKING:
    from google.protobuf.message import Message

MODEL: Final = ModelKey(TEST_MODEL, "")
ROWS: Final = 3_000
_COLUMNS: Final = ("amount", "age", "score")
_NAME: Final = "otel-ml send-test"
_METRIC: Final = "otel_ml.send_test.sent"
_INTERVAL_NS: Final = 60_000_000_000
_ASK_S: Final = 2.0

_Asked: TypeAlias = dict[tuple[str, int, str | None], Listening]


@dataclass(frozen=True, slots=True)
class Sent:
    """One thing that was sent.

    Attributes:
        kind: "span", "metric", "log" or "snapshot".
        endpoint: Where to.
        answer: What was answered.
        explanation: Why it was not taken; None where it was.
    """

    kind: str
    endpoint: str
    protocol: str
    answer: Answer
    explanation: Explanation | None

    @property
    def is_fine(self) -> bool:
        """Whether the receiver took it, and rejected nothing of it."""
        return self.answer.taken and not self.answer.rejected

    @property
    def said(self) -> str:
        """What the receiver said, in a line."""
        answer = self.answer
        rejected = f"{answer.rejected} rejected" if answer.rejected else ""
        return ", ".join(part for part in (answer.code or "no answer", rejected, answer.detail) if part)

    def described(self) -> dict[str, Any]:
        """For machines."""
        found = self.explanation
        explained = (
            None if found is None else {"what": found.what, "why": found.why, "fix": found.fix, "link": found.link}
        )
        return {
            "kind": self.kind,
            "endpoint": self.endpoint,
            "protocol": self.protocol,
            "taken": self.is_fine,
            "code": self.answer.code,
            "detail": self.answer.detail,
            "rejected": self.answer.rejected,
            "explanation": explained,
        }


def send_all(
    environment: Mapping[str, str], *, endpoint: str | None, protocol: str | None, timeout_s: float | None
) -> list[Sent]:
    """Send one of each, and tell what was answered.

    Args:
        environment: Usually `os.environ`.
        endpoint: Instead of what the environment says.
        protocol: Likewise.
        timeout_s: Likewise, for each request.
    """
    to = destinations(environment, endpoint=endpoint, protocol=protocol)
    now = time.time_ns()
    requests: dict[str, tuple[Destination, Message]] = {
        "span": (to["traces"], _span(now)),
        "metric": (to["metrics"], _metric(now)),
        "log": (to["logs"], _log(now)),
        "snapshot": (to["logs"], _snapshot(now)),
    }
    asked: _Asked = {}
    return [
        _send(kind, destination, message.SerializeToString(), timeout_s, environment, asked)
        for kind, (destination, message) in requests.items()
    ]


def deliver(
    kind: str,
    signal: str,
    message: Message,
    environment: Mapping[str, str],
    *,
    endpoint: str | None,
    protocol: str | None,
    timeout_s: float | None,
) -> Sent:
    """Send one request of a signal, once, as `send_all` does."""
    destination = destinations(environment, endpoint=endpoint, protocol=protocol)[signal]
    return _send(kind, destination, message.SerializeToString(), timeout_s, environment, {})


def _send(
    kind: str,
    destination: Destination,
    body: bytes,
    timeout_s: float | None,
    environment: Mapping[str, str],
    asked: _Asked,
) -> Sent:
    """Send it; who listens at an address is asked once, for one that hangs answers slowly."""
    limit_s = timeout_s or destination.timeout_s
    answer = send(destination, body, limit_s)
    explanation: Explanation | None = None
    if not answer.taken:
        listening = None
        if destination.host and destination.port is not None:
            host, port, certificate = place = (destination.host, destination.port, destination.certificate)
            if place not in asked:
                asked[place] = ask(host, port, min(limit_s, _ASK_S), certificate=certificate)
            listening = asked[place]
        explanation = explain(destination, listening, answer, environment)
    elif answer.rejected:
        explanation = Explanation(
            "endpoint-signals",
            f"{destination.endpoint!r} took the request and rejected what is in it",
            "What is rejected is lost, without an error in the server's log.",
            "look into the receiver's own log",
        )
    return Sent(kind, destination.endpoint, destination.protocol, answer, explanation)


def _span(now: int) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _describe(resource.resource)
    scope = resource.scope_spans.add()
    scope.scope.name = semconv.SCOPE_NAME
    scope.spans.add(
        trace_id=os.urandom(16),
        span_id=os.urandom(8),
        name=_NAME,
        kind="SPAN_KIND_INTERNAL",
        start_time_unix_nano=now - 1_000_000,
        end_time_unix_nano=now,
    )
    return request


def _metric(now: int) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    _describe(resource.resource)
    scope = resource.scope_metrics.add()
    scope.scope.name = semconv.SCOPE_NAME
    metric = scope.metrics.add(name=_METRIC, unit="{test}", description="Tests that were sent by hand.")
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    metric.sum.data_points.add(start_time_unix_nano=now - 1_000_000_000, time_unix_nano=now, as_int=1)
    return request


def _log(now: int) -> ExportLogsServiceRequest:
    request, record = _record(now)
    record.body.string_value = _NAME
    return request


def _snapshot(now: int) -> ExportLogsServiceRequest:
    values = np.random.default_rng(1).normal(size=(ROWS, len(_COLUMNS)))
    block = NumericBlock([FeatureKey(FeatureRole.FEATURE, name) for name in _COLUMNS], [None] * len(_COLUMNS))
    block.update(values)
    snapshot = Snapshot(
        producer_id=uuid.uuid4().bytes,
        sequence=1,
        model=MODEL,
        start_time_unix_nano=now - _INTERVAL_NS,
        end_time_unix_nano=now,
        rows=ROWS,
        dropped_rows=0,
        features=[column.summary for column in block.drain()],
    )
    payload = codec.encode(snapshot)
    request, record = _record(now)
    record.event_name = semconv.EVENT_SKETCH_SNAPSHOT
    record.body.string_value = f"{ROWS} rows of model {MODEL.name}"
    for name, kind, value in (
        (semconv.MODEL_NAME, "string_value", MODEL.name),
        (semconv.SKETCH_PAYLOAD, "bytes_value", payload),
        (semconv.SKETCH_ENCODING, "string_value", ENCODING),
        (semconv.SKETCH_CHECKSUM, "int_value", zlib.crc32(payload)),
        (semconv.SKETCH_SEQUENCE, "int_value", 1),
        (semconv.SKETCH_ROWS, "int_value", ROWS),
    ):
        setattr(record.attributes.add(key=name).value, kind, value)
    return request


def _record(now: int) -> tuple[ExportLogsServiceRequest, Any]:
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add()
    _describe(resource.resource)
    scope = resource.scope_logs.add()
    scope.scope.name = semconv.SCOPE_NAME
    record = scope.log_records.add(time_unix_nano=now - 1, observed_time_unix_nano=now, severity_text="INFO")
    record.severity_number = SeverityNumber.SEVERITY_NUMBER_INFO
    return request, record


def _describe(resource: Any) -> None:
    """As the SDK would: OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME included."""
    for name, value in Resource.create().attributes.items():
        resource.attributes.add(key=name).value.string_value = str(value)

"""From OTLP bytes to what they hold. The only file that knows how a snapshot travels.

A request without snapshots is never taken apart: the name of the event would have to stand in its bytes. One with
snapshots is parsed, the snapshots are taken out, and the rest is written again; fields unknown to this version survive.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector_processor.component import Signal
from collector_processor.errors import UndecodableRequestError
from otel_ml import semconv
from otel_ml.errors import CorruptSnapshotError
from otel_ml.sketch import codec
from otel_ml.sketch.snapshot import ENCODING, Snapshot

MessageT = TypeVar("MessageT", bound=Message)

_EVENT_NAME = semconv.EVENT_SKETCH_SNAPSHOT
_EVENT_NAME_BYTES = _EVENT_NAME.encode()
# How events were named before LogRecord had a field for it, and by what cannot set that field.
_EVENT_NAME_ATTRIBUTE = "event.name"
_LONGEST_VALUE: Final = 256
"""Characters of a resource attribute: what is longer names no deployment."""


@dataclass(frozen=True, slots=True)
class Logs:
    """A logs request, with the snapshots in it apart.

    Attributes:
        body: The request without the snapshots; the received bytes where there were none or they were to stay.
        received: Log records that came.
        remaining: Log records in `body`.
        snapshots: The snapshots that could be read.
        rejected: Number of snapshots that could not be read, by reason.
    """

    body: bytes
    received: int
    remaining: int
    snapshots: Sequence[Snapshot] = ()
    rejected: Counter[str] = field(default_factory=Counter)


def count_items(signal: Signal, body: bytes) -> int:
    """The number of spans, data points or log records in an encoded request.

    Raises:
        UndecodableRequestError: The bytes are no such request.
    """
    return _COUNT[signal](body)


def read_logs(body: bytes, *, take: bool, resource_attributes: Collection[str] = ()) -> Logs:
    """The snapshots in a logs request, and the rest of it.

    Args:
        body: An encoded ExportLogsServiceRequest.
        take: Take the snapshots out; otherwise `body` stays as it came.
        resource_attributes: Keys of what snapshots should know of the resource they come with.

    Raises:
        UndecodableRequestError: The bytes are no logs request.
    """
    request = _parse(ExportLogsServiceRequest, body)
    received = _count_records(request)
    if _EVENT_NAME_BYTES not in body:
        return Logs(body, received, received)
    snapshots: list[Snapshot] = []
    rejected: Counter[str] = Counter()
    found = 0
    for resource in request.resource_logs:
        of_resource: Mapping[str, str] | None = None
        for scope in resource.scope_logs:
            positions = [index for index, record in enumerate(scope.log_records) if _is_snapshot(record)]
            if positions and of_resource is None:
                of_resource = _texts(resource.resource, resource_attributes)
            for index in positions:
                try:
                    snapshot = _snapshot(scope.log_records[index])
                    snapshots.append(replace(snapshot, resource=of_resource) if of_resource else snapshot)
                except _RejectedError as error:
                    rejected[error.reason] += 1
            if take:
                for index in reversed(positions):
                    del scope.log_records[index]
            found += len(positions)
    if not (take and found):
        return Logs(body, received, received, snapshots, rejected)
    _drop_emptied(request)
    return Logs(request.SerializeToString(), received, received - found, snapshots, rejected)


def partial_success(rejected: int, message: str) -> bytes:
    """The encoded response to a logs request of which some records were not taken (0: a mere warning)."""
    return ExportLogsServiceResponse(
        partial_success=ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
    ).SerializeToString()


class _RejectedError(Exception):
    """A log record claims to be a snapshot and is none that can be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _is_snapshot(record: LogRecord) -> bool:
    if record.event_name:
        return record.event_name == _EVENT_NAME
    return any(
        attribute.key == _EVENT_NAME_ATTRIBUTE and attribute.value.string_value == _EVENT_NAME
        for attribute in record.attributes
    )


def _texts(resource: Resource, wanted: Collection[str]) -> dict[str, str]:
    """The wanted attributes as texts, as far as they are a short text, a whole number or a truth value.

    Of a key that is there twice, the first counts, as it does for a Collector.
    """
    found: dict[str, str | None] = {}
    if wanted:
        for attribute in resource.attributes:
            if attribute.key in wanted and attribute.key not in found:
                found[attribute.key] = _text(attribute.value)
    return {key: text for key, text in found.items() if text is not None}


def _text(value: AnyValue) -> str | None:
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return str(value.int_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    # An empty one is how some templates spell that they do not know.
    return value.string_value if kind == "string_value" and 0 < len(value.string_value) <= _LONGEST_VALUE else None


def _snapshot(record: LogRecord) -> Snapshot:
    attributes = {attribute.key: attribute.value for attribute in record.attributes}
    encoding = attributes.get(semconv.SKETCH_ENCODING)
    if encoding is not None and encoding.string_value != ENCODING:
        raise _RejectedError("unknown_encoding")
    attribute = attributes.get(semconv.SKETCH_PAYLOAD)
    # Some pipelines keep the body only; a body of text is the short one that every snapshot has.
    payload = record.body.bytes_value if attribute is None else _payload(attribute)
    if not payload:
        raise _RejectedError("missing_payload")
    checksum = attributes.get(semconv.SKETCH_CHECKSUM)
    if checksum is None or checksum.WhichOneof("value") != "int_value":
        raise _RejectedError("missing_checksum")
    if checksum.int_value != zlib.crc32(payload):
        raise _RejectedError("wrong_checksum")
    try:
        return codec.decode(payload)
    except CorruptSnapshotError as error:
        raise _RejectedError("corrupt") from error


def _payload(value: AnyValue) -> bytes:
    """Bytes, or the base64 that some Collector processors and JSON turn bytes into."""
    kind = value.WhichOneof("value")
    if kind == "bytes_value":
        return value.bytes_value
    if kind != "string_value":
        raise _RejectedError("missing_payload")
    try:
        return base64.b64decode(value.string_value, validate=True)
    except (binascii.Error, ValueError):
        raise _RejectedError("missing_payload") from None


def _drop_emptied(request: ExportLogsServiceRequest) -> None:
    """Remove the scopes and resources that hold no record any more."""
    for resource in request.resource_logs:
        _keep(resource.scope_logs, [bool(scope.log_records) for scope in resource.scope_logs])
    _keep(request.resource_logs, [bool(resource.scope_logs) for resource in request.resource_logs])


def _keep(items: RepeatedCompositeFieldContainer[Any], kept: Sequence[bool]) -> None:
    for index in reversed(range(len(kept))):
        if not kept[index]:
            del items[index]


def _parse(kind: type[MessageT], body: bytes) -> MessageT:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise UndecodableRequestError(f"not a valid {kind.DESCRIPTOR.name}: {error}") from error


def _count_spans(body: bytes) -> int:
    request = _parse(ExportTraceServiceRequest, body)
    return sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)


def _count_points(body: bytes) -> int:
    request = _parse(ExportMetricsServiceRequest, body)
    return sum(
        len(getattr(metric, kind).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if (kind := metric.WhichOneof("data"))
    )


def _count_records(request: ExportLogsServiceRequest) -> int:
    return sum(len(scope.log_records) for resource in request.resource_logs for scope in resource.scope_logs)


_COUNT: Mapping[Signal, Callable[[bytes], int]] = {
    Signal.TRACES: _count_spans,
    Signal.METRICS: _count_points,
    Signal.LOGS: lambda body: _count_records(_parse(ExportLogsServiceRequest, body)),
}

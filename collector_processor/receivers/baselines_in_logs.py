"""The baselines in the log records of a request. The only file that knows how a baseline travels."""

from __future__ import annotations

import base64
import binascii
from typing import Final, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_ml import semconv

_PAYLOAD: Final = semconv.BASELINE_PAYLOAD.encode()


class FoundBaselines(NamedTuple):
    """A logs request with the baselines in it apart.

    Attributes:
        body: The request without them; what came where there are none.
        contents: Of each its file; empty where it came without one.
    """

    body: bytes
    contents: list[bytes]


def take_baselines(body: bytes) -> FoundBaselines:
    """The baselines in a request whose outer levels may be anything, and the rest of it.

    Somebody sends one when a model is trained: the name of the attribute stands in no other request, and such a request
    may cost what it costs.
    """
    if _PAYLOAD not in body:
        return FoundBaselines(body, [])
    try:
        request = ExportLogsServiceRequest.FromString(body)
    except DecodeError:
        return FoundBaselines(body, [])
    contents: list[bytes] = []
    left = 0
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            records = list(scope.log_records)
            others = [record for record in records if record.event_name != semconv.EVENT_BASELINE]
            left += len(others)
            if len(others) < len(records):
                contents += [_content(record) for record in records if record.event_name == semconv.EVENT_BASELINE]
                kept = [LogRecord.FromString(record.SerializeToString()) for record in others]
                del scope.log_records[:]
                scope.log_records.extend(kept)
    if not contents:
        return FoundBaselines(body, [])
    return FoundBaselines(request.SerializeToString() if left else b"", contents)


def _content(record: LogRecord) -> bytes:
    for attribute in record.attributes:
        if attribute.key == semconv.BASELINE_PAYLOAD:
            if attribute.value.WhichOneof("value") == "bytes_value":
                return attribute.value.bytes_value
            try:
                # What some Collector processors and JSON turn bytes into.
                return base64.b64decode(attribute.value.string_value, validate=True)
            except (binascii.Error, ValueError):
                return b""
    return b""

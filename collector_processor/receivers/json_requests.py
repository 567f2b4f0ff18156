"""OTLP as JSON, into the protobuf that everything further down works on, and back for the answers.

OTLP's JSON is protobuf's with two exceptions: ids of traces and spans are hexadecimal, not base64, and enumerations are
numbers. https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no stubs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector_processor.component import Signal
from collector_processor.errors import UndecodableRequestError

_REQUESTS: Final[Mapping[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_RESPONSES: Final[Mapping[Signal, type[Message]]] = {
    Signal.TRACES: ExportTraceServiceResponse,
    Signal.METRICS: ExportMetricsServiceResponse,
    Signal.LOGS: ExportLogsServiceResponse,
}
# Both spellings: a parser of protobuf's JSON takes the names of the schema, too. No other field of OTLP is called so:
# keys and values of attributes stand in "key" and "stringValue".
_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})

# A lone surrogate, "\ud800", is JSON and no text that protobuf could carry: as a key it is a SystemError in upb.
_NO_REQUEST: Final = (
    json_format.ParseError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    DecodeError,
    SystemError,
)


def to_protobuf(signal: Signal, body: bytes) -> bytes:
    """The encoded request that a JSON one stands for; what this version does not know is left out.

    Raises:
        UndecodableRequestError: It is no such request.
    """
    kind = _REQUESTS[signal]
    try:
        raw = json.loads(body)
        if not isinstance(raw, dict):
            raise UndecodableRequestError(f"not a valid {kind.DESCRIPTOR.name}: not a JSON object")
        _replace_ids(raw)
        message = json_format.ParseDict(raw, kind(), ignore_unknown_fields=True)
        return message.SerializeToString()
    except _NO_REQUEST as error:
        raise UndecodableRequestError(f"not a valid {kind.DESCRIPTOR.name}: {_first_line(error)}") from error
    except RecursionError as error:
        raise UndecodableRequestError(f"not a valid {kind.DESCRIPTOR.name}: too deeply nested") from error


def response_to_json(signal: Signal, response: bytes) -> bytes:
    """An encoded response as JSON."""
    message = _RESPONSES[signal].FromString(response)
    return json_format.MessageToJson(message, indent=None).encode()


def status_to_json(status: Status) -> bytes:
    """A google.rpc.Status as JSON."""
    text: str = json_format.MessageToJson(status, indent=None)
    return text.encode()


def _replace_ids(root: dict[str, Any]) -> None:
    """Write hexadecimal ids as protobuf's JSON has bytes, in place and without recursion."""
    waiting: list[Any] = [root]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting.extend(item for item in found if isinstance(item, dict | list))
            continue
        for key, value in found.items():
            if isinstance(value, dict | list):
                waiting.append(value)
            elif key in _IDS and isinstance(value, str):
                try:
                    found[key] = base64.b64encode(bytes.fromhex(value)).decode()
                except ValueError:
                    raise UndecodableRequestError(f"{key} {value[:64]!r} is not valid (hexadecimal digits)") from None


def _first_line(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.splitlines()[0][:300]

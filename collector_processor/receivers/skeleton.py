"""OTLP requests down to their records, which stay bytes: found and counted, but not read.

Reading a thousand log records takes 200 µs and touching them 2,000 µs; finding them takes 9 µs. It also leaves to the
backend what is the backend's to judge: a record that is malformed inside passes through as it came.

That loses nothing that joining requests needs. A request that is read here without an error is a row of whole fields,
and so are two of them one after the other: their bytes joined are well-formed again, and by the rules of protobuf they
are the merge of both, that is, the resources of the first and then those of the second. What lies within a resource
cannot change where it ends. If one resource turns out to be malformed further in, a backend refuses the joined
request, and the exporter divides it until the culprit is alone.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.message import DecodeError

from collector_processor.component import Signal
from collector_processor.errors import UndecodableRequestError
from otel_ml.proto.views import views

_CLASSES: Final = views(
    "otel_ml.skeleton",
    {
        "Traces": {"resources": (1, "ResourceSpans")},
        "ResourceSpans": {"scopes": (2, "ScopeSpans")},
        "ScopeSpans": {"spans": (2, "bytes")},
        "Metrics": {"resources": (1, "ResourceMetrics")},
        "ResourceMetrics": {"scopes": (2, "ScopeMetrics")},
        "ScopeMetrics": {"metrics": (2, "Metric")},
        # Two kinds of data in one metric, which a oneof would make one, are counted both.
        "Metric": {
            "gauges": (5, "Points"),
            "sums": (7, "Points"),
            "histograms": (9, "Points"),
            "exponential_histograms": (10, "Points"),
            "summaries": (11, "Points"),
        },
        "Points": {"points": (1, "Point")},
        "Point": {},
        "Logs": {"resources": (1, "ResourceLogs")},
        "ResourceLogs": {"resource": (1, "bytes"), "scopes": (2, "ScopeLogs")},
        "ScopeLogs": {"records": (2, "bytes")},
        # The same for logs, one level at a time.
        "LogResources": {"parts": (1, "bytes")},
        "LogScopes": {"resource": (1, "bytes"), "parts": (2, "bytes")},
        "LogRecords": {"scope": (1, "bytes"), "parts": (2, "bytes")},
    },
)
LogResources: Final = _CLASSES["LogResources"]
"""A logs request: its `parts` are ResourceLogs."""
LogScopes: Final = _CLASSES["LogScopes"]
"""A ResourceLogs: its `parts` are ScopeLogs, and the `resource` is one that may have come in pieces."""
LogRecords: Final = _CLASSES["LogRecords"]
"""A ScopeLogs: its `parts` are LogRecords."""


def count_items(signal: Signal, body: bytes) -> int:
    """The number of spans, data points or log records in an encoded request.

    Raises:
        UndecodableRequestError: The bytes are no such request.
    """
    if signal is Signal.TRACES:
        return sum(len(scope.spans) for resource in _read("Traces", body).resources for scope in resource.scopes)
    if signal is Signal.LOGS:
        return count_records(read_logs(body))
    return _count_points(_read("Metrics", body))


def read_logs(body: bytes) -> Any:
    """A logs request: `resources`, each with its `resource` and `scopes`, each of these with `records` that are bytes.

    Raises:
        UndecodableRequestError: The bytes are no such request.
    """
    return _read("Logs", body)


def count_records(logs: Any) -> int:
    """The number of records that `read_logs` found."""
    return sum([len(scope.records) for resource in logs.resources for scope in resource.scopes])


def _count_points(request: Any) -> int:
    """The data points of a request, in a tenth of the time that it takes to ask each of a thousand metrics for its own.

    Without what is unknown here nothing is left but how deep it is nested, and written again, each point is two bytes:
    its tag, 1, and its length, 0. Only resources without scopes look the same: a zero byte stands nowhere but where a
    length is 0, and behind a tag 1 that is one of the two.
    """
    request.DiscardUnknownFields()
    without_scopes = sum(not resource.scopes for resource in request.resources)
    written: bytes = request.SerializeToString()
    return written.count(b"\x0a\x00") - without_scopes


def _read(signal: str, body: bytes) -> Any:
    try:
        return _CLASSES[signal].FromString(body)
    except DecodeError as error:
        name = {"Traces": "Trace"}.get(signal, signal)
        raise UndecodableRequestError(f"not a valid Export{name}ServiceRequest: {error}") from error

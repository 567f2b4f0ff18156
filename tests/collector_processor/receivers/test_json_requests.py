"""OTLP as JSON."""

import base64
import contextlib
import json

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector_processor.component import Signal
from collector_processor.errors import UndecodableRequestError
from collector_processor.receivers.json_requests import to_protobuf

KINDS = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
IDS = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174"}
TRACE_ID, SPAN_ID = bytes.fromhex(IDS["traceId"]), bytes.fromhex(IDS["spanId"])


def read(signal, value):
    return KINDS[signal].FromString(to_protobuf(signal, json.dumps(value).encode()))


def test_ids_are_hexadecimal_wherever_they_stand():
    """In spans, their parents and links, in log records and in exemplars; also by the names in the schema."""
    span = {**IDS, "parentSpanId": "eee19b7ec3c1b173", "links": [IDS], "name": "n"}
    snake = {"trace_id": IDS["traceId"], "span_id": IDS["spanId"]}
    traces = read(Signal.TRACES, {"resourceSpans": [{"scopeSpans": [{"spans": [span, snake]}]}]})
    logs = read(Signal.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": [IDS]}]}]})
    point = {"asInt": "7", "exemplars": [{**IDS, "asDouble": 1.5}]}
    metrics = read(
        Signal.METRICS,
        {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [point]}}]}]}]},
    )

    spans = traces.resource_spans[0].scope_spans[0].spans
    found_point = metrics.resource_metrics[0].scope_metrics[0].metrics[0].gauge.data_points[0]
    holders = [*spans, spans[0].links[0], logs.resource_logs[0].scope_logs[0].log_records[0], found_point.exemplars[0]]
    assert {(holder.trace_id, holder.span_id) for holder in holders} == {(TRACE_ID, SPAN_ID)}
    assert spans[0].parent_span_id == bytes.fromhex("eee19b7ec3c1b173")
    assert found_point.as_int == 7


def test_numbers_bytes_and_unknown_fields_are_read_as_otlp_says():
    """64-bit integers as texts or numbers, enumerations as numbers, bytes as base64; what is unknown is left out."""
    record = {
        "timeUnixNano": "1750000000000000001",
        "observedTimeUnixNano": 1750000000000000002,
        "severityNumber": 9,
        "body": {"bytesValue": base64.b64encode(b"\x00\xff").decode()},
        "attributes": [{"key": "traceId", "value": {"stringValue": "no id"}}],
        "inventedLater": {"traceId": "5b8efff798038103d269b633813fc60c"},
    }
    (found,) = (
        read(Signal.LOGS, {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
        .resource_logs[0]
        .scope_logs[0]
        .log_records
    )

    assert (found.time_unix_nano, found.observed_time_unix_nano) == (1750000000000000001, 1750000000000000002)
    assert (found.severity_number, found.body.bytes_value) == (9, b"\x00\xff")
    assert found.attributes[0].value.string_value == "no id"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b'{"resourceSpans": 1}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": 1e400}]}]}]}',
        b'{"resourceSpans": ' + b"[" * 100_000,
        b'{"resourceSpans": ' + b'[{"resource": ' * 500 + b"1" + b"}]" * 500 + b"}",
        b"9" * 10_000,
    ],
)
def test_what_is_no_request_is_undecodable(body):
    """Whatever is wrong with it."""
    with pytest.raises(UndecodableRequestError, match=r"not valid|not a valid ExportTraceServiceRequest"):
        to_protobuf(Signal.TRACES, body)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["resourceLogs", "scopeLogs", "logRecords", "traceId", "body", "stringValue", "attributes", "key"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(value=anything, signal=st.sampled_from(list(Signal)))
def test_any_json_is_a_request_or_undecodable(value, signal):
    """Nothing else can come of it."""
    with contextlib.suppress(UndecodableRequestError):
        KINDS[signal].FromString(to_protobuf(signal, json.dumps(value).encode()))


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
    trace_id=st.binary(min_size=16, max_size=16),
    time=st.integers(0, 2**64 - 1),
)
def test_what_protobuf_writes_as_json_comes_back(name, trace_id, time):
    """Up to the ids, which OTLP writes in its own way."""
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.add(name=name, trace_id=trace_id, start_time_unix_nano=time)
    value = json_format.MessageToDict(request)
    value["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"] = trace_id.hex()

    assert read(Signal.TRACES, value) == request

"""Requests are counted and divided as if they had been read completely, however they are written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from processor_samples import logs_request, metrics_request, text_record, traces_request

from collector_processor.component import Signal
from collector_processor.errors import UndecodableRequestError
from collector_processor.receivers.skeleton import count_items

KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
# Field 999, length-delimited, with bytes in it that look like an empty point.
UNKNOWN_FIELD = b"\xba\x3e\x04\x0a\x00\x0a\x00"


@st.composite
def metrics(draw):
    """A metrics request of all kinds, some of it empty, some of it from a later version."""
    request = ExportMetricsServiceRequest()
    for scopes in draw(st.lists(st.lists(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3)))), max_size=3)):
        resource = request.resource_metrics.add()
        for described in scopes:
            scope = resource.scope_metrics.add()
            for kind, points in described:
                metric = scope.metrics.add(name=draw(st.sampled_from(["", "m", "\n\0\n\0"])))
                getattr(metric, kind).SetInParent()
                for _ in range(points):
                    point = getattr(metric, kind).data_points.add()
                    if draw(st.booleans()):
                        point.time_unix_nano = 0x0A000A000A000A00
    return request, draw(st.sampled_from([b"", UNKNOWN_FIELD]))


@given(metrics())
@settings(deadline=None)
def test_data_points_are_counted_in_whichever_kind_of_metric(sample):
    """As many as there are when everything is read; what looks like one and is none does not count."""
    request, unknown = sample
    points = sum(
        len(getattr(metric, kind).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        for kind in KINDS
    )

    assert count_items(Signal.METRICS, request.SerializeToString() + unknown) == points


@given(st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=3))
@settings(deadline=None)
def test_spans_and_records_are_counted_over_all_scopes(sizes):
    """Of all resources, some of them empty."""
    traces, logs = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    for scopes in sizes:
        spans_of, records_of = traces.resource_spans.add(), logs.resource_logs.add()
        for size in scopes:
            spans, records = spans_of.scope_spans.add().spans, records_of.scope_logs.add().log_records
            for _ in range(size):
                spans.add(name="\n\0")
                records.add()

    items = sum(map(sum, sizes))

    assert count_items(Signal.TRACES, traces.SerializeToString()) == items
    assert count_items(Signal.LOGS, logs.SerializeToString()) == items


@pytest.mark.parametrize(
    ("signal", "request_of"),
    [
        (Signal.TRACES, traces_request),
        (Signal.METRICS, metrics_request),
        (Signal.LOGS, lambda: logs_request(text_record(), text_record("other"))),
    ],
)
def test_two_requests_joined_are_one_of_the_items_of_both(signal, request_of):
    """What exporters send in one go is the merge of what came, in the order in which it came."""
    one = request_of()
    joined = one.SerializeToString() + one.SerializeToString()
    merged = type(one)()
    merged.MergeFrom(one)
    merged.MergeFrom(one)

    assert type(one).FromString(joined) == merged
    assert count_items(signal, joined) == 2 * count_items(signal, one.SerializeToString())


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.LOGS])
def test_what_is_malformed_inside_of_a_record_is_the_backends_to_judge(signal):
    """It passes, and counts; only who takes the request apart has to know what it means."""
    record = b"\xff\xff\xff"
    scope = b"\x12" + bytes([len(record)]) + record
    resource = b"\x12" + bytes([len(scope)]) + scope
    body = b"\x0a" + bytes([len(resource)]) + resource

    assert count_items(signal, body) == 1


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"\x0a\x7f", b"\x0a\x02\x12\x05", b"\x0b\x0c\x0c"])
def test_what_is_malformed_outside_of_the_records_is_no_request(signal, body):
    """Joined to others it would spoil them, or end up in them."""
    with pytest.raises(UndecodableRequestError, match="not a valid Export"):
        count_items(signal, body)

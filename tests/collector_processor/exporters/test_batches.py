"""Joining requests and taking them apart again: bytes only, and exact."""

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector_processor.component import Entry, Signal, Stored
from collector_processor.exporters.batches import batches_of

texts = st.text(max_size=20)


@st.composite
def logs(draw):
    request = ExportLogsServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        resource = request.resource_logs.add(schema_url=draw(texts))
        resource.resource.attributes.add(key="service.name").value.string_value = draw(texts)
        scope = resource.scope_logs.add()
        scope.scope.name = draw(texts)
        for _ in range(draw(st.integers(0, 3))):
            scope.log_records.add(time_unix_nano=draw(st.integers(0, 2**64 - 1))).body.bytes_value = draw(st.binary())
    return request


@st.composite
def metrics(draw):
    request = ExportMetricsServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=draw(texts))
        metric.gauge.data_points.add(as_double=draw(st.floats(allow_nan=False)))
    return request


@st.composite
def traces(draw):
    request = ExportTraceServiceRequest()
    for _ in range(draw(st.integers(0, 2))):
        request.resource_spans.add().scope_spans.add().spans.add(trace_id=draw(st.binary(max_size=16)))
    return request


def stored(entries):
    position, found = 0, []
    for entry in entries:
        found.append(Stored(position, position + entry.size + 8, entry))
        position += entry.size + 8
    return found


@given(
    st.sampled_from([(Signal.LOGS, logs()), (Signal.METRICS, metrics()), (Signal.TRACES, traces())]).flatmap(
        lambda kind: st.tuples(st.just(kind[0]), st.lists(kind[1], max_size=6))
    )
)
def test_concatenation_equals_merging_the_messages(case):
    """Of any requests of one signal."""
    signal, requests = case
    merged = type(requests[0])() if requests else ExportLogsServiceRequest()
    for request in requests:
        merged.MergeFrom(request)
    entries = [Entry(signal, request.SerializeToString(), 1) for request in requests]

    bodies = [batch.body for batch in batches_of(stored(entries), set(Signal), 1 << 30)]
    assert len(bodies) <= 1
    assert type(merged).FromString(b"".join(bodies)) == merged


entries = st.builds(
    Entry,
    st.sampled_from(Signal),
    st.binary(max_size=40),
    st.integers(0, 5),
    taken=st.binary(max_size=3),
    own=st.booleans(),
)


@given(st.lists(entries, max_size=30), st.integers(1, 100), st.sets(st.sampled_from(Signal)))
def test_batches_hold_each_wanted_request_once_and_in_order(found, max_size, signals):
    """And nothing else; none is larger than it may be unless one request is."""
    batches = batches_of(stored(found), signals, max_size)

    for signal in Signal:
        for own in (False, True):
            mine = [batch for batch in batches if (batch.signal, batch.own) == (signal, own)]
            wanted = [one for one in found if (one.signal, one.own) == (signal, own) and one.body]
            if signal not in signals:
                wanted = []
            assert b"".join(batch.body for batch in mine) == b"".join(one.body for one in wanted)
            assert [count for batch in mine for count in batch.counts] == [one.items for one in wanted]
    assert all(batch.items == sum(batch.counts) and batch.ends[-1] == len(batch.body) for batch in batches)
    assert all(len(batch.body) <= max_size or len(batch) == 1 for batch in batches)


@given(st.lists(st.binary(min_size=1, max_size=9), min_size=2, max_size=20), st.data())
def test_the_parts_of_a_batch_are_the_requests_it_was_made_of(bodies, data):
    """Down to single ones, byte for byte, and with what each counts."""
    (batch,) = batches_of(
        stored([Entry(Signal.LOGS, body, index) for index, body in enumerate(bodies)]), set(Signal), 1 << 30
    )
    position = data.draw(st.integers(0, len(bodies) - 1))

    def singles(piece):
        return [piece] if len(piece) == 1 else [one for half in piece.halves() for one in singles(half)]

    one, others = batch.without(position)
    assert [(single.body, single.items) for single in singles(batch)] == [(b, i) for i, b in enumerate(bodies)]
    assert (one.body, one.items) == (bodies[position], position)
    assert [single.body for single in singles(others)] == bodies[:position] + bodies[position + 1 :]
    assert others.items == batch.items - position
    assert others.is_sampled

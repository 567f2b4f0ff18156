"""What is found in a request, and what is left of it."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from processor_samples import (
    Producer,
    categorical,
    logs_request,
    metrics_request,
    numeric,
    snapshot_record,
    text_record,
    traces_request,
)

from collector_processor.component import Signal
from collector_processor.errors import UndecodableRequestError
from collector_processor.receivers import decode
from otel_ml.sketch import codec


def sample():
    return Producer().snapshot(numeric("amount", range(300)), categorical("country", {"DE": 200, "FR": 100}))


# Field 999, length-delimited, "new": what a later version of OTLP may put into any message.
UNKNOWN_FIELD = b"\xba\x3e\x03new"


def test_a_request_without_snapshots_keeps_its_very_bytes():
    """What is not for us is not even written again, so that nothing about it can change."""
    body = logs_request(text_record(), text_record("other")).SerializeToString() + UNKNOWN_FIELD

    logs = decode.read_logs(body, take=True)

    assert logs.body is body
    assert (logs.received, logs.remaining, list(logs.snapshots)) == (2, 2, [])


def test_snapshots_are_taken_out_and_the_rest_stays_in_order():
    """Sketch bytes do not reach a backend, everything beside them does."""
    snapshot = sample()
    request = logs_request(text_record("a"), snapshot_record(snapshot), text_record("b"))

    logs = decode.read_logs(request.SerializeToString(), take=True)

    assert logs.body == logs_request(text_record("a"), text_record("b")).SerializeToString()
    assert (logs.received, logs.remaining) == (3, 2)
    assert [found.sequence for found in logs.snapshots] == [snapshot.sequence]


def test_fields_of_later_versions_survive_taking_snapshots_out():
    """A newer sender's data passes through an older processor."""
    body = logs_request(snapshot_record(sample()), text_record()).SerializeToString() + UNKNOWN_FIELD

    logs = decode.read_logs(body, take=True)

    assert logs.body == logs_request(text_record()).SerializeToString() + UNKNOWN_FIELD


def test_scopes_and_resources_without_records_are_dropped_only_if_snapshots_emptied_them():
    """No empty shells are sent on, and nothing else is."""
    body = logs_request(snapshot_record(sample())).SerializeToString()

    logs = decode.read_logs(body, take=True)

    assert logs.body == b""
    assert logs.remaining == 0


def test_snapshots_can_stay_in_the_request():
    """With forward_snapshots another processor down the road sees them too."""
    body = logs_request(snapshot_record(sample()), text_record()).SerializeToString()

    logs = decode.read_logs(body, take=False)

    assert logs.body is body
    assert (logs.remaining, len(logs.snapshots)) == (2, 1)


def test_a_snapshot_may_be_named_by_attribute_and_hold_base64():
    """Collectors and older SDKs turn event names into attributes, and bytes into base64."""
    snapshot = sample()
    payload = codec.encode(snapshot)
    record = snapshot_record(snapshot)
    record.event_name = ""
    record.attributes.add(key="event.name").value.string_value = "ml.sketch.snapshot"
    for attribute in record.attributes:
        if attribute.key == "ml.sketch.payload":
            attribute.value.string_value = base64.b64encode(payload).decode()

    logs = decode.read_logs(logs_request(record).SerializeToString(), take=True)

    assert [found.rows for found in logs.snapshots] == [300]


def test_a_snapshot_may_stand_in_the_body():
    """Some pipelines move the payload from the attributes to the body."""
    snapshot = sample()
    payload = codec.encode(snapshot)
    record = snapshot_record(snapshot)
    del record.attributes[1]
    record.body.bytes_value = payload

    logs = decode.read_logs(logs_request(record).SerializeToString(), take=True)

    assert len(logs.snapshots) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"checksum": 7}, "wrong_checksum"),
        ({"checksum": None}, "missing_checksum"),
        ({"payload": b"garbage"}, "corrupt"),
        ({"payload": None}, "missing_payload"),
        ({"payload": "no base64!"}, "missing_payload"),
        ({"encoding": "otel_ml.v9.Snapshot"}, "unknown_encoding"),
    ],
)
def test_an_unreadable_snapshot_is_rejected_by_reason_and_the_rest_is_kept(changes, reason):
    """One broken producer costs nobody else anything."""
    good = sample()
    request = logs_request(snapshot_record(good), snapshot_record(sample(), **changes), text_record())

    logs = decode.read_logs(request.SerializeToString(), take=True)

    assert logs.rejected == {reason: 1}
    assert len(logs.snapshots) == 1
    assert logs.body == logs_request(text_record()).SerializeToString()


def test_every_signal_is_counted_in_its_own_items():
    """Spans, data points, log records."""
    counts = {
        Signal.TRACES: traces_request(spans=4),
        Signal.METRICS: metrics_request(points=5),
        Signal.LOGS: logs_request(text_record()),
    }

    counted = {signal: decode.count_items(signal, request.SerializeToString()) for signal, request in counts.items()}

    assert counted == {Signal.TRACES: 4, Signal.METRICS: 5, Signal.LOGS: 1}


@pytest.mark.parametrize("signal", Signal)
def test_bytes_that_are_no_request_are_undecodable(signal):
    """They will not get better by being sent again."""
    with pytest.raises(UndecodableRequestError, match="not a valid Export"):
        decode.count_items(signal, b"\xff\xff\xff")


def test_a_snapshot_knows_what_was_asked_of_its_own_resource():
    """And nothing else of it: two deployments may share one request of a Collector."""
    request = logs_request(snapshot_record(sample()), resource={"service.version": "1.4", "host.name": "a"})
    request.MergeFrom(logs_request(text_record(), snapshot_record(sample()), resource={"service.version": "1.5"}))
    request.MergeFrom(logs_request(snapshot_record(sample())))

    logs = decode.read_logs(request.SerializeToString(), take=True, resource_attributes={"service.version"})

    assert [dict(snapshot.resource) for snapshot in logs.snapshots] == [
        {"service.version": "1.4"},
        {"service.version": "1.5"},
        {},
    ]


def test_nothing_of_a_resource_is_kept_unless_it_is_asked_for():
    """Most pipelines tell no deployments apart."""
    request = logs_request(snapshot_record(sample()), resource={"service.version": "1.4"})

    (snapshot,) = decode.read_logs(request.SerializeToString(), take=True).snapshots

    assert snapshot.resource == {}


@pytest.mark.parametrize(
    ("values", "known"),
    [
        ([{"string_value": "1.4"}], "1.4"),
        ([{"string_value": "ü" * 256}], "ü" * 256),
        ([{"string_value": "x" * 257}], None),
        ([{"string_value": "x" * 10_000_000}], None),
        ([{"string_value": ""}], None),
        ([{"int_value": -7}], "-7"),
        ([{"bool_value": False}], "false"),
        ([{"double_value": 1.5}], None),
        ([{"bytes_value": b"1.4"}], None),
        ([{"array_value": {"values": [{"string_value": "1.4"}]}}], None),
        ([{"kvlist_value": {"values": [{"key": "service.version"}]}}], None),
        ([{}], None),
        ([{"string_value": "1.4"}, {"string_value": "1.5"}], "1.4"),
        ([{"double_value": 1.5}, {"string_value": "1.5"}], None),
        ([{"string_value": "1.4"}] * 5_000, "1.4"),
    ],
)
def test_a_resource_attribute_is_a_short_text_or_nothing(values, known):
    """Whatever stands there, nothing large is kept, the snapshot is read, and of two with one key the first counts."""
    request = logs_request(snapshot_record(sample()))
    for value in values:
        request.resource_logs[0].resource.attributes.add(key="service.version", value=AnyValue(**value))

    logs = decode.read_logs(request.SerializeToString(), take=True, resource_attributes={"service.version"})

    (snapshot,) = logs.snapshots
    assert snapshot.resource.get("service.version") == known
    assert logs.rejected == {}


def test_a_request_of_snapshots_only_is_kept_for_the_log_as_it_came():
    """The usual case, since our library sends them by themselves, costs no writing."""
    body = logs_request(snapshot_record(sample()), snapshot_record(sample(), checksum=7)).SerializeToString()

    logs = decode.read_logs(body, take=True)

    assert logs.taken is body
    assert (logs.body, logs.remaining) == (b"", 0)


def test_what_was_taken_out_gives_the_same_snapshots_again():
    """With what they know of their resource: a restart reads the log, not the request."""
    request = logs_request(text_record(), snapshot_record(sample()), resource={"service.version": "1.4"})
    request.MergeFrom(logs_request(snapshot_record(sample(), payload=b"garbage"), resource={"service.version": "1.5"}))
    logs = decode.read_logs(request.SerializeToString(), take=True, resource_attributes={"service.version"})

    snapshots, rejected = decode.snapshots_in(Signal.LOGS, logs.taken, {"service.version"})

    assert [codec.encode(found) for found in snapshots] == [codec.encode(found) for found in logs.snapshots]
    assert [dict(found.resource) for found in snapshots] == [{"service.version": "1.4"}]
    assert rejected == logs.rejected == {"corrupt": 1}


def test_a_record_that_merely_mentions_snapshots_passes_untouched():
    """The name of the event may stand in any text."""
    body = logs_request(text_record("ml.sketch.snapshot"), text_record("ml.sketch.snapshots")).SerializeToString()

    logs = decode.read_logs(body, take=True)

    assert logs.body is body
    assert (logs.remaining, logs.taken) == (2, b"")


def test_a_record_that_cannot_be_read_passes_even_beside_snapshots():
    """Whether it is a snapshot nobody can say; the backend may."""
    request = logs_request(snapshot_record(sample()), text_record())
    broken = b"\xff ml.sketch.snapshot"
    scope = b"\x12" + bytes([len(broken)]) + broken
    resource = b"\x12" + bytes([len(scope)]) + scope
    body = request.SerializeToString() + b"\x0a" + bytes([len(resource)]) + resource

    logs = decode.read_logs(body, take=True)

    assert (logs.received, logs.remaining, len(logs.snapshots)) == (3, 2, 1)
    assert broken in logs.body


def record_named(how, payload):
    """A log record that is a snapshot, or has something of one."""
    record = text_record("hello")
    if how == "text":
        return record
    if how == "mentioned":
        record.attributes.add(key="note").value.string_value = "ml.sketch.snapshot"
        return record
    record = snapshot_record(SAMPLE, payload=payload)
    if how == "attribute":
        record.event_name = ""
        record.attributes.add(key="event.name").value.string_value = "ml.sketch.snapshot"
    if how == "other event":
        record.event_name = "ml.sketch.snapshot.other"
    if how == "wrong checksum":
        record.attributes[-1].value.int_value += 1
    if how == "base64":
        record.attributes[1].value.string_value = base64.b64encode(payload).decode()
    return record


SAMPLE = Producer().snapshot(numeric("amount", range(3)))
IS_SNAPSHOT = {"event", "attribute", "wrong checksum", "base64"}
HOWS = st.sampled_from([*sorted(IS_SNAPSHOT), "text", "mentioned", "other event"])
REQUESTS = st.lists(st.lists(st.lists(HOWS, max_size=4), max_size=3), max_size=3)


@given(REQUESTS, st.booleans())
@settings(deadline=None, max_examples=60)
def test_dividing_bytes_is_dividing_messages(described, is_new):
    """What is left and what is taken are what a reader of the whole request would leave and take."""
    payload = codec.encode(SAMPLE)
    request, left, taken = ExportLogsServiceRequest(), ExportLogsServiceRequest(), ExportLogsServiceRequest()
    for number, scopes in enumerate(described):
        for side in (request, left, taken):
            resource = side.resource_logs.add(schema_url=f"resource {number}")
            resource.resource.attributes.add(key="service.version").value.string_value = str(number)
            if is_new:
                resource.MergeFromString(UNKNOWN_FIELD)
            for hows in scopes:
                scope = resource.scope_logs.add(schema_url="scope")
                scope.scope.name = "scope"
                for how in hows:
                    if side is request or (how in IS_SNAPSHOT) == (side is taken):
                        scope.log_records.append(record_named(how, payload))
    hows = [how for scopes in described for scope in scopes for how in scope]

    logs = decode.read_logs(request.SerializeToString(), take=True, resource_attributes={"service.version"})

    assert (logs.received, logs.remaining) == (len(hows), sum(how not in IS_SNAPSHOT for how in hows))
    assert len(logs.snapshots) == sum(how in IS_SNAPSHOT and how != "wrong checksum" for how in hows)
    assert logs.rejected["wrong_checksum"] == hows.count("wrong checksum")
    assert without_shells(logs.body) == without_shells(left.SerializeToString())
    assert without_shells(logs.taken) == without_shells(taken.SerializeToString())
    assert [found.resource["service.version"] for found in logs.snapshots] == [
        str(number)
        for number, scopes in enumerate(described)
        for scope in scopes
        for how in scope
        if how in IS_SNAPSHOT and how != "wrong checksum"
    ]


def without_shells(body):
    """The request without scopes and resources that hold no record."""
    request = ExportLogsServiceRequest.FromString(body)
    for resource in request.resource_logs:
        kept = [scope for scope in resource.scope_logs if scope.log_records]
        del resource.scope_logs[:]
        resource.scope_logs.extend(kept)
    kept = [resource for resource in request.resource_logs if resource.scope_logs]
    del request.resource_logs[:]
    request.resource_logs.extend(kept)
    return request


def test_of_many_snapshots_each_is_read_or_rejected_for_itself():
    """In their order, whatever stands between them, with what was asked of the resource of each."""
    snapshots = [sample() for _ in range(40)]
    requests = []
    for number, snapshot in enumerate(snapshots):
        record = snapshot_record(snapshot)
        if number % 7 == 3:
            (payload,) = (one for one in record.attributes if one.value.bytes_value)
            payload.value.bytes_value = payload.value.bytes_value[:-1]
        requests.append(logs_request(record))
        requests[-1].resource_logs[0].resource.attributes.add(key="pod").value.string_value = str(number)
    readable = [number for number in range(40) if number % 7 != 3]
    only = b"".join(request.SerializeToString() for request in requests)
    others = logs_request(text_record()).SerializeToString()

    for body, rest in ((only, b""), (only + others, others)):
        logs = decode.read_logs(body, take=True, resource_attributes={"pod"})

        assert [found.producer_id for found in logs.snapshots] == [snapshots[n].producer_id for n in readable]
        assert [found.resource["pod"] for found in logs.snapshots] == [str(number) for number in readable]
        assert logs.rejected == {"wrong_checksum": 40 - len(readable)}
        assert (logs.body, logs.taken) == (rest, only)

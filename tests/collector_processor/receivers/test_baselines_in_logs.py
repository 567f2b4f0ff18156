"""Finding baselines among log records."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from processor_samples import Producer, logs_request, numeric, snapshot_record, text_record

from collector_processor.receivers.baselines_in_logs import take_baselines
from otel_ml import semconv


def baseline_record(content=b"\x89OTML", *, as_text=False):
    record = LogRecord(event_name=semconv.EVENT_BASELINE)
    value = record.attributes.add(key=semconv.BASELINE_PAYLOAD).value
    if as_text:
        value.string_value = base64.b64encode(content).decode()
    else:
        value.bytes_value = content
    return record


def test_a_request_without_baselines_is_not_touched():
    """Nor is one that merely mentions them."""
    snapshots = logs_request(snapshot_record(Producer().snapshot(numeric("amount", [1.0])))).SerializeToString()
    mentions = logs_request(text_record(f"about {semconv.BASELINE_PAYLOAD}")).SerializeToString()

    assert take_baselines(snapshots) == (snapshots, [])
    assert take_baselines(mentions) == (mentions, [])


@pytest.mark.parametrize("as_text", [False, True])
def test_baselines_are_taken_out_and_the_rest_stays(as_text):
    """As bytes, or as what JSON makes of them."""
    request = logs_request(text_record("before"), baseline_record(b"one", as_text=as_text), text_record("after"))

    found = take_baselines(request.SerializeToString())

    assert found.contents == [b"one"]
    assert found.body == logs_request(text_record("before"), text_record("after")).SerializeToString()


def test_of_nothing_but_baselines_nothing_is_left():
    """So that no backend gets an empty request."""
    assert take_baselines(logs_request(baseline_record()).SerializeToString()) == (b"", [b"\x89OTML"])


def test_a_baseline_without_its_file_is_found_all_the_same():
    """Somebody has to be told."""
    record = LogRecord(event_name=semconv.EVENT_BASELINE)
    record.attributes.add(key=semconv.BASELINE_PAYLOAD).value.string_value = "no base64!"

    assert take_baselines(logs_request(record).SerializeToString()).contents == [b""]


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_hostile_bytes_are_left_to_others(before, after):
    """What is no request is refused where requests are read."""
    body = before + semconv.BASELINE_PAYLOAD.encode() + after

    found = take_baselines(body)

    assert found.body == body or ExportLogsServiceRequest.FromString(body)

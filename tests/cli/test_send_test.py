"""One of each signal, sent to real receivers and a real processor."""

import json

import pytest
from click.testing import CliRunner
from doctor_peers import black_hole, grpc_receiver, http_receiver, mute
from otlp_sink import OtlpSink, attributes
from running_service import running
from server_process import free_port

from otel_ml import semconv
from otel_ml.cli.commands import otel_ml
from otel_ml.cli.processor_counts import Counts, read
from otel_ml.sketch import codec


def send_test(*arguments, **environment):
    done = CliRunner().invoke(otel_ml, ["send-test", "--timeout", "2", *map(str, arguments)], env=environment)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


def test_a_receiver_gets_one_of_each():
    """With the resource and the headers that the environment says."""
    with OtlpSink() as sink:
        done = send_test(
            "--endpoint",
            sink.endpoint,
            "--json",
            OTEL_SERVICE_NAME="it's \u2603",
            OTEL_EXPORTER_OTLP_HEADERS="x-token=a%20b",
        )

        said = json.loads(done.stdout)
        assert (done.exit_code, said["ok"], done.stderr) == (0, True, "")
        assert [one["kind"] for one in said["sent"]] == ["span", "metric", "log", "snapshot"]
        assert {one["code"] for one in said["sent"]} == {"OK"}
        (snapshot,) = sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        decoded = codec.decode(attributes(snapshot)[semconv.SKETCH_PAYLOAD])
        assert (decoded.model.name, decoded.rows) == ("otel-ml-send-test", 3000)
        assert (len(sink.spans()), len(sink.metrics_named()), len(sink.log_records())) == (1, 1, 2)
        assert {resource["service.name"] for resource in sink.resources()} == {"it's \u2603"}
        assert {metadata["x-token"] for metadata in sink.metadata} == {"a b"}


def test_over_http_as_well():
    """By the standard variables."""
    with http_receiver("traces", "metrics", "logs") as port:
        done = send_test(
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}"
        )

    assert done.exit_code == 0, done.output
    assert done.stdout.count("HTTP 200") == 4


def test_what_one_signal_lacks_is_explained_as_doctor_does():
    """The others are taken; the fix is told once."""
    with grpc_receiver("traces", "metrics") as port:
        done = send_test("--endpoint", f"http://127.0.0.1:{port}")

    assert done.exit_code == 1
    assert done.stdout.count("UNIMPLEMENTED") >= 2
    assert done.stdout.count("fix:") == 1
    assert "docs/cli.md#endpoint-signals" in done.stdout


@pytest.mark.parametrize(
    ("place", "topic"), [(black_hole, "endpoint-reachable"), (mute, "endpoint-reachable"), (None, "endpoint-reachable")]
)
def test_nobody_who_answers_costs_a_bounded_time(place, topic):
    """No request is tried again."""
    port = free_port()
    if place is None:
        done = send_test("--json", "--endpoint", f"http://127.0.0.1:{port}")
    else:
        with place() as port:
            done = send_test("--json", "--endpoint", f"http://127.0.0.1:{port}")

    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert {one["explanation"]["link"] for one in said["sent"]} == {f"docs/cli.md#{topic}"}


@pytest.mark.parametrize(
    "endpoint", ["localhost:4317", "http://<script>", "", "\u2603", "http://h:99999", "http://[::1"]
)
def test_an_endpoint_that_is_none_is_explained(endpoint):
    """No traceback, whatever it is."""
    done = send_test("--json", "--endpoint", endpoint or " ")

    said = json.loads(done.stdout)
    assert done.exit_code == 1
    assert {one["explanation"]["link"] for one in said["sent"]} == {"docs/cli.md#endpoint-scheme"}


@pytest.mark.parametrize("status", ["nothing", "http://127.0.0.1:1", "ftp://x"])
def test_a_status_endpoint_that_is_none_is_wrong_usage(status):
    """Before anything is sent."""
    done = send_test("--status", status)

    assert done.exit_code == 2
    assert repr(status) in done.stderr


def test_a_server_that_is_no_processor_is_not_taken_for_one():
    """A Collector answers at the same port by default."""
    with http_receiver() as port:
        assert read(f"http://127.0.0.1:{port}") == "answered HTTP 404"


@pytest.mark.slow
async def test_a_processor_is_asked_whether_it_counted_them(tmp_path):
    """Each kind of it, and the rows of the snapshot."""
    import asyncio

    from collector_processor.status import Status, StatusSettings

    with OtlpSink() as sink:
        async with running(tmp_path, sink) as service:
            status = Status(
                StatusSettings.model_validate({"endpoint": "127.0.0.1:0"}), service.service.telemetry, lambda: None
            )
            await status.start()
            await status.serve(())
            place = f"http://{status.address}"
            try:
                endpoint = f"http://{service.service.addresses[0]}"
                done = await asyncio.to_thread(send_test, "--endpoint", endpoint, "--status", place, "--json")
                # Somebody else's receiver takes them, and this processor has seen nothing.
                elsewhere = await asyncio.to_thread(send_test, "--endpoint", sink.endpoint, "--status", place)
                counts = await asyncio.to_thread(read, place)
            finally:
                await status.shutdown(1.0)

    said = json.loads(done.stdout)
    assert (done.exit_code, said["ok"], said["status"]) == (0, True, place), done.output
    assert [one["counted"] for one in said["sent"]] == [True] * 4
    assert isinstance(counts, Counts)
    assert (counts.total("span"), counts.total("snapshot")) == (1, 3000)
    assert elsewhere.exit_code == 1
    assert "has not counted: span, metric, log, snapshot" in elsewhere.stdout

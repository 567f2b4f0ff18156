"""The command, beside a processor's files and real backends."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest
from click.testing import CliRunner
from forwarding import TAKE, GrpcBackend, HttpBackend
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from processor_samples import logs_request, text_record
from server_process import free_port

from collector_processor.component import DeadLetter, Signal
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.store.dead_letters import DeadLetterBox, DeadLetterStore
from collector_processor.store.settings import DeadLetterSettings
from otel_ml.cli.commands import otel_ml

SCRIPT = "from otel_ml.cli import main; main()"
LOGS = logs_request(text_record("hello")).SerializeToString()


def spans():
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add(name="GET")
    span.trace_id, span.span_id = bytes(range(16)), bytes(range(8))
    span.kind = 2
    return request.SerializeToString()


def letter(body=LOGS, signal=Signal.LOGS, reason="rejected_by_backend"):
    return DeadLetter("otlp_grpc", signal, reason, "INVALID_ARGUMENT: [bold]no", 1, body)


@asynccontextmanager
async def processor(directory, *letters):
    """The file as a processor has it open."""
    store = DeadLetterStore(directory / "dead-letters.db", DeadLetterSettings(), SelfTelemetry())
    await store.start()
    await store.put(letters)
    try:
        yield store
    finally:
        await store.shutdown(1.0)


@pytest.fixture
def store(tmp_path):
    """A directory with three letters, after the processor has stopped."""

    async def write():
        async with processor(tmp_path, letter(), letter(spans(), Signal.TRACES), letter(b"\xff\xff", reason="late")):
            pass

    asyncio.run(write())
    return tmp_path


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def run(directory, *arguments):
    """In this process, for that is quicker."""
    done = CliRunner().invoke(otel_ml, ["dead-letters", "--store", str(directory), *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def run_apart(directory, *arguments):
    """In a process of its own."""
    command = [sys.executable, "-c", SCRIPT, "dead-letters", "--store", directory, *arguments]
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, check=False)


def remaining(directory):
    with DeadLetterBox(directory) as box:
        return [one.id for one in box.letters()]


def test_letters_are_listed_for_people_and_for_machines(store):
    """Oldest first."""
    text, machine = run(store, "list"), run(store, "list", "--json", "--reason", "rejected_by_backend")

    head, first, *_ = text.stdout.splitlines()
    assert head.split() == ["id", "kept", "source", "signal", "reason", "items", "bytes", "detail"]
    assert "INVALID_ARGUMENT: [bold]no" in first
    assert [json.loads(line)["signal"] for line in machine.stdout.splitlines()] == ["logs", "traces"]
    assert (text.returncode, machine.returncode) == (0, 0)


def test_a_letter_is_shown_as_otlp_json_and_byte_for_byte(store):
    """Ids are hexadecimal there, as OTLP has them."""
    done = run(store, "show", "2", "--json", "--output", store / "letter.bin")

    (resource,) = json.loads(done.stdout)["resourceSpans"]
    (span,) = resource["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"], span["kind"]) == (bytes(range(16)).hex(), bytes(range(8)).hex(), 2)
    assert (store / "letter.bin").read_bytes() == spans()
    assert "hello" in run(store, "show", "1").stdout


def test_a_letter_that_is_no_request_is_shown_as_far_as_possible(store):
    """Late or broken snapshots may be anything."""
    assert "cannot be decoded" in run(store, "show", "3").stdout
    done = run(store, "show", "3", "--json")

    assert done.returncode == json.loads(done.stdout)["exit_code"] == 1
    assert "is no OTLP request of logs" in done.stderr


def test_replaying_sends_letters_and_removes_those_that_were_taken(store):
    """What is refused again stays, is named, and does not stop the others."""
    with GrpcBackend() as backend:
        backend.judge = lambda _, body: (grpc.StatusCode.INVALID_ARGUMENT, "no") if body == b"\xff\xff" else TAKE
        done = run(store, "replay", "--endpoint", backend.endpoint.removeprefix("http://"), "--insecure")

        assert backend.taken == [(Signal.LOGS, LOGS), (Signal.TRACES, spans())]
    assert done.returncode == 1
    assert "2 of 3 dead letters were taken" in done.stdout
    assert "letter 3:" in done.stderr
    assert remaining(store) == [3]


def test_replaying_over_http_sends_only_what_is_chosen(store):
    """By id or by reason; 0 when all of that was taken."""
    with HttpBackend() as backend:
        done = run(store, "replay", "--endpoint", backend.endpoint, "--id", "1", "--header", "X-Token=t")

        ((path, headers, body),) = backend.received
    assert (path, body, headers["X-Token"]) == ("/v1/logs", LOGS, "t")
    assert done.returncode == 0, done.stderr
    assert remaining(store) == [2, 3]


def test_a_letter_whose_items_are_all_rejected_stays(store):
    """Partial success of nothing is a refusal."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 1
    with HttpBackend() as backend:
        backend.answers = [(200, {}, response.SerializeToString())]
        done = run(store, "replay", "--endpoint", backend.endpoint, "--id", "1")

    assert done.returncode == 1
    assert remaining(store) == [1, 2, 3]


def test_an_endpoint_that_is_down_costs_no_letter(store):
    """It is said where and why."""
    endpoint = f"127.0.0.1:{free_port()}"
    done = run(store, "replay", "--endpoint", endpoint, "--insecure", "--timeout", "2s")

    assert done.returncode == 1
    assert f"{endpoint}: UNAVAILABLE" in done.stderr
    assert "3 dead letters remain" in done.stderr
    assert remaining(store) == [1, 2, 3]


def test_an_endpoint_that_does_not_know_us_is_not_asked_again(store):
    """One answer of that kind is enough."""
    with HttpBackend() as backend:
        backend.always = (401, {}, b"who are you?")
        done = run(store, "replay", "--endpoint", backend.endpoint)

    assert "HTTP 401: who are you?" in done.stderr
    assert remaining(store) == [1, 2, 3]


async def test_everything_works_while_a_processor_has_the_file_open(tmp_path):
    """The two share it for moments."""
    with GrpcBackend() as backend:
        async with processor(tmp_path, letter(), letter()) as running:
            endpoint = backend.endpoint.removeprefix("http://")
            choice = ("--insecure", "--id", "1")
            done = await asyncio.to_thread(run_apart, tmp_path, "replay", "--endpoint", endpoint, *choice)
            await running.put([letter()])
            purged = await asyncio.to_thread(run_apart, tmp_path, "purge", "--id", "2")

            assert (done.returncode, purged.returncode) == (0, 0), done.stderr + purged.stderr
            assert remaining(tmp_path) == [3]


def test_purging_needs_to_be_told_what(store):
    """Nothing is thrown away by a slip of the finger."""
    nothing = run(store, "purge")
    late, rest = run(store, "purge", "--reason", "late"), run(store, "purge", "--all")

    assert (nothing.returncode, late.returncode, rest.returncode) == (2, 0, 0)
    assert "nothing is chosen" in nothing.stderr
    assert "1 dead letters removed" in late.stdout
    assert remaining(store) == []
    assert "no dead letters" in run(store, "list").stdout


@pytest.mark.parametrize(
    ("arguments", "said", "exit_code"),
    [
        (["show", "9"], "letter 9: there is none with this id", 1),
        (["replay", "--endpoint", "nowhere"], "'nowhere' is not an endpoint", 2),
        (["replay", "--endpoint", "a:1", "--header", "x"], "'x' is no header (NAME=VALUE)", 2),
        (["replay", "--endpoint", "a:1", "--ca-file", "/no/such"], "ca_file '/no/such'", 2),
    ],
)
def test_mistakes_are_told_in_a_sentence(store, arguments, said, exit_code):
    """Never in a traceback."""
    done = run(store, *arguments)

    assert done.returncode == exit_code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_that_is_no_store_is_told(tmp_path):
    """And nothing is made there."""
    done = run_apart(tmp_path, "list")

    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "holds no dead-letters.db" in done.stderr

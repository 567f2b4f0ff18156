"""What clients of OTLP/HTTP are answered, over a real connection."""

import asyncio
import contextlib
import gzip
import json
import ssl
import zlib
from contextlib import asynccontextmanager

import httpx
import pytest
from backports import zstd
from google.rpc import code_pb2
from google.rpc.status_pb2 import Status
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult
from processor_samples import (
    Producer,
    logs_request,
    metrics_request,
    numeric,
    snapshot_record,
    text_record,
    traces_request,
)
from receiving import Authority, bomb, memory_bounded, receiving, until

from collector_processor.component import Signal
from collector_processor.errors import RefusedError, StartError
from otel_ml import semconv

REQUESTS = {
    Signal.TRACES: (traces_request(spans=2).SerializeToString(), 2),
    Signal.METRICS: (metrics_request(points=3).SerializeToString(), 3),
    Signal.LOGS: (logs_request(text_record()).SerializeToString(), 1),
}
TRACES = REQUESTS[Signal.TRACES][0]
PROTOBUF = "application/x-protobuf"
HEAD = f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\n".encode()
PACK = {"gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd.compress, "identity": bytes, "": bytes}
MIB = 1024 * 1024


@asynccontextmanager
async def client(signals=tuple(Signal), *, settings=None, **options):
    async with (
        receiving("http", signals, settings=settings, **options) as receiver,
        httpx.AsyncClient(base_url=f"http://{receiver.address}", timeout=30, trust_env=False) as web,
    ):
        receiver.web = web
        yield receiver


def post(receiver, body, path="/v1/traces", kind=PROTOBUF, **headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return receiver.web.post(path, content=body, headers={"content-type": kind, **headers})


def refused(receiver, reason):
    return receiver.telemetry.total(semconv.PROCESSOR_REFUSED, drop_reason=reason)


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("encoding", PACK)
async def test_every_signal_is_taken_as_it_came(signal, encoding):
    """The very bytes reach the consumer, in every encoding; the answer is an empty response in protobuf."""
    body, items = REQUESTS[signal]
    headers = {"content_encoding": encoding} if encoding else {}
    async with client() as receiver:
        response = await post(receiver, PACK[encoding](body), f"/v1/{signal.value}", **headers)

        assert (response.status_code, response.headers["content-type"], response.content) == (200, PROTOBUF, b"")
        assert [(kept.signal, kept.body, kept.items) for kept in receiver.kept.requests] == [(signal, body, items)]


async def test_json_is_taken_and_answered_in_json():
    """What goes on is the protobuf that it stands for."""
    span = {"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174", "name": "predict", "kind": 2}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}).encode()
    async with client() as receiver:
        response = await post(
            receiver, gzip.compress(body), kind="application/json; charset=utf-8", content_encoding="gzip"
        )

        (kept,) = receiver.kept.requests
        found = ExportTraceServiceRequest.FromString(kept.body).resource_spans[0].scope_spans[0].spans[0]
        assert (response.status_code, response.headers["content-type"], response.json()) == (
            200,
            "application/json",
            {},
        )
        assert found.trace_id == bytes.fromhex("5b8efff798038103d269b633813fc60c")
        assert (found.span_id.hex(), found.name, found.kind) == ("eee19b7ec3c1b174", "predict", 2)


@pytest.mark.parametrize("kind", [PROTOBUF, "application/json"])
async def test_what_cannot_be_decoded_is_a_bad_request_that_says_why(kind):
    """A Status in the encoding of the request; sending it again would not help."""
    async with client() as receiver:
        response = await post(receiver, b"\xff\xff", kind=kind)

        if kind == PROTOBUF:
            code, message = (told := Status.FromString(response.content)).code, told.message
        else:
            code, message = response.json()["code"], response.json()["message"]
        assert (response.status_code, response.headers["content-type"]) == (400, kind)
        assert code == code_pb2.INVALID_ARGUMENT
        assert "not a valid ExportTraceServiceRequest" in message
        assert refused(receiver, "undecodable") == 1


@pytest.mark.parametrize(
    ("failure", "reason"), [(RefusedError("full", "log_full"), "log_full"), (ValueError("ours"), "failure")]
)
async def test_whatever_fails_on_our_side_is_unavailable_and_says_when_to_come_back(failure, reason):
    """Collectors drop for good on 500."""
    async with client() as receiver:
        receiver.kept.error = failure
        response = await post(receiver, TRACES)

        assert (response.status_code, response.headers["retry-after"]) == (503, "2")
        assert Status.FromString(response.content).code == code_pb2.UNAVAILABLE
        assert refused(receiver, reason) == 1


@pytest.mark.parametrize("kind", [PROTOBUF, "application/json"])
async def test_a_corrupt_snapshot_is_a_partial_success(kind):
    """In the body of a 200, in the encoding of the request."""
    bad = Producer().snapshot(numeric("amount", [1.0]))
    body = logs_request(snapshot_record(bad, checksum=1), text_record()).SerializeToString()
    async with client() as receiver:
        if kind == PROTOBUF:
            response = await post(receiver, body, "/v1/logs")
            told = ExportLogsServiceResponse.FromString(response.content).partial_success
            found = told.rejected_log_records, told.error_message
        else:
            record = {"eventName": semconv.EVENT_SKETCH_SNAPSHOT, "body": {"stringValue": "snapshot"}}
            request = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, {"body": {"stringValue": "hello"}}]}]}]}
            response = await post(receiver, json.dumps(request).encode(), "/v1/logs", kind)
            told = response.json()["partialSuccess"]
            found = int(told["rejectedLogRecords"]), told["errorMessage"]

        reason = "wrong_checksum" if kind == PROTOBUF else "missing_payload"
        assert response.status_code == 200
        assert found == (1, f"unreadable snapshots: 1 {reason}")
        assert receiver.kept.requests[0].items == 1


async def test_other_paths_methods_and_types_are_told_apart():
    """404, 405 with what is allowed, 415."""
    async with client([Signal.TRACES]) as receiver:
        answers = [
            await post(receiver, TRACES, "/v1/logs"),
            await post(receiver, TRACES, "/"),
            await receiver.web.get("/v1/traces"),
            await post(receiver, TRACES, kind="text/plain"),
            await post(receiver, TRACES, content_encoding="br"),
        ]

        assert [answer.status_code for answer in answers] == [404, 404, 405, 415, 415]
        assert answers[2].headers["allow"] == "POST"
        assert "supported: gzip, deflate, zstd, identity" in Status.FromString(answers[4].content).message
        assert refused(receiver, "unsupported") == 2


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
async def test_a_bomb_is_stopped_at_the_limit_and_counted(encoding):
    """What claims to be a quarter of a gigabyte costs no more than the largest request."""
    packed = bomb(encoding, 256)
    async with client(settings={"max_request_body_size_mib": 8}) as receiver:
        with memory_bounded(mebibytes=64):
            response = await post(receiver, packed, content_encoding=encoding)

        assert response.status_code == 413
        assert refused(receiver, "too_large") == 1


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_beyond_the_limit_is_refused_while_it_is_read(declared):
    """By its length where it is told, and otherwise as soon as too much has come."""

    async def chunks():
        for _ in range(40):
            yield bytes(64 * 1024)

    async with client(settings={"max_request_body_size_mib": 1}) as receiver:
        response = await post(receiver, bytes(40 * 64 * 1024) if declared else chunks())

        assert response.status_code == 413
        assert refused(receiver, "too_large") == 1
        assert (await post(receiver, TRACES)).status_code == 200


async def test_all_bodies_together_are_bounded():
    """Four times the largest one; who comes then, comes again. Gone with their clients, there is room."""
    async with client(settings={"max_request_body_size_mib": 1}) as receiver:
        clients = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(HEAD + b"content-length: 1000000\r\n\r\n" + bytes(900_000))
            clients.append((reader, writer))
        await until(lambda: refused(receiver, "receiving") == 1)
        for _, writer in clients:
            writer.transport.abort()
        await until(lambda: refused(receiver, "unread") == 4)

        assert (await post(receiver, TRACES)).status_code == 200


async def test_a_name_is_listened_on_in_all_its_addresses():
    """Clients choose between those of "localhost" as they like."""
    async with receiving("http", settings={"endpoint": "localhost:0"}) as receiver:
        _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.close()


async def test_an_upload_in_chunks_is_put_together():
    """As clients send what they compress on the way."""
    body = traces_request(spans=3000).SerializeToString()

    async def chunks():
        for start in range(0, len(body), 1000):
            yield body[start : start + 1000]

    async with client() as receiver:
        response = await post(receiver, chunks())

        assert response.status_code == 200
        assert receiver.kept.requests[0].body == body


@pytest.mark.parametrize("line", [b"x-long: " + b"x" * 500, b"x-short: y\r\n", b"/path"])
async def test_a_header_without_end_is_not_collected(line):
    """64 KiB are enough for anybody, in one line or in many."""
    async with client() as receiver:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(b"POST /" if line == b"/path" else HEAD)
        sending = asyncio.create_task(_send_for_ever(writer, line))
        # What the server had not read when it closed may erase the answer on its way.
        with contextlib.suppress(ConnectionError):
            answer = await asyncio.wait_for(reader.read(), 20)
            assert answer.startswith(b"HTTP/1.1 400 Bad Request")
        sending.cancel()
        writer.transport.abort()

        assert refused(receiver, "not_http") == 1


async def _send_for_ever(writer, line):
    with contextlib.suppress(ConnectionError):
        while True:
            writer.write(line * 10)
            await writer.drain()
            await asyncio.sleep(0)


@pytest.mark.parametrize("said", [b"", HEAD, HEAD + b"content-length: 100\r\n\r\nabc"])
async def test_a_client_that_takes_for_ever_is_cut_off(said):
    """Whether it says nothing at all, half of a header, or half of a body."""
    async with client(settings={"read_timeout": "200ms"}) as receiver:
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        writer.write(said)

        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        assert (await post(receiver, TRACES)).status_code == 200


async def test_slow_work_of_ours_is_not_taken_for_a_slow_client():
    """The clock stops once a request has come; also for the next one behind it on the same connection."""
    async with client(settings={"read_timeout": "200ms"}) as receiver:
        receiver.kept.may_go_on.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        head = (
            f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {len(TRACES)}\r\n\r\n"
        )
        writer.write((head.encode() + TRACES) * 2)
        await asyncio.sleep(0.7)
        receiver.kept.may_go_on.set()
        answers = [await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20) for _ in range(2)]
        writer.close()

        assert [answer.split(b"\r\n")[0] for answer in answers] == [b"HTTP/1.1 200 OK"] * 2


async def test_connections_beyond_the_limit_are_told_to_come_again():
    """And counted; those that are there go on."""
    async with client(settings={"max_connections": 2}) as receiver:
        held = [await asyncio.open_connection("127.0.0.1", receiver.port) for _ in range(2)]
        await until(lambda: len(receiver.receiver._server._server.server_state.connections) == 2)
        reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        for _, other in held:
            other.close()

        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\n")
        assert refused(receiver, "connections") == 1


async def test_a_client_that_leaves_in_the_middle_harms_nobody():
    """Of a body or of an answer."""
    async with client() as receiver:
        head = (
            f"POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: {PROTOBUF}\r\ncontent-length: {len(TRACES)}\r\n\r\n"
        )
        for said in (head.encode() + TRACES[:5], head.encode() + TRACES):
            _, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(said)
            await writer.drain()
            writer.transport.abort()
        await until(lambda: receiver.kept.requests and refused(receiver, "unread"))

        assert (await post(receiver, TRACES)).status_code == 200
        assert receiver.telemetry.total(semconv.PROCESSOR_ERRORS) == 0


@settings(max_examples=8)
@given(noise=st.binary(max_size=2000), cut=st.integers(1, 200))
def test_random_and_truncated_bytes_are_refused_or_taken_and_never_a_failure_of_ours(noise, cut):
    """As bodies in every encoding, and in place of HTTP."""

    async def run():
        async with client() as receiver:
            for encoding, pack in PACK.items():
                for kind in (PROTOBUF, "application/json"):
                    for sent in (noise, pack(TRACES)[:-cut], pack(noise)):
                        response = await post(receiver, sent, kind=kind, content_encoding=encoding)
                        assert response.status_code in (200, 400), response.content
            reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(noise)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 20)
            writer.close()
            assert (await post(receiver, TRACES)).status_code == 200
            assert receiver.telemetry.total(semconv.PROCESSOR_ERRORS) == 0

    asyncio.run(run())


async def test_two_hundred_clients_at_a_time_are_all_served():
    """Over a connection each."""
    async with client() as receiver:

        async def send(number):
            body = traces_request(spans=1 + number).SerializeToString()
            reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
            writer.write(HEAD + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
            answer = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            return answer.split(b"\r\n")[0]

        answers = await asyncio.gather(*(send(number) for number in range(200)))

        assert answers == [b"HTTP/1.1 200 OK"] * 200
        assert sorted(kept.items for kept in receiver.kept.requests) == list(range(1, 201))


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
async def test_the_exporter_of_the_python_sdk_is_served(compression):
    """A client that is not ours."""
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("predict")
    span.end()
    async with receiving("http") as receiver:
        exporter = OTLPSpanExporter(f"http://{receiver.address}/v1/traces", compression=compression)
        try:
            result = await asyncio.to_thread(exporter.export, [span])
        finally:
            await asyncio.to_thread(exporter.shutdown)

        assert result is SpanExportResult.SUCCESS
        assert receiver.kept.requests[0].items == 1


async def test_a_token_is_asked_for_before_anything_is_read(tmp_path):
    """Missing or wrong: 401, what is asked for, and counted."""
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    async with client(settings={"auth": {"bearer_token_file": str(file)}}) as receiver:
        answers = [
            await post(receiver, TRACES, **headers)
            for headers in ({"authorization": "bearer s3cret"}, {}, {"authorization": "Bearer s3cre"})
        ]

        assert [answer.status_code for answer in answers] == [200, 401, 401]
        assert answers[1].headers["www-authenticate"] == "Bearer"
        assert refused(receiver, "unauthenticated") == 2


async def test_a_certificate_is_asked_of_clients_when_authorities_are_named(tmp_path):
    """One of theirs is let in; none, or one of somebody else's, does not get as far as a request."""
    ours, others = Authority(tmp_path), Authority(tmp_path, "others")
    tls = {**ours.issue(), "client_ca_file": str(ours.file)}
    async with receiving("http", settings={"tls": tls}) as receiver:
        answers = []
        for authority in (ours, others, None):
            context = ssl.create_default_context(cafile=str(ours.file))
            if authority is not None:
                pair = authority.issue(into="client")
                context.load_cert_chain(pair["cert_file"], pair["key_file"])
            async with httpx.AsyncClient(verify=context, trust_env=False) as web:
                try:
                    sent = web.post(
                        f"https://localhost:{receiver.port}/v1/traces",
                        content=TRACES,
                        headers={"content-type": PROTOBUF},
                    )
                    answers.append((await sent).status_code)
                except (httpx.TransportError, ssl.SSLError):
                    answers.append(None)

        assert answers == [200, None, None]


async def test_a_renewed_certificate_is_taken_up_without_a_restart(tmp_path, monkeypatch):
    """New connections see it; files that do not fit each other leave the old one in use."""
    monkeypatch.setattr("collector_processor.security._RENEWAL_S", 0.01)
    first, second = Authority(tmp_path), Authority(tmp_path, "second")
    async with receiving("http", settings={"tls": first.issue()}) as receiver:

        async def reaches(authority):
            context = ssl.create_default_context(cafile=str(authority.file))
            try:
                _, writer = await asyncio.open_connection("localhost", receiver.port, ssl=context)
            except ssl.SSLError:
                return False
            writer.close()
            return True

        before = await reaches(first), await reaches(second)
        second.issue()
        for _ in range(1000):
            if await reaches(second):
                break
            await asyncio.sleep(0.01)

        assert before == (True, False)
        assert await reaches(second)


async def test_a_taken_port_is_a_clear_error():
    """Where it is configured, what was tried, and what the system says."""
    async with receiving("http") as receiver:
        with pytest.raises(
            StartError, match=r"receivers::otlp::protocols::http::endpoint: .*[Aa]ddress already in use"
        ):
            async with receiving("http", settings={"endpoint": receiver.address}):
                pass


async def test_shutdown_finishes_what_runs():
    """And closes the connections that wait for their next request."""
    async with client() as receiver:
        assert (await post(receiver, TRACES)).status_code == 200
        receiver.kept.may_go_on.clear()
        running = [asyncio.create_task(post(receiver, TRACES)) for _ in range(5)]
        await until(lambda: receiver.kept.waiting == 5)
        stopping = asyncio.create_task(receiver.receiver.shutdown(60.0))
        await asyncio.sleep(0.05)
        receiver.kept.may_go_on.set()

        assert [answer.status_code for answer in await asyncio.gather(*running)] == [200] * 5
        await asyncio.wait_for(stopping, 20)
        with pytest.raises(httpx.ConnectError):
            await post(receiver, TRACES)


async def test_what_is_not_finished_in_time_has_to_come_again():
    """Not 500, on which a Collector would drop it."""
    async with client() as receiver:
        receiver.kept.may_go_on.clear()
        running = asyncio.create_task(post(receiver, TRACES))
        await until(lambda: receiver.kept.waiting)
        await receiver.receiver.shutdown(0.1)

        assert (await running).status_code == 503

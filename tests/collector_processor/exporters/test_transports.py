"""On the wire: headers, compression, encryption, and what the answers of a backend mean."""

import asyncio
import gzip
import ssl

import grpc
import pytest
import trustme
from forwarding import FAST_RETRY, GrpcBackend, HttpBackend, entry, forwarding, until
from google.rpc.status_pb2 import Status
from otlp_sink import OtlpSink

from collector_processor.component import Signal
from collector_processor.errors import PermanentError, RetryableError, UnauthorizedError
from collector_processor.exporters.grpc_transport import GrpcTransport
from collector_processor.exporters.http_transport import HttpTransport
from collector_processor.exporters.settings import OtlpGrpcSettings, OtlpHttpSettings
from otel_ml import semconv

BODY = entry().body


@pytest.fixture
def authority(tmp_path):
    """Who signs certificates, with its own in `ca.pem`, and ours in `client.pem` and `client.key`."""
    found = trustme.CA()
    found.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = found.issue_cert("client")
    client.private_key_pem.write_to_path(tmp_path / "client.key")
    client.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
    return found


def grpc_server_credentials(authority, *, asks_for_ours):
    server = authority.issue_cert("localhost")
    chain = b"".join(blob.bytes() for blob in server.cert_chain_pems)
    roots = authority.cert_pem.bytes() if asks_for_ours else None
    return grpc.ssl_server_credentials([(server.private_key_pem.bytes(), chain)], roots, asks_for_ours)


def http_server_context(authority, *, asks_for_ours):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    if asks_for_ours:
        context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(context)
    return context


def tls(directory, *, with_ours=True):
    ours = {"cert_file": str(directory / "client.pem"), "key_file": str(directory / "client.key")}
    return {"ca_file": str(directory / "ca.pem"), **(ours if with_ours else {})}


async def test_headers_and_gzip_are_sent_over_grpc():
    """As a vendor's endpoint asks for."""
    with OtlpSink() as sink:
        async with forwarding(sink.endpoint, headers={"X-Token": "t"}, compression="gzip") as to:
            await to.add(entry(items=2))
            await until(lambda: to.forwarded == 2)

        assert sink.metadata[0]["x-token"] == "t"


@pytest.mark.parametrize("asks_for_ours", [False, True])
async def test_grpc_is_encrypted_both_sides_known(authority, tmp_path, asks_for_ours):
    """Their certificate is checked against `ca_file`, and ours is shown."""
    with GrpcBackend(credentials=grpc_server_credentials(authority, asks_for_ours=asks_for_ours)) as backend:
        async with forwarding(backend.endpoint, tls=tls(tmp_path, with_ours=asks_for_ours)) as to:
            await to.add(entry())
            await until(lambda: to.forwarded == 1)

        assert len(backend.taken) == 1


@pytest.mark.parametrize("asks_for_ours", [False, True])
async def test_http_is_encrypted_both_sides_known(authority, tmp_path, asks_for_ours):
    """The same settings."""
    backend = HttpBackend()
    backend.encrypt(http_server_context(authority, asks_for_ours=asks_for_ours))
    with backend:
        async with forwarding(backend.endpoint, http=True, tls=tls(tmp_path, with_ours=asks_for_ours)) as to:
            await to.add(entry())
            await until(lambda: to.forwarded == 1)

        assert len(backend.received) == 1


@pytest.mark.parametrize("http", [False, True])
async def test_a_backend_that_nobody_vouches_for_gets_nothing(authority, tmp_path, http):
    """Data waits rather than goes to a stranger."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    backend = (
        HttpBackend() if http else GrpcBackend(credentials=grpc_server_credentials(authority, asks_for_ours=False))
    )
    if http:
        backend.encrypt(http_server_context(authority, asks_for_ours=False))
    with backend:
        settings = {"tls": tls(tmp_path, with_ours=False), "timeout": "2s", "shutdown_s": 0.1}
        async with forwarding(backend.endpoint, http=http, **settings) as to:
            await to.add(entry())
            await until(lambda: to.total(semconv.PROCESSOR_RETRIES) >= 2)
            assert to.exporter.pending(Signal.LOGS) == 1

        assert (backend.received if http else backend.taken) == []


async def test_a_request_arrives_over_http():
    """Protobuf, at the endpoint's path and the signal's own."""
    with HttpBackend() as backend:
        async with forwarding(f"{backend.endpoint}/otlp/", http=True, headers={"X-Token": "t"}) as to:
            await to.add(entry(items=2))
            await until(lambda: to.forwarded == 2)

        ((path, headers, body),) = backend.received
        assert (path, body) == ("/otlp/v1/logs", entry(items=2).body)
        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["X-Token"] == "t"


async def test_http_bodies_are_compressed_on_demand():
    """For links that are paid by the byte."""
    with HttpBackend() as backend:
        async with forwarding(backend.endpoint, http=True, compression="gzip") as to:
            await to.add(entry())
            await until(lambda: to.forwarded == 1)

        ((_, headers, body),) = backend.received
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(body) == BODY


async def test_http_backends_are_asked_again_when_they_say_so():
    """429, 502, 503 and 504 are retryable, after Retry-After if given."""
    with HttpBackend() as backend:
        backend.answers = [(503, {}, b""), (429, {"Retry-After": "0"}, b""), (502, {}, b""), (504, {}, b"")]
        async with forwarding(backend.endpoint, http=True) as to:
            await to.add(entry(items=2))
            await until(lambda: to.forwarded == 2)

        assert len(backend.received) == 1


async def test_http_rejections_are_permanent():
    """400 stays 400."""
    with HttpBackend() as backend:
        backend.answers = [(400, {}, b"bad")]
        async with forwarding(backend.endpoint, http=True) as to:
            await to.add(entry(items=2))
            await until(lambda: to.dropped("rejected_by_backend") == 2)


CODES = grpc.StatusCode


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, RetryableError) for code in (CODES.CANCELLED, CODES.DEADLINE_EXCEEDED, CODES.ABORTED)),
        *((code, RetryableError) for code in (CODES.OUT_OF_RANGE, CODES.UNAVAILABLE, CODES.DATA_LOSS)),
        *((code, UnauthorizedError) for code in (CODES.UNAUTHENTICATED, CODES.PERMISSION_DENIED)),
        *((code, PermanentError) for code in (CODES.INVALID_ARGUMENT, CODES.INTERNAL, CODES.UNKNOWN)),
        *((code, PermanentError) for code in (CODES.RESOURCE_EXHAUSTED, CODES.UNIMPLEMENTED, CODES.NOT_FOUND)),
        *((code, PermanentError) for code in (CODES.FAILED_PRECONDITION, CODES.ALREADY_EXISTS)),
    ],
)
async def test_each_grpc_status_has_its_meaning(code, kind):
    """As in the table of the OTLP specification, but data waits while we are not let in."""
    with GrpcBackend(lambda *_: (code, "because")) as backend:
        transport = GrpcTransport(OtlpGrpcSettings.model_validate({"endpoint": backend.endpoint}))
        with pytest.raises(kind, match=f"{code.name}: because"):
            await transport.send(Signal.LOGS, BODY)
        await transport.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((status, RetryableError) for status in (429, 502, 503, 504)),
        *((status, UnauthorizedError) for status in (401, 403)),
        *((status, PermanentError) for status in (301, 400, 404, 405, 413, 415, 422, 500, 501)),
    ],
)
async def test_each_http_status_has_its_meaning(status, kind):
    """And what the backend says to it is passed on."""
    with HttpBackend() as backend:
        backend.always = (status, {}, b"because\n of it")
        transport = HttpTransport(OtlpHttpSettings.model_validate({"endpoint": backend.endpoint}))
        with pytest.raises(kind, match=f"/v1/logs: HTTP {status}: because of it$"):
            await transport.send(Signal.LOGS, BODY)
        await transport.close()


async def test_a_status_message_is_understood():
    """OTLP backends answer with a google.rpc.Status."""
    with HttpBackend() as backend:
        answer = Status(message="record 3 has no time").SerializeToString()
        backend.always = (400, {"Content-Type": "application/x-protobuf"}, answer)
        transport = HttpTransport(OtlpHttpSettings.model_validate({"endpoint": backend.endpoint}))
        with pytest.raises(PermanentError, match="HTTP 400: record 3 has no time"):
            await transport.send(Signal.LOGS, BODY)
        await transport.close()


@pytest.mark.parametrize("http", [False, True])
async def test_a_backend_that_never_answers_is_given_up_after_the_timeout(http):
    """And asked again: what it did with the request is not known."""
    released = asyncio.Event()

    async def silent(reader, writer):
        await released.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    kind, transport = (OtlpHttpSettings, HttpTransport) if http else (OtlpGrpcSettings, GrpcTransport)
    sender = transport(kind.model_validate({"endpoint": endpoint, "timeout": "200ms"}))
    with pytest.raises(RetryableError):
        await sender.send(Signal.LOGS, BODY)

    released.set()
    await sender.close()
    server.close()
    await server.wait_closed()


async def test_certificates_that_vanish_are_waited_for(authority, tmp_path):
    """They were there when the configuration was checked; whoever renews them may be at it."""
    with GrpcBackend(credentials=grpc_server_credentials(authority, asks_for_ours=False)) as backend:
        settings = OtlpGrpcSettings.model_validate(
            {"endpoint": backend.endpoint, "tls": tls(tmp_path), "retry_on_failure": FAST_RETRY}
        )
        (tmp_path / "ca.pem").rename(tmp_path / "away.pem")
        transport = GrpcTransport(settings)
        with pytest.raises(RetryableError, match=r"ca\.pem"):
            await transport.send(Signal.LOGS, BODY)
        (tmp_path / "away.pem").rename(tmp_path / "ca.pem")
        assert await transport.send(Signal.LOGS, BODY) == 0
        await transport.close()

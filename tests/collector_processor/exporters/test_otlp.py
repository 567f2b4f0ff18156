"""Patience with backends: what is taken leaves or is counted, and a full queue says so."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from otlp_sink import OtlpSink
from processor_samples import logs_request, text_record

from collector_processor.component import Request, Signal
from collector_processor.errors import RefusedError
from collector_processor.exporters.grpc_transport import GrpcTransport
from collector_processor.exporters.http_transport import HttpTransport
from collector_processor.exporters.otlp import OtlpExporter, OtlpGrpcSettings, OtlpHttpSettings
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv

FAST_RETRY = {"initial_interval": "20ms", "max_interval": "50ms"}


def request(items=2, *, own=False):
    body = logs_request(*(text_record(str(index)) for index in range(items))).SerializeToString()
    return Request(Signal.LOGS, body, items, own=own)


@asynccontextmanager
async def grpc_exporter(endpoint, *, shutdown_s=5.0, **settings):
    settings = OtlpGrpcSettings.model_validate(
        {"endpoint": endpoint, "tls": {"insecure": True}, "retry_on_failure": FAST_RETRY, **settings}
    )
    exporter = OtlpExporter("backend", settings, GrpcTransport(settings), SelfTelemetry())
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.shutdown(shutdown_s)


@asynccontextmanager
async def http_exporter(endpoint, **settings):
    settings = OtlpHttpSettings.model_validate({"endpoint": endpoint, "retry_on_failure": FAST_RETRY, **settings})
    exporter = OtlpExporter("backend", settings, HttpTransport(settings), SelfTelemetry())
    await exporter.start()
    try:
        yield exporter
    finally:
        await exporter.shutdown(5.0)


async def until(condition, patience_s=20.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        await asyncio.sleep(0.01)


class HttpBackend:
    """A real HTTP server that answers as told and keeps what it is sent."""

    def __init__(self):
        self.answers = []
        self.received = []
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, headers, answer = backend.answers.pop(0) if backend.answers else (200, {}, b"")
                if status == 200:
                    backend.received.append((self.path, dict(self.headers), body))
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(answer))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def forwarded(exporter):
    return exporter._telemetry.total(semconv.PROCESSOR_FORWARDED)


def dropped(exporter, reason):
    return exporter._telemetry.total(semconv.PROCESSOR_DROPPED, drop_reason=reason)


async def test_a_request_arrives_over_grpc():
    """The bytes are those that were given."""
    with OtlpSink() as sink:
        async with grpc_exporter(sink.endpoint) as exporter:
            sent = request()
            await exporter.consume(sent)
            await until(lambda: forwarded(exporter) == 2)

        assert [received.SerializeToString() for received in sink.logs] == [sent.body]


async def test_headers_and_gzip_are_sent_over_grpc():
    """As a vendor's endpoint asks for."""
    with OtlpSink() as sink:
        async with grpc_exporter(sink.endpoint, headers={"X-Token": "t"}, compression="gzip") as exporter:
            await exporter.consume(request())
            await until(lambda: forwarded(exporter) == 2)

        assert sink.metadata[0]["x-token"] == "t"


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])
async def test_a_backend_that_refuses_is_asked_again_until_it_takes(code):
    """An outage of a backend loses nothing."""
    with OtlpSink() as sink:
        sink.fail_with(code)
        async with grpc_exporter(sink.endpoint) as exporter:
            await exporter.consume(request())
            await until(lambda: sink.calls >= 3)
            assert exporter.pending(Signal.LOGS) == 2
            sink.recover()
            await until(lambda: forwarded(exporter) == 2)

        assert len(sink.logs) == 1
        assert exporter.pending(Signal.LOGS) == 0


async def test_a_backend_that_is_not_there_yet_is_found_when_it_comes():
    """The order in which things are started does not matter."""
    with OtlpSink() as sink:
        sink.refuse()
        async with grpc_exporter(sink.endpoint) as exporter:
            await exporter.consume(request())
            await until(lambda: exporter._telemetry.total(semconv.PROCESSOR_RETRIES) >= 2)
            await asyncio.to_thread(sink.recover)
            await until(lambda: forwarded(exporter) == 2)

        assert len(sink.logs) == 1


async def test_resource_exhausted_is_retried_only_when_the_backend_says_when_to_come_back():
    """That is how OTLP tells a busy backend from a message that is too big."""
    with OtlpSink() as sink:
        async with grpc_exporter(sink.endpoint) as exporter:
            sink.fail_with(grpc.StatusCode.RESOURCE_EXHAUSTED)
            await exporter.consume(request())
            await until(lambda: dropped(exporter, "rejected_by_backend") == 2)
            sink.fail_with(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.01)
            await exporter.consume(request())
            await until(lambda: exporter._telemetry.total(semconv.PROCESSOR_RETRIES) >= 1)
            sink.recover()
            await until(lambda: forwarded(exporter) == 2)


async def test_what_a_backend_will_never_take_is_dropped_and_counted():
    """Trying again would block everything behind it."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.INVALID_ARGUMENT)
        async with grpc_exporter(sink.endpoint) as exporter:
            await exporter.consume(request(5))
            await until(lambda: dropped(exporter, "rejected_by_backend") == 5)

        assert sink.calls == 1


async def test_patience_can_be_bounded():
    """As `max_elapsed_time` says."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        retry = {**FAST_RETRY, "max_elapsed_time": "100ms"}
        async with grpc_exporter(sink.endpoint, retry_on_failure=retry) as exporter:
            await exporter.consume(request())
            await until(lambda: dropped(exporter, "retries_exhausted") == 2)


async def test_a_full_queue_refuses_what_is_received():
    """The client keeps it and comes back; nothing is lost."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        async with grpc_exporter(sink.endpoint, sending_queue={"queue_size": 3}, shutdown_s=0.05) as exporter:
            for _ in range(3):
                await exporter.consume(request())

            with pytest.raises(RefusedError, match="queue is full"):
                await exporter.consume(request())
            assert exporter.pending(Signal.LOGS) == 6

        assert dropped(exporter, "shutdown") == 6


async def test_the_queue_is_bounded_in_bytes_too():
    """A thousand small requests may wait, a thousand large ones may not."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        settings = {"queue_size_mib": 1, "num_consumers": 1}
        async with grpc_exporter(sink.endpoint, sending_queue=settings, shutdown_s=0.05) as exporter:
            large = Request(Signal.LOGS, bytes(700_000), 1)
            await exporter.consume(large)

            await exporter.consume(request())
            with pytest.raises(RefusedError):
                await exporter.consume(large)


async def test_alerts_find_room_in_a_full_queue():
    """They matter most when a backend is in trouble; and they never refuse anyone."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        async with grpc_exporter(sink.endpoint, sending_queue={"queue_size": 1}) as exporter:
            await exporter.consume(request())
            await exporter.consume(request(own=True))
            sink.recover()
            await until(lambda: len(sink.logs) == 2)


async def test_shutdown_sends_what_waits():
    """SIGTERM does not lose the last minute."""
    with OtlpSink() as sink:
        async with grpc_exporter(sink.endpoint) as exporter:
            for _ in range(20):
                await exporter.consume(request())

        assert len(sink.logs) == 20
        assert forwarded(exporter) == 40


async def test_a_request_arrives_over_http():
    """Protobuf, at the endpoint's path and the signal's own."""
    with HttpBackend() as backend:
        async with http_exporter(f"{backend.endpoint}/otlp/", headers={"X-Token": "t"}) as exporter:
            sent = request()
            await exporter.consume(sent)
            await until(lambda: forwarded(exporter) == 2)

        ((path, headers, body),) = backend.received
        assert (path, body) == ("/otlp/v1/logs", sent.body)
        assert headers["Content-Type"] == "application/x-protobuf"
        assert headers["X-Token"] == "t"


async def test_http_backends_are_asked_again_when_they_say_so():
    """429, 502, 503 and 504 are retryable, after Retry-After if given."""
    with HttpBackend() as backend:
        backend.answers = [(503, {}, b""), (429, {"Retry-After": "0"}, b""), (502, {}, b"")]
        async with http_exporter(backend.endpoint) as exporter:
            await exporter.consume(request())
            await until(lambda: forwarded(exporter) == 2)

        assert len(backend.received) == 1


async def test_http_rejections_are_permanent():
    """400 stays 400."""
    with HttpBackend() as backend:
        backend.answers = [(400, {}, b"bad")]
        async with http_exporter(backend.endpoint) as exporter:
            await exporter.consume(request())
            await until(lambda: dropped(exporter, "rejected_by_backend") == 2)


async def test_partial_success_of_a_backend_is_counted_as_dropped():
    """Taken is not kept."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 1
    with HttpBackend() as backend:
        backend.answers = [(200, {}, response.SerializeToString())]
        async with http_exporter(backend.endpoint) as exporter:
            await exporter.consume(request(3))
            await until(lambda: forwarded(exporter) == 2)

        assert dropped(exporter, "rejected_by_backend") == 1

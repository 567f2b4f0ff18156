"""OTLP over gRPC, in.

Clients decide by the status whether they send again. The Collector drops for good on UNKNOWN, INTERNAL and a bare
RESOURCE_EXHAUSTED, so whatever goes wrong on our side is UNAVAILABLE, with a RetryInfo in the two places where clients
look for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import UNAVAILABLE  # type: ignore[import-untyped]  # has no stubs
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # has no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no stubs
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from collector_processor.component import Signal
from collector_processor.errors import StartError
from collector_processor.receivers.decompression import decompress
from collector_processor.receivers.exports import RETRY_DELAY_S, Exports, RejectedError, Verdict
from collector_processor.receivers.settings import GrpcSettings
from collector_processor.security import BearerToken, Certificates, read_token
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address

_SERVICES: Final = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
_CODES: Final = {
    Verdict.UNDECODABLE: grpc.StatusCode.INVALID_ARGUMENT,
    Verdict.UNAUTHENTICATED: grpc.StatusCode.UNAUTHENTICATED,
    # Without a RetryInfo it is final, which is what OTLP has for requests that will never fit.
    Verdict.TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Verdict.UNSUPPORTED: grpc.StatusCode.UNIMPLEMENTED,
    Verdict.UNREAD: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Verdict.TRY_AGAIN: grpc.StatusCode.UNAVAILABLE,
}
_RETRY_INFO: Final = RetryInfo(
    retry_delay=Duration(seconds=int(RETRY_DELAY_S), nanos=int(RETRY_DELAY_S % 1 * 1_000_000_000))
)
_UNREAD: Final = "nothing came: the client left, or the request is larger than the limit as it stands"
# Those who watch the health never finish by themselves.
_WATCHERS_GRACE_S: Final = 0.5

# How gRPC marks a compressed message does not reach a handler. An OTLP request begins with 0x0a, the tag of its only
# field, or is empty; neither of these is a tag of a field that OTLP has. Other encodings gRPC refuses by itself.
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZLIB_METHOD: Final = 0x78

Context = grpc.aio.ServicerContext[Any, Any]


class OtlpGrpcReceiver:
    """A gRPC server that hands what it receives to `exports`; signals that are not received are UNIMPLEMENTED.

    Args:
        name: How the configuration calls it.
    """

    protocol = "OTLP/gRPC"

    def __init__(self, name: str, settings: GrpcSettings, exports: Exports, telemetry: SelfTelemetry) -> None:
        self._path = f"receivers::{name}::protocols::grpc"
        self._settings = settings
        self._exports = exports
        self._telemetry = telemetry
        self._limit = settings.max_recv_msg_size_mib * 1024 * 1024
        self._token: BearerToken | None = None
        self._server: grpc.aio.Server | None = None
        self._health: Any = health.aio.HealthServicer()  # type: ignore[attr-defined]  # unknown to the stubs
        self._running = 0
        self._idle = asyncio.Event()
        self.address: Address | None = None
        """The bound address, once started."""

    async def start(self) -> None:
        """Receive from now on.

        Raises:
            StartError: The address cannot be bound, or what names certificates or a token cannot be used.
        """
        credentials = self._credentials()
        server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers(
            tuple(
                # A unary call for clients. Served as a stream of one message, it can be judged before it is read, and
                # a message that gRPC itself throws away does not go unnoticed.
                grpc.method_handlers_generic_handler(
                    _SERVICES[signal], {"Export": grpc.stream_unary_rpc_method_handler(self._handler(signal))}
                )
                for signal in self._exports.signals
            )
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        endpoint = self._settings.endpoint
        try:
            if credentials is None:
                port = server.add_insecure_port(str(endpoint))
            else:
                port = server.add_secure_port(str(endpoint), credentials)
        except RuntimeError:
            port = 0
        if not port:
            await server.stop(None)
            raise StartError(f"{self._path}::endpoint: cannot listen on {str(endpoint)!r}: {_why_not_bound(endpoint)}")
        await server.start()
        for signal in self._exports.signals:
            await self._health.set(_SERVICES[signal], health_pb2.HealthCheckResponse.SERVING)
        self._server = server
        self.address = Address(endpoint.host, port)

    async def set_ready(self, *, ready: bool) -> None:
        """Tell those who ask for its health whether the service can be used."""
        serving = health_pb2.HealthCheckResponse
        for name in ("", *(_SERVICES[signal] for signal in self._exports.signals)):
            await self._health.set(name, serving.SERVING if ready else serving.NOT_SERVING)

    async def drain(self) -> None:
        """Tell those who ask for its health to go elsewhere; what comes is still taken."""
        await self._health.enter_graceful_shutdown()

    async def shutdown(self, timeout_s: float) -> None:
        """Refuse new requests and finish those that are running."""
        if self._server is None:
            return
        server, self._server = self._server, None
        await self._health.enter_graceful_shutdown()
        stopping = asyncio.create_task(server.stop(timeout_s))
        if self._running:
            self._idle.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._idle.wait(), timeout_s)
        await server.stop(min(timeout_s, _WATCHERS_GRACE_S))
        await stopping

    def _credentials(self) -> grpc.ServerCredentials | None:
        auth, tls = self._settings.auth, self._settings.tls
        try:
            if auth is not None:
                self._token = BearerToken(read_token(auth.bearer_token, auth.bearer_token_file))
            return None if tls is None else Certificates.of(tls).grpc_credentials()
        except (OSError, ValueError) as error:
            raise StartError(f"{self._path}: {error} (see --validate)") from error

    def _options(self) -> list[tuple[str, int]]:
        keepalive = self._settings.keepalive
        options = [
            ("grpc.max_receive_message_length", self._limit),
            # Whether gRPC bounds what it inflates depends on its version; what we inflate is bounded, and counted.
            ("grpc.per_message_decompression", 0),
            ("grpc.max_concurrent_streams", self._settings.max_concurrent_streams),
            # Two processors on one port would each see half of the snapshots.
            ("grpc.so_reuseport", 0),
            # Collectors behind load balancers ping idle connections; grpc would answer with GOAWAY.
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(keepalive.min_time)),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.keepalive_time_ms", _ms(keepalive.time)),
            ("grpc.keepalive_timeout_ms", _ms(keepalive.timeout)),
        ]
        if keepalive.max_connection_age:
            options += [
                ("grpc.max_connection_age_ms", _ms(keepalive.max_connection_age)),
                ("grpc.max_connection_age_grace_ms", _ms(keepalive.max_connection_age_grace)),
            ]
        return options

    def _handler(self, signal: Signal) -> Callable[[AsyncIterator[bytes], Context], Awaitable[bytes]]:
        async def handle(_: AsyncIterator[bytes], context: Context) -> bytes:
            async def read() -> bytes:
                if self._token is not None and not self._token.admits(_authorization(context)):
                    raise RejectedError(Verdict.UNAUTHENTICATED, "authorization: a bearer token of ours is needed")
                body = await context.read()
                if not isinstance(body, bytes):
                    raise RejectedError(Verdict.UNREAD, _UNREAD)
                encoding = _encoding(body)
                return await decompress(encoding, body, self._limit) if encoding else body

            self._running += 1
            try:
                outcome = await self._exports.answer(signal, read)
                if outcome.verdict is Verdict.TAKEN:
                    return outcome.response
                trailers = _retry_trailers(outcome.message) if outcome.verdict is Verdict.TRY_AGAIN else ()
                await context.abort(_CODES[outcome.verdict], outcome.message, trailers)
                raise AssertionError("abort does not return")
            finally:
                self._running -= 1
                if not self._running:
                    self._idle.set()

        return handle


def _authorization(context: Context) -> bytes | str | None:
    for key, value in context.invocation_metadata() or ():
        if key == "authorization":
            return value
    return None


def _encoding(body: bytes) -> str:
    """How a message is compressed; empty where it is not."""
    if body.startswith(b"\x0a"):
        return ""
    if body.startswith(_GZIP_MAGIC):
        return "gzip"
    if len(body) >= 2 and body[0] == _ZLIB_METHOD and int.from_bytes(body[:2], "big") % 31 == 0:
        return "deflate"
    return ""


def _retry_trailers(message: str) -> tuple[tuple[str, bytes], ...]:
    """When to come back, for Go's clients in the status details and for Python's in a trailer of its own."""
    status = Status(code=UNAVAILABLE, message=message)
    status.details.add().Pack(_RETRY_INFO)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", _RETRY_INFO.SerializeToString()),
    )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _why_not_bound(address: Address) -> str:
    """The system's own reason, which gRPC does not tell."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return "the port was taken, and is free again"

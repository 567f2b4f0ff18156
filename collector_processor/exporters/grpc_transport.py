"""OTLP over gRPC, out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # has no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no stubs

from collector_processor.component import Signal
from collector_processor.errors import PermanentError, RetryableError, UnauthorizedError
from collector_processor.exporters.rejections import rejected_items
from collector_processor.exporters.settings import OtlpGrpcSettings, TlsSettings

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
# The table of the OTLP specification; RESOURCE_EXHAUSTED only with a RetryInfo.
_RETRYABLE: Final = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
# About us, not about the request.
_UNAUTHORIZED: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_LONGEST_MESSAGE: Final = 1000


class GrpcTransport:
    """Sends to one gRPC endpoint over one connection."""

    def __init__(self, settings: OtlpGrpcSettings) -> None:
        self._settings = settings
        self._metadata = tuple((key.lower(), value) for key, value in settings.headers.items())
        self._compression = grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression
        self._channel: grpc.aio.Channel | None = None
        self._calls: dict[Signal, Any] = {}

    async def send(self, signal: Signal, body: bytes) -> int:
        """Send once; see `Transport`."""
        if self._channel is None:
            self._connect()
        try:
            response: bytes = await self._calls[signal](
                body, timeout=self._settings.timeout, metadata=self._metadata, compression=self._compression
            )
        except grpc.aio.AioRpcError as error:
            code = error.code()
            details = (error.details() or "")[:_LONGEST_MESSAGE]
            message = f"{self._settings.endpoint.address}: {code.name}: {details}"
            delay_s = _retry_delay_s(error.trailing_metadata())
            if code in _RETRYABLE or (code is grpc.StatusCode.RESOURCE_EXHAUSTED and delay_s is not None):
                is_timeout = code is grpc.StatusCode.DEADLINE_EXCEEDED
                raise RetryableError(message, delay_s, is_timeout=is_timeout) from error
            if code in _UNAUTHORIZED:
                raise UnauthorizedError(message) from error
            raise PermanentError(message, code.name) from error
        return rejected_items(signal, response)

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close(None)

    def _connect(self) -> None:
        keepalive = self._settings.keepalive
        options = (
            # A backend that comes back should be found within seconds; gRPC's own backoff grows to two minutes.
            ("grpc.max_reconnect_backoff_ms", 5000),
            ("grpc.max_send_message_length", -1),
            # Or channels to one address share a connection, and the backoff of its failures.
            ("grpc.use_local_subchannel_pool", 1),
            # With it comes TCP_USER_TIMEOUT: a connection that a firewall forgot is given up within `timeout`, where
            # the system alone would go on for a quarter of an hour.
            ("grpc.keepalive_time_ms", int(keepalive.time * 1000)),
            ("grpc.keepalive_timeout_ms", int(keepalive.timeout * 1000)),
        )
        target, scheme = str(self._settings.endpoint.address), self._settings.endpoint.scheme
        if scheme == "http" or (scheme is None and self._settings.tls.insecure):
            channel = grpc.aio.insecure_channel(target, options=options)
        else:
            channel = grpc.aio.secure_channel(target, _credentials(self._settings.tls), options=options)
        self._calls = {signal: channel.unary_unary(method, None, None) for signal, method in _METHODS.items()}
        self._channel = channel


def _credentials(tls: TlsSettings) -> grpc.ChannelCredentials:
    try:
        return grpc.ssl_channel_credentials(
            root_certificates=_content(tls.ca_file),
            private_key=_content(tls.key_file),
            certificate_chain=_content(tls.cert_file),
        )
    except OSError as error:
        # It could be read when the configuration was checked, and may be there again soon.
        raise RetryableError(f"tls: {error}") from error


def _content(path: str | None) -> bytes | None:
    return None if path is None else Path(path).read_bytes()


def _retry_delay_s(trailers: Iterable[Any] | None) -> float | None:
    """How long the backend asks to wait, from either of the places where servers put it."""
    for key, value in trailers or ():
        try:
            if key == "google.rpc.retryinfo-bin" and isinstance(value, bytes):
                return float(RetryInfo.FromString(value).retry_delay.ToTimedelta().total_seconds())
            if key == "grpc-status-details-bin" and isinstance(value, bytes):
                for detail in Status.FromString(value).details:
                    info = RetryInfo()
                    if detail.Unpack(info):
                        return float(info.retry_delay.ToTimedelta().total_seconds())
        except (DecodeError, OverflowError):
            continue
    return None

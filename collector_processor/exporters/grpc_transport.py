"""OTLP over gRPC, out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # has no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no stubs

from collector_processor.component import Signal
from collector_processor.errors import PermanentError, RetryableError
from collector_processor.exporters.otlp import OtlpGrpcSettings
from collector_processor.exporters.rejections import rejected_items

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


class GrpcTransport:
    """Sends to one gRPC endpoint over one connection."""

    def __init__(self, settings: OtlpGrpcSettings) -> None:
        self._settings = settings
        self._metadata = tuple((key.lower(), value) for key, value in settings.headers.items())
        self._channel: grpc.aio.Channel | None = None

    async def send(self, signal: Signal, body: bytes) -> int:
        """Send once; see `Transport`."""
        call = self._connected().unary_unary(_METHODS[signal], None, None)
        compression = grpc.Compression.Gzip if self._settings.compression == "gzip" else grpc.Compression.NoCompression
        try:
            response: bytes = await call(
                body, timeout=self._settings.timeout, metadata=self._metadata, compression=compression
            )
        except grpc.aio.AioRpcError as error:
            message = f"{self._settings.endpoint.address}: {error.code().name}: {error.details()}"
            delay_s = _retry_delay_s(error.trailing_metadata())
            if error.code() in _RETRYABLE or (
                error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED and delay_s is not None
            ):
                raise RetryableError(message, delay_s) from error
            raise PermanentError(message) from error
        return rejected_items(signal, response)

    async def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            await self._channel.close(None)

    def _connected(self) -> grpc.aio.Channel:
        if self._channel is None:
            # A backend that comes back should be found within seconds; gRPC's own backoff grows to two minutes.
            options = (
                ("grpc.max_reconnect_backoff_ms", 5000),
                ("grpc.max_send_message_length", -1),
                # Or channels to one address share a connection, and the backoff of its failures.
                ("grpc.use_local_subchannel_pool", 1),
            )
            target, scheme = str(self._settings.endpoint.address), self._settings.endpoint.scheme
            if scheme == "http" or (scheme is None and self._settings.tls.insecure):
                self._channel = grpc.aio.insecure_channel(target, options=options)
            else:
                self._channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=options)
        return self._channel


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

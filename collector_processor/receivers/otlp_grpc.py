"""OTLP over gRPC, in.

Clients decide by the status whether they send again. The Collector drops for good on UNKNOWN, INTERNAL and a bare
RESOURCE_EXHAUSTED, so whatever goes wrong on our side is UNAVAILABLE, with a RetryInfo in the two places where clients
look for it.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Final

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.code_pb2 import UNAVAILABLE  # type: ignore[import-untyped]  # has no stubs
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # has no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no stubs
from pydantic import Field

from collector_processor.component import Consumer, Request, Signal
from collector_processor.errors import RefusedError, StartError, UndecodableRequestError
from collector_processor.receivers import decode
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address, Listen, Settings
from otel_ml import semconv

_SERVICES: Final = {
    Signal.TRACES: "opentelemetry.proto.collector.trace.v1.TraceService",
    Signal.METRICS: "opentelemetry.proto.collector.metrics.v1.MetricsService",
    Signal.LOGS: "opentelemetry.proto.collector.logs.v1.LogsService",
}
_EMPTY_RESPONSE: Final = b""

# Python's SDK gives up early when it is asked back sooner than after about a second.
_RETRY_DELAY_MS: Final = 1500
_RETRY_INFO: Final = RetryInfo(retry_delay=Duration(seconds=1, nanos=(_RETRY_DELAY_MS - 1000) * 1_000_000))

Export = Callable[[bytes], Awaitable[bytes]]


class GrpcSettings(Settings):
    """Where OTLP/gRPC is received.

    Attributes:
        max_recv_msg_size_mib: Largest request, after decompression. OTLP recommends 64; gRPC's own default of 4 would
            lose the batches of a Collector that sizes them by item.
    """

    endpoint: Listen = Address("127.0.0.1", 4317)
    max_recv_msg_size_mib: int = Field(default=64, ge=1, le=1024)


class ProtocolSettings(Settings):
    """The protocols to receive."""

    grpc: GrpcSettings = GrpcSettings()


class OtlpReceiverSettings(Settings):
    """An `otlp` receiver."""

    protocols: ProtocolSettings = ProtocolSettings()


class OtlpGrpcReceiver:
    """A gRPC server that hands what it receives to one consumer a signal.

    Args:
        name: How the configuration calls it.
        consumers: Signals without one are answered with UNIMPLEMENTED, as a Collector does.
        decodes_snapshots: Someone down the logs pipeline wants them.
        forwards_snapshots: Leave them in the request nevertheless.
        resource_attributes: Keys of what they should know of the resource that they come with.
    """

    def __init__(
        self,
        name: str,
        settings: OtlpReceiverSettings,
        consumers: Mapping[Signal, Consumer[Request]],
        telemetry: SelfTelemetry,
        *,
        decodes_snapshots: bool = True,
        forwards_snapshots: bool = False,
        resource_attributes: Collection[str] = (),
    ) -> None:
        self._name = name
        self._settings = settings.protocols.grpc
        self._consumers = consumers
        self._telemetry = telemetry
        self._decodes_snapshots = decodes_snapshots
        self._forwards_snapshots = forwards_snapshots
        self._resource_attributes = frozenset(resource_attributes)
        self._server: grpc.aio.Server | None = None
        self.address: Address | None = None
        """The bound address, once started."""

    async def start(self) -> None:
        """Receive from now on.

        Raises:
            StartError: The address cannot be bound.
        """
        size = self._settings.max_recv_msg_size_mib * 1024 * 1024
        server = grpc.aio.server(
            options=(
                ("grpc.max_receive_message_length", size),
                # Two processors on one port would each see half of the snapshots.
                ("grpc.so_reuseport", 0),
                # Collectors behind load balancers ping idle connections; grpc would answer with GOAWAY.
                ("grpc.http2.min_recv_ping_interval_without_data_ms", 5000),
                ("grpc.keepalive_permit_without_calls", 1),
            )
        )
        server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(
                    _SERVICES[signal], {"Export": grpc.unary_unary_rpc_method_handler(self._handler(signal))}
                )
                for signal in self._consumers
            )
        )
        endpoint = self._settings.endpoint
        try:
            port = server.add_insecure_port(str(endpoint))
        except RuntimeError:
            port = 0
        if not port:
            await server.stop(None)
            raise StartError(
                f"receivers::{self._name}::protocols::grpc::endpoint: cannot listen on {str(endpoint)!r}: "
                f"{_why_not_bound(endpoint)}"
            )
        await server.start()
        self._server = server
        self.address = Address(endpoint.host, port)

    async def shutdown(self, timeout_s: float) -> None:
        """Refuse new requests and finish those that are running."""
        if self._server is not None:
            await self._server.stop(timeout_s)
            self._server = None

    def _handler(self, signal: Signal) -> Callable[[bytes, grpc.aio.ServicerContext[bytes, bytes]], Awaitable[bytes]]:
        export = self._export_logs if signal is Signal.LOGS and self._decodes_snapshots else self._exporter(signal)

        async def handle(body: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            try:
                return await export(body)
            except UndecodableRequestError as error:
                refusal, code, reason = str(error), grpc.StatusCode.INVALID_ARGUMENT, "undecodable"
            except RefusedError as error:
                refusal, code, reason = str(error), grpc.StatusCode.UNAVAILABLE, error.reason
            except Exception as error:
                self._telemetry.failed("receive", error)
                refusal, code, reason = "internal failure; try again", grpc.StatusCode.UNAVAILABLE, "failure"
            self._telemetry.count(semconv.PROCESSOR_REFUSED, processor_signal=signal.value, drop_reason=reason)
            if code is grpc.StatusCode.UNAVAILABLE:
                await context.abort(code, refusal, _retry_trailers(refusal))
            await context.abort(code, refusal)
            raise AssertionError("abort does not return")

        return handle

    def _exporter(self, signal: Signal) -> Export:
        consumer = self._consumers[signal]

        async def export(body: bytes) -> bytes:
            items = decode.count_items(signal, body)
            if items:
                await consumer.consume(Request(signal, body, items))
                self._telemetry.count(semconv.PROCESSOR_RECEIVED, items, processor_signal=signal.value)
            return _EMPTY_RESPONSE

        return export

    async def _export_logs(self, body: bytes) -> bytes:
        logs = decode.read_logs(body, take=not self._forwards_snapshots, resource_attributes=self._resource_attributes)
        rejected = sum(logs.rejected.values())
        consumed = logs.received - logs.remaining - (0 if self._forwards_snapshots else rejected)
        if logs.received:
            await self._consumers[Signal.LOGS].consume(
                Request(Signal.LOGS, logs.body, logs.remaining, logs.snapshots, consumed)
            )
        # Counted once the request is ours: a refused one comes again.
        signal = Signal.LOGS.value
        self._telemetry.count(semconv.PROCESSOR_RECEIVED, logs.received, processor_signal=signal)
        self._telemetry.count(semconv.PROCESSOR_CONSUMED, consumed, processor_signal=signal)
        if not rejected:
            return _EMPTY_RESPONSE
        for reason, number in logs.rejected.items():
            self._telemetry.count(semconv.PROCESSOR_SNAPSHOTS, number, processor_outcome=reason)
            if not self._forwards_snapshots:
                self._telemetry.count(
                    semconv.PROCESSOR_DROPPED, number, processor_signal=signal, drop_reason=f"snapshot_{reason}"
                )
        reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(logs.rejected.items()))
        return decode.partial_success(0 if self._forwards_snapshots else rejected, f"unreadable snapshots: {reasons}")


def _retry_trailers(message: str) -> tuple[tuple[str, bytes], ...]:
    """When to come back, for Go's clients in the status details and for Python's in a trailer of its own."""
    status = Status(code=UNAVAILABLE, message=message)
    status.details.add().Pack(_RETRY_INFO)
    return (
        ("grpc-status-details-bin", status.SerializeToString()),
        ("google.rpc.retryinfo-bin", _RETRY_INFO.SerializeToString()),
    )


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

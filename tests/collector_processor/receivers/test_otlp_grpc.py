"""What clients of the receiver are answered, over a real connection."""

from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from processor_samples import (
    Producer,
    logs_request,
    metrics_request,
    numeric,
    snapshot_record,
    text_record,
    traces_request,
)

from collector_processor.component import Signal
from collector_processor.errors import RefusedError, StartError
from collector_processor.receivers.otlp_grpc import OtlpGrpcReceiver, OtlpReceiverSettings
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv

METHODS = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}


class Kept:
    """Keeps requests, or fails as told."""

    def __init__(self):
        self.requests = []
        self.error = None

    async def consume(self, request):
        if self.error:
            raise self.error
        self.requests.append(request)


class Client:
    """A gRPC client of one receiver that sends bytes as they are."""

    def __init__(self, receiver, channel, kept, telemetry):
        self.receiver, self.channel, self.kept, self.telemetry = receiver, channel, kept, telemetry

    async def export(self, signal, body, **options):
        return await self.channel.unary_unary(METHODS[signal])(body, timeout=10, **options)

    async def error(self, signal, body):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.export(signal, body)
        return caught.value


@asynccontextmanager
async def client(signals=tuple(Signal), *, settings=None, **options):
    kept, telemetry = Kept(), SelfTelemetry()
    receiver = OtlpGrpcReceiver(
        "otlp",
        OtlpReceiverSettings.model_validate({"protocols": {"grpc": {"endpoint": "127.0.0.1:0", **(settings or {})}}}),
        dict.fromkeys(signals, kept),
        telemetry,
        **options,
    )
    await receiver.start()
    try:
        limits = [("grpc.max_send_message_length", -1)]
        async with grpc.aio.insecure_channel(str(receiver.address), options=limits) as channel:
            yield Client(receiver, channel, kept, telemetry)
    finally:
        await receiver.shutdown(1.0)


@pytest.mark.parametrize(
    ("signal", "request_message", "items"),
    [
        (Signal.TRACES, traces_request(spans=2), 2),
        (Signal.METRICS, metrics_request(points=3), 3),
        (Signal.LOGS, logs_request(text_record()), 1),
    ],
)
@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
async def test_every_signal_is_taken_as_it_came(signal, request_message, items, compression):
    """The very bytes reach the consumer, compressed on the way or not."""
    body = request_message.SerializeToString()
    async with client() as receiver:
        response = await receiver.export(signal, body, compression=compression)

        assert response == b""
        assert [(kept.signal, kept.body, kept.items) for kept in receiver.kept.requests] == [(signal, body, items)]
        assert receiver.telemetry.total(semconv.PROCESSOR_RECEIVED, processor_signal=signal.value) == items


@pytest.mark.parametrize("signal", Signal)
async def test_an_empty_request_is_fine(signal):
    """OTLP asks for success; nobody further down is bothered."""
    async with client() as receiver:
        assert await receiver.export(signal, b"") == b""
        assert receiver.kept.requests == []


async def test_messages_beyond_the_default_of_grpc_are_taken():
    """Four MiB would lose the batches of a Collector that sizes them by item."""
    async with client() as receiver:
        await receiver.export(Signal.LOGS, logs_request(text_record("x" * 20_000_000)).SerializeToString())

        assert receiver.kept.requests[0].items == 1


async def test_bytes_that_are_no_request_are_an_invalid_argument():
    """Sending them again would not help."""
    async with client() as receiver:
        error = await receiver.error(Signal.TRACES, b"\xff\xff")

        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert receiver.telemetry.total(semconv.PROCESSOR_REFUSED, drop_reason="undecodable") == 1


@pytest.mark.parametrize(
    ("failure", "reason"), [(RefusedError("full", "queue_full"), "queue_full"), (ValueError("ours"), "failure")]
)
@pytest.mark.parametrize("signal", Signal)
async def test_whatever_fails_on_our_side_is_unavailable_and_says_when_to_come_back(signal, failure, reason):
    """Collectors drop for good on UNKNOWN, INTERNAL and a bare RESOURCE_EXHAUSTED."""
    body = {
        Signal.TRACES: traces_request(),
        Signal.METRICS: metrics_request(),
        Signal.LOGS: logs_request(text_record()),
    }
    async with client() as receiver:
        receiver.kept.error = failure
        error = await receiver.error(signal, body[signal].SerializeToString())

        trailers = dict(error.trailing_metadata())
        told = RetryInfo()
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(told)
        assert told == RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
        assert told.retry_delay.ToTimedelta().total_seconds() == 1.5
        assert receiver.telemetry.total(semconv.PROCESSOR_REFUSED, drop_reason=reason) == 1
        assert receiver.telemetry.total(semconv.PROCESSOR_RECEIVED) == 0


async def test_snapshots_are_handed_over_apart_from_the_rest():
    """The consumer gets them decoded, and a request without them."""
    request = logs_request(text_record(), snapshot_record(Producer().snapshot(numeric("amount", [1.0, 2.0]))))
    async with client() as receiver:
        await receiver.export(Signal.LOGS, request.SerializeToString())

        (kept,) = receiver.kept.requests
        assert kept.body == logs_request(text_record()).SerializeToString()
        assert (kept.items, kept.consumed, kept.snapshots[0].rows) == (1, 1, 2)
        assert receiver.telemetry.total(semconv.PROCESSOR_CONSUMED) == 1


async def test_a_corrupt_snapshot_is_a_partial_success():
    """Rejected once, counted by reason, and the rest of the request is kept."""
    good, bad = (Producer().snapshot(numeric("amount", [1.0])) for _ in range(2))
    request = logs_request(snapshot_record(good), snapshot_record(bad, checksum=1), text_record())
    async with client() as receiver:
        response = ExportLogsServiceResponse.FromString(await receiver.export(Signal.LOGS, request.SerializeToString()))

        (kept,) = receiver.kept.requests
        assert response.partial_success.rejected_log_records == 1
        assert response.partial_success.error_message == "unreadable snapshots: 1 wrong_checksum"
        assert (kept.items, len(kept.snapshots)) == (1, 1)
        total = receiver.telemetry.total
        assert total(semconv.PROCESSOR_DROPPED, drop_reason="snapshot_wrong_checksum") == 1
        assert total(semconv.PROCESSOR_RECEIVED) == 3 == total(semconv.PROCESSOR_CONSUMED) + 1 + kept.items


async def test_a_corrupt_snapshot_that_is_passed_on_is_not_rejected():
    """With forward_snapshots whoever comes after us may understand it."""
    bad = Producer().snapshot(numeric("amount", [1.0]))
    body = logs_request(snapshot_record(bad, checksum=1)).SerializeToString()
    async with client(forwards_snapshots=True) as receiver:
        response = ExportLogsServiceResponse.FromString(await receiver.export(Signal.LOGS, body))

        assert response.partial_success.rejected_log_records == 0
        assert response.partial_success.error_message == "unreadable snapshots: 1 wrong_checksum"
        assert receiver.kept.requests[0].body == body


async def test_a_signal_without_a_pipeline_is_unimplemented():
    """As a Collector answers."""
    async with client(signals=[Signal.LOGS]) as receiver:
        error = await receiver.error(Signal.TRACES, b"")

        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_taken_port_is_a_clear_error():
    """Where it is configured, what was tried, and what the system says."""
    async with client() as receiver:
        second = OtlpGrpcReceiver(
            "otlp/2",
            OtlpReceiverSettings.model_validate({"protocols": {"grpc": {"endpoint": str(receiver.receiver.address)}}}),
            {Signal.LOGS: Kept()},
            SelfTelemetry(),
        )

        with pytest.raises(StartError, match=r"receivers::otlp/2::protocols::grpc::endpoint: .*Address already in use"):
            await second.start()

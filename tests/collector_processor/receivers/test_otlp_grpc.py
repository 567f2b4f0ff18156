"""What clients of OTLP/gRPC are answered, over a real connection."""

import asyncio
import os
import zlib
from pathlib import Path

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
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
from receiving import METHODS, Authority, bomb, memory_bounded, receiving, until

from collector_processor.component import Signal
from collector_processor.errors import RefusedError, StartError
from otel_ml import semconv

REQUESTS = {
    Signal.TRACES: (traces_request(spans=2).SerializeToString(), 2),
    Signal.METRICS: (metrics_request(points=3).SerializeToString(), 3),
    Signal.LOGS: (logs_request(text_record()).SerializeToString(), 1),
}
COMPRESSIONS = [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate]
MIB = 1024 * 1024


def refused(receiver, reason):
    return receiver.telemetry.total(semconv.PROCESSOR_REFUSED, drop_reason=reason)


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_every_signal_is_taken_as_it_came(signal, compression):
    """The very bytes reach the consumer, compressed on the way or not."""
    body, items = REQUESTS[signal]
    async with receiving("grpc") as receiver:
        response = await receiver.export(signal, body, compression=compression)

        assert response == b""
        assert [(kept.signal, kept.body, kept.items) for kept in receiver.kept.requests] == [(signal, body, items)]


@pytest.mark.parametrize("signal", Signal)
async def test_an_empty_request_is_fine(signal):
    """OTLP asks for success; nobody further down is bothered."""
    async with receiving("grpc") as receiver:
        assert await receiver.export(signal, b"") == b""
        assert receiver.kept.requests == []


@pytest.mark.parametrize("compression", COMPRESSIONS[:2])
async def test_messages_beyond_the_default_of_grpc_are_taken(compression):
    """Four MiB would lose the batches of a Collector that sizes them by item."""
    body = logs_request(text_record(os.urandom(5 * MIB).hex())).SerializeToString()
    async with receiving("grpc") as receiver:
        await receiver.export(Signal.LOGS, body, compression=compression)

        assert receiver.kept.requests[0].body == body


async def test_bytes_that_are_no_request_are_an_invalid_argument():
    """Sending them again would not help."""
    async with receiving("grpc") as receiver:
        error = await receiver.error(Signal.TRACES, b"\xff\xff")

        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refused(receiver, "undecodable") == 1


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_is_stopped_at_the_limit_and_counted(encoding):
    """What claims to be a quarter of a gigabyte costs no more than the largest request, and is final."""
    packed = bomb(encoding, 256)
    async with receiving("grpc", settings={"max_recv_msg_size_mib": 8}) as receiver:
        with memory_bounded(mebibytes=64):
            error = await receiver.error(Signal.LOGS, packed)

        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "google.rpc.retryinfo-bin" not in dict(error.trailing_metadata())
        assert refused(receiver, "too_large") == 1


async def test_a_message_that_is_too_large_as_it_stands_is_counted_too():
    """gRPC throws it away by itself, and its client drops it for good: somebody has to know."""
    body = logs_request(text_record("x" * (2 * MIB))).SerializeToString()
    async with receiving("grpc", settings={"max_recv_msg_size_mib": 1}) as receiver:
        error = await receiver.error(Signal.LOGS, body)

        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert refused(receiver, "unread") == 1
        assert await receiver.export(Signal.LOGS, REQUESTS[Signal.LOGS][0]) == b""


@pytest.mark.parametrize(
    ("failure", "reason"), [(RefusedError("full", "log_full"), "log_full"), (ValueError("ours"), "failure")]
)
@pytest.mark.parametrize("signal", Signal)
async def test_whatever_fails_on_our_side_is_unavailable_and_says_when_to_come_back(signal, failure, reason):
    """Collectors drop for good on UNKNOWN, INTERNAL and a bare RESOURCE_EXHAUSTED."""
    async with receiving("grpc") as receiver:
        receiver.kept.error = failure
        error = await receiver.error(signal, REQUESTS[signal][0])

        trailers = dict(error.trailing_metadata())
        told = RetryInfo()
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(told)
        assert told == RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
        assert told.retry_delay.ToTimedelta().total_seconds() == 1.5
        assert refused(receiver, reason) == 1


async def test_snapshots_are_handed_over_apart_from_the_rest():
    """The consumer gets them decoded and as bytes for the log, and a request without them."""
    record = snapshot_record(Producer().snapshot(numeric("amount", [1.0, 2.0])))
    async with receiving("grpc") as receiver:
        await receiver.export(Signal.LOGS, logs_request(text_record(), record).SerializeToString())

        (kept,) = receiver.kept.requests
        assert kept.body == logs_request(text_record()).SerializeToString()
        assert kept.taken == logs_request(record).SerializeToString()
        assert (kept.items, kept.consumed, kept.snapshots[0].rows, kept.is_watched) == (1, 1, 2, False)


async def test_snapshots_that_are_passed_on_as_well_stay_in_the_request():
    """The log is told that the request has to be read again for them."""
    body = logs_request(snapshot_record(Producer().snapshot(numeric("amount", [1.0, 2.0])))).SerializeToString()
    async with receiving("grpc", forwards_snapshots=True) as receiver:
        await receiver.export(Signal.LOGS, body)

        (kept,) = receiver.kept.requests
        assert (kept.body, kept.items, kept.consumed, kept.taken, kept.is_watched) == (body, 1, 0, b"", True)


async def test_a_corrupt_snapshot_is_a_partial_success():
    """Rejected once, told by reason, and the rest of the request is kept."""
    good, bad = (Producer().snapshot(numeric("amount", [1.0])) for _ in range(2))
    request = logs_request(snapshot_record(good), snapshot_record(bad, checksum=1), text_record())
    async with receiving("grpc") as receiver:
        response = ExportLogsServiceResponse.FromString(await receiver.export(Signal.LOGS, request.SerializeToString()))

        (kept,) = receiver.kept.requests
        assert response.partial_success.rejected_log_records == 1
        assert response.partial_success.error_message == "unreadable snapshots: 1 wrong_checksum"
        assert (kept.items, kept.consumed, len(kept.snapshots)) == (1, 1, 1)
        assert kept.rejected == {"snapshot_wrong_checksum": 1}
        assert receiver.telemetry.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome="wrong_checksum") == 1


async def test_a_corrupt_snapshot_that_is_passed_on_is_not_rejected():
    """With forward_snapshots whoever comes after us may understand it."""
    bad = Producer().snapshot(numeric("amount", [1.0]))
    body = logs_request(snapshot_record(bad, checksum=1)).SerializeToString()
    async with receiving("grpc", forwards_snapshots=True) as receiver:
        response = ExportLogsServiceResponse.FromString(await receiver.export(Signal.LOGS, body))

        assert response.partial_success.rejected_log_records == 0
        assert response.partial_success.error_message == "unreadable snapshots: 1 wrong_checksum"
        assert receiver.kept.requests[0].body == body
        assert receiver.kept.requests[0].rejected == {}


async def test_a_signal_without_a_pipeline_is_unimplemented():
    """As a Collector answers."""
    async with receiving("grpc", signals=[Signal.LOGS]) as receiver:
        error = await receiver.error(Signal.TRACES, b"")

        assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_taken_port_is_a_clear_error():
    """Where it is configured, what was tried, and what the system says."""
    async with receiving("grpc") as receiver:
        with pytest.raises(StartError, match=r"receivers::otlp::protocols::grpc::endpoint: .*Address already in use"):
            async with receiving("grpc", settings={"endpoint": receiver.address}):
                pass


@pytest.mark.parametrize("compression", COMPRESSIONS[:2])
async def test_the_exporter_of_the_python_sdk_is_served(compression):
    """A client that is not ours."""
    provider = TracerProvider(shutdown_on_exit=False)
    span = provider.get_tracer("test").start_span("predict")
    span.end()
    async with receiving("grpc") as receiver:
        exporter = OTLPSpanExporter(f"http://{receiver.address}", insecure=True, compression=compression)
        try:
            result = await asyncio.to_thread(exporter.export, [span])
        finally:
            await asyncio.to_thread(exporter.shutdown)

        assert result is SpanExportResult.SUCCESS
        assert receiver.kept.requests[0].items == 1


async def test_two_hundred_clients_at_a_time_are_all_served():
    """Each gets the answer to its own request."""
    async with receiving("grpc") as receiver, receiver.channel() as channel:
        call = channel.unary_unary(METHODS[Signal.TRACES])
        bodies = [traces_request(spans=1 + number).SerializeToString() for number in range(200)]
        answers = await asyncio.gather(*(call(body, timeout=30) for body in bodies))

        assert answers == [b""] * 200
        assert sorted(kept.items for kept in receiver.kept.requests) == list(range(1, 201))


async def test_a_client_that_leaves_meanwhile_harms_nobody():
    """Whether its request counts is the log's to decide; the next one is served."""
    async with receiving("grpc") as receiver, receiver.channel() as channel:
        receiver.kept.may_go_on.clear()
        call = channel.unary_unary(METHODS[Signal.TRACES])(REQUESTS[Signal.TRACES][0])
        await until(lambda: receiver.kept.waiting)
        call.cancel()
        await until(lambda: not receiver.kept.waiting)
        receiver.kept.may_go_on.set()

        assert await receiver.export(*_sample(Signal.TRACES)) == b""


@settings(max_examples=15)
@given(
    noise=st.binary(max_size=2000) | st.binary(max_size=200).map(lambda tail: b"\x1f\x8b\x08\x00" + tail),
    cut=st.integers(1, 200),
)
def test_random_and_truncated_bytes_are_refused_or_taken_and_never_a_failure_of_ours(noise, cut):
    """Whatever is sent, the server answers, and goes on."""

    async def run():
        async with receiving("grpc") as receiver, receiver.channel() as channel:
            codes = set()
            for signal, (body, _) in REQUESTS.items():
                for sent in (noise, body[:-cut], _gzipped(body)[:-cut], _gzipped(noise)):
                    try:
                        await channel.unary_unary(METHODS[signal])(sent, timeout=30)
                    except grpc.aio.AioRpcError as error:
                        codes.add(error.code())
            assert await channel.unary_unary(METHODS[Signal.LOGS])(REQUESTS[Signal.LOGS][0], timeout=30) == b""
            assert codes <= {grpc.StatusCode.INVALID_ARGUMENT}
            assert receiver.telemetry.total(semconv.PROCESSOR_ERRORS) == 0

    asyncio.run(run())


async def test_a_token_is_asked_for_before_anything_is_read():
    """Missing, wrong or of another kind: UNAUTHENTICATED, and counted."""
    signal, body = _sample(Signal.LOGS)
    async with receiving("grpc", settings={"auth": {"bearer_token": "s3cret"}}) as receiver:
        answer = await receiver.export(signal, body, metadata=(("authorization", "Bearer s3cret"),))
        errors = [
            await receiver.error(signal, body, metadata=metadata)
            for metadata in ((), (("authorization", "Bearer other"),), (("authorization", "Basic s3cret"),))
        ]

        assert answer == b""
        assert {error.code() for error in errors} == {grpc.StatusCode.UNAUTHENTICATED}
        assert refused(receiver, "unauthenticated") == 3


async def test_a_certificate_is_asked_of_clients_when_authorities_are_named(tmp_path):
    """One of theirs is let in; none, or one of somebody else's, does not get as far as a request."""
    ours, others = Authority(tmp_path), Authority(tmp_path, "others")
    tls = {**ours.issue(), "client_ca_file": str(ours.file)}
    async with receiving("grpc", settings={"tls": tls}) as receiver:
        answers = []
        for authority in (ours, others, None):
            pair = authority.issue(into="client") if authority else None
            credentials = grpc.ssl_channel_credentials(
                ours.file.read_bytes(), *(_contents(pair, "key_file", "cert_file") if pair else ())
            )
            async with receiver.channel(credentials) as channel:
                try:
                    sent = channel.unary_unary(METHODS[Signal.LOGS])(REQUESTS[Signal.LOGS][0], timeout=5)
                    answers.append(await sent)
                except grpc.aio.AioRpcError as error:
                    answers.append(error.code())

        assert answers == [b"", grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNAVAILABLE]
        assert len(receiver.kept.requests) == 1


async def test_a_renewed_certificate_is_taken_up_without_a_restart(tmp_path):
    """The next handshake uses it; files that do not fit each other leave the old one in use."""
    first, second = Authority(tmp_path), Authority(tmp_path, "second")
    tls = first.issue()
    async with receiving("grpc", settings={"tls": tls}) as receiver:

        async def reaches(authority):
            credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
            async with receiver.channel(credentials, **{"grpc.use_local_subchannel_pool": 1}) as channel:
                try:
                    await channel.unary_unary(METHODS[Signal.LOGS])(REQUESTS[Signal.LOGS][0], timeout=5)
                except grpc.aio.AioRpcError:
                    return False
                return True

        before = await reaches(first), await reaches(second)
        second.issue(into="server")
        after = await reaches(first), await reaches(second)
        first.issue(into="other")
        (tmp_path / "other.key").replace(tls["key_file"])

        assert before == (True, False)
        assert after == (False, True)
        assert await reaches(second)


async def test_health_is_told_by_service_and_as_a_whole():
    """SERVING from the start, NOT_SERVING while something is in the way, unknown for what is not served."""
    async with receiving("grpc", signals=[Signal.LOGS]) as receiver, receiver.channel() as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status(service):
            try:
                return (await stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5)).status
            except grpc.aio.AioRpcError as error:
                return error.code()

        logs, serving = METHODS[Signal.LOGS].split("/")[1], health_pb2.HealthCheckResponse
        assert (await status(""), await status(logs)) == (serving.SERVING, serving.SERVING)
        assert await status(METHODS[Signal.TRACES].split("/")[1]) is grpc.StatusCode.NOT_FOUND
        await receiver.receiver.set_ready(ready=False)
        assert (await status(""), await status(logs)) == (serving.NOT_SERVING, serving.NOT_SERVING)
        await receiver.receiver.set_ready(ready=True)
        assert await status(logs) == serving.SERVING
        await receiver.receiver.drain()
        assert (await status(""), await status(logs)) == (serving.NOT_SERVING, serving.NOT_SERVING)


async def test_shutdown_finishes_what_runs_and_keeps_nobody_waiting_who_only_watches():
    """What was begun is answered; a watcher of the health learns that it ends."""
    async with receiving("grpc") as receiver, receiver.channel() as channel:
        watched = []

        async def watch():
            async for update in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
                watched.append(update.status)  # noqa: PERF401 - looked at while it grows

        watching = asyncio.create_task(watch())
        receiver.kept.may_go_on.clear()
        running = [
            asyncio.ensure_future(channel.unary_unary(METHODS[Signal.LOGS])(REQUESTS[Signal.LOGS][0], timeout=30))
            for _ in range(5)
        ]
        await until(lambda: receiver.kept.waiting == 5 and watched)
        stopping = asyncio.create_task(receiver.receiver.shutdown(60.0))
        await until(lambda: len(watched) == 2)
        late = await receiver.error(*_sample(Signal.LOGS))
        receiver.kept.may_go_on.set()

        assert await asyncio.gather(*running) == [b""] * 5
        assert late.code() is grpc.StatusCode.UNAVAILABLE
        await asyncio.wait_for(stopping, 20)
        await asyncio.gather(watching, return_exceptions=True)
        assert watched == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


async def test_what_is_not_finished_in_time_has_to_come_again():
    """Both codes are among those on which OTLP sends again."""
    async with receiving("grpc") as receiver, receiver.channel() as channel:
        receiver.kept.may_go_on.clear()
        running = asyncio.ensure_future(channel.unary_unary(METHODS[Signal.LOGS])(REQUESTS[Signal.LOGS][0], timeout=30))
        await until(lambda: receiver.kept.waiting)
        await receiver.receiver.shutdown(0.1)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running
        assert caught.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def test_connections_end_at_the_age_that_is_set():
    """The client opens another one, and notices nothing else."""
    keepalive = {"max_connection_age": "300ms", "max_connection_age_grace": "1s"}
    async with receiving("grpc", settings={"keepalive": keepalive}) as receiver, receiver.channel() as channel:
        states = []
        for _ in range(2):
            await channel.unary_unary(METHODS[Signal.LOGS])(REQUESTS[Signal.LOGS][0], timeout=10, wait_for_ready=True)
            state = channel.get_state()
            states.append(state)
            await asyncio.wait_for(channel.wait_for_state_change(state), 20)

        assert states == [grpc.ChannelConnectivity.READY] * 2
        assert len(receiver.kept.requests) == 2


async def test_clients_may_ping_as_often_as_is_set():
    """A gRPC server that is told nothing cuts off twice meanwhile who pings an idle connection as often."""
    pinging = {
        "grpc.keepalive_time_ms": 200,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
        # Or the second connection to a server would be the first one again, and would ping more calmly.
        "grpc.use_local_subchannel_pool": 1,
    }
    ready = grpc.ChannelConnectivity.READY
    stock = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    port = stock.add_insecure_port("127.0.0.1:0")
    await stock.start()
    async with (
        receiving("grpc", settings={"keepalive": {"min_time": "50ms"}}) as receiver,
        receiver.channel(**pinging) as ours,
    ):
        await ours.channel_ready()
        change = asyncio.create_task(ours.wait_for_state_change(ready))
        for _ in range(2):
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=list(pinging.items())) as other:
                await other.channel_ready()
                await asyncio.wait_for(other.wait_for_state_change(ready), 60)

        assert not change.done()
        change.cancel()
    await stock.stop(None)


def _sample(signal):
    return signal, REQUESTS[signal][0]


def _gzipped(body):
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def _contents(pair, *names):
    return [Path(pair[name]).read_bytes() for name in names]

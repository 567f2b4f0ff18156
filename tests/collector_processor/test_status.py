"""What supervisors and Prometheus are told, over real HTTP, and how the service lets go of its clients."""

import asyncio
from contextlib import asynccontextmanager

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from processor_samples import traces_request
from receiving import METHODS, receiving, until

from collector_processor import prometheus_text
from collector_processor.component import Point, Signal
from collector_processor.errors import StartError
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.status import Status, StatusSettings
from otel_ml import semconv
from otel_ml.semconv import Metric

TRACES = traces_request().SerializeToString()


@asynccontextmanager
async def told(refusal=lambda: None, **settings):
    telemetry = SelfTelemetry()
    status = Status(StatusSettings.model_validate({"endpoint": "127.0.0.1:0", **settings}), telemetry, refusal)
    await status.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{status.address}", trust_env=False, timeout=20) as web:
            yield status, telemetry, web
    finally:
        await status.shutdown(1.0)


async def test_readiness_follows_the_life_of_the_service():
    """Starting, ready, the log full, ready again, draining; alive all the time."""
    refusal = []
    async with told(lambda: refusal[0] if refusal else None) as (status, _, web):
        seen = []

        async def look():
            response = await web.get("/readyz")
            alive = await web.get("/healthz")
            assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
            seen.append((response.status_code, response.json().get("reason", response.json()["status"])))

        await look()
        await status.serve([])
        await look()
        refusal.append("log full")
        await look()
        refusal.clear()
        await look()
        await status.drain()
        await look()

        assert seen == [(503, "starting"), (200, "ready"), (503, "log full"), (200, "ready"), (503, "draining")]


async def test_the_health_of_gRPC_follows():
    """A load balancer that asks there learns the same."""
    refusal = ["log full"]
    serving = health_pb2.HealthCheckResponse
    async with (
        told(lambda: refusal[0] if refusal else None) as (status, _, _),
        receiving("grpc") as receiver,
        receiver.channel() as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)

        async def becomes(expected):
            for _ in range(1000):
                if (await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)).status == expected:
                    return True
                await asyncio.sleep(0.01)
            return False

        await status.serve([receiver.receiver])
        assert await becomes(serving.NOT_SERVING)
        refusal.clear()
        assert await becomes(serving.SERVING)
        await status.drain()
        assert await becomes(serving.NOT_SERVING)


async def test_metrics_are_what_prometheus_scrapes():
    """Names, units and escapes as OpenTelemetry's rules for Prometheus have them."""
    async with told() as (_, telemetry, web):
        telemetry.count(semconv.PROCESSOR_RECEIVED, 3, processor_signal="logs")
        telemetry.count(semconv.PROCESSOR_ROWS, 5, model_name='a "b"\\\n', model_version="")
        telemetry.observe(lambda: [(semconv.PROCESSOR_QUEUE_SIZE, 12, {semconv.PROCESSOR_EXPORTER: "otlp_grpc/é"})])
        response = await web.get("/metrics")

        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = response.text.splitlines()
        assert 'ml_processor_received_total{ml_processor_signal="logs"} 3' in lines
        assert "# TYPE ml_processor_received_total counter" in lines
        assert f"# HELP ml_processor_received_total {semconv.PROCESSOR_RECEIVED.description}" in lines
        assert 'ml_processor_rows_total{ml_model_name="a \\"b\\"\\\\\\n",ml_model_version=""} 5' in lines
        assert 'ml_processor_queue_size_bytes{ml_processor_exporter="otlp_grpc/é"} 12' in lines
        assert "# TYPE ml_processor_queue_size_bytes gauge" in lines


@pytest.mark.parametrize(
    ("metric", "value", "start", "line"),
    [
        (Metric("ml.feature.missing.ratio", "1", "", "gauge"), 0.5, None, "ml_feature_missing_ratio 0.5"),
        (Metric("ml.share", "1", "", "gauge"), 1, None, "ml_share_ratio 1"),
        (Metric("ml.inference.duration", "s", "", "gauge"), float("nan"), None, "ml_inference_duration_seconds NaN"),
        (Metric("ml.sent", "By", "", "counter"), 7, 1, "ml_sent_bytes_total 7"),
        (Metric("ml.a-b c", "{row}", "", "gauge"), float("inf"), None, "ml_a_b_c +Inf"),
    ],
)
def test_units_are_part_of_the_name_once(metric, value, start, line):
    """What stands in braces is no unit, and a ratio is named so."""
    text = prometheus_text.exposition([Point(metric, value, 0, {}, start)]).decode()

    assert text.splitlines()[-1] == line


async def test_other_paths_and_methods_are_told_apart():
    """404 with what there is, 405."""
    async with told() as (_, _, web):
        assert (await web.get("/")).status_code == 404
        assert (await web.get("/")).json()["paths"] == ["/healthz", "/readyz", "/metrics"]
        assert (await web.post("/healthz")).status_code == 405
        assert (await web.head("/healthz")).status_code == 200


async def test_a_taken_port_is_a_clear_error():
    """Where it is configured, and what the system says."""
    async with told() as (status, _, _):
        with pytest.raises(StartError, match=r"service::status::endpoint: .*[Aa]ddress already in use"):
            async with told(endpoint=str(status.address)):
                pass


async def test_it_can_be_switched_off():
    """Then nothing listens."""
    status = Status(StatusSettings(enabled=False), SelfTelemetry())
    await status.start()

    assert status.address is None
    await status.shutdown(1.0)


@pytest.mark.parametrize("protocol", ["grpc", "http"])
async def test_whoever_sends_while_the_service_stops_is_acknowledged_or_sent_away_to_come_again(protocol):
    """Never an answer on which a client would drop what was not taken."""
    async with told() as (status, _, _), receiving(protocol) as receiver:
        await status.serve([receiver.receiver])
        acknowledged, others = 0, []

        async def over_grpc():
            async with receiver.channel() as channel:
                try:
                    while True:
                        await channel.unary_unary(METHODS[Signal.TRACES])(TRACES, timeout=20)
                        yield True
                except grpc.aio.AioRpcError as error:
                    others.append(error.code())

        async def over_http():
            async with httpx.AsyncClient(trust_env=False, timeout=20) as web:
                url, headers = f"http://{receiver.address}/v1/traces", {"content-type": "application/x-protobuf"}
                try:
                    while (answer := await web.post(url, content=TRACES, headers=headers)).status_code == 200:
                        yield True
                    others.append(answer.status_code)
                except httpx.TransportError:
                    others.append("cut off")

        async def send():
            nonlocal acknowledged
            async for _ in over_grpc() if protocol == "grpc" else over_http():
                acknowledged += 1

        senders = [asyncio.create_task(send()) for _ in range(30)]
        await until(lambda: acknowledged >= 300)
        await status.drain()
        before = acknowledged
        await until(lambda: acknowledged >= before + 30)
        await receiver.receiver.shutdown(10.0)
        await asyncio.wait_for(asyncio.gather(*senders), 30)

        assert len(others) == 30
        assert set(others) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, 503, "cut off"}
        assert len(receiver.kept.requests) >= acknowledged

"""The whole process, told to stop while clients of both protocols send."""

import asyncio
import contextlib
import re
import signal
import sys

import grpc
import httpx
import pytest
from processor_samples import traces_request
from receiving import METHODS, until

from collector_processor.component import Signal

TRACES = traces_request().SerializeToString()
CONFIGURATION = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}, http: {endpoint: "127.0.0.1:0"}}}}
exporters: {otlp_grpc: {endpoint: "127.0.0.1:9", tls: {insecure: true}}}
service:
  shutdown_timeout: 2s
  pipelines: {traces: {receivers: [otlp], exporters: [otlp_grpc]}}
"""


@pytest.mark.slow
async def test_every_client_is_acknowledged_or_sent_away_to_come_again(tmp_path):
    """Nothing that a client drops, no traceback, and an end without force."""
    path = tmp_path / "processor.yaml"
    path.write_text(CONFIGURATION)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "collector_processor", "--config", str(path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        lines = [(await asyncio.wait_for(process.stdout.readline(), 60)).decode() for _ in range(2)]
        over_grpc, over_http = (re.search(r"on (127\.0\.0\.1:\d+)$", line)[1] for line in lines)
        acknowledged, ends = [], []

        async def send_over_grpc():
            async with grpc.aio.insecure_channel(over_grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
                try:
                    while True:
                        await channel.unary_unary(METHODS[Signal.TRACES])(TRACES, timeout=20)
                        acknowledged.append("grpc")
                except grpc.aio.AioRpcError as error:
                    ends.append(error.code())

        async def send_over_http():
            url, headers = f"http://{over_http}/v1/traces", {"content-type": "application/x-protobuf"}
            async with httpx.AsyncClient(trust_env=False, timeout=20) as web:
                try:
                    while (answer := await web.post(url, content=TRACES, headers=headers)).status_code == 200:
                        acknowledged.append("http")
                    ends.append(answer.status_code)
                except httpx.TransportError:
                    ends.append("cut off")

        senders = [asyncio.create_task(send()) for send in (send_over_grpc, send_over_http) for _ in range(10)]
        await until(lambda: min(acknowledged.count("grpc"), acknowledged.count("http")) >= 50)
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(asyncio.gather(*senders), 30)
        _, errors = await asyncio.wait_for(process.communicate(), 30)

        assert len(ends) == 20
        assert set(ends) <= {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, 503, "cut off"}
        assert (process.returncode, b"Traceback" in errors) == (0, False)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()

"""A real uvicorn under opentelemetry-instrument, with a real OTLP collector: no line of the application knows us."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from otlp_sink import OtlpSink, attributes

from otel_ml import semconv

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
REQUESTS = 5
PATHS = ("/sync", "/async", "/executor", "/opaque")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def call(port, path, body=None, headers=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"content-type": "application/json", **(headers or {})},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read())


def wait_until_up(port, process, timeout_s=90):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server died"
        try:
            call(port, "/health")
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise AssertionError("the server did not come up")


@pytest.fixture(scope="module")
def served():
    """What the collector has, and what the server answered and wrote, after some requests of each kind."""
    with OtlpSink() as sink:
        port = free_port()
        process = subprocess.Popen(
            [
                *(BIN / "opentelemetry-instrument", BIN / "uvicorn", "zero_code_app:app"),
                *("--app-dir", HERE, "--port", str(port), "--log-level", "warning"),
            ],
            env={
                **os.environ,
                **sink.environment,
                "PYTHONUNBUFFERED": "1",
                "OTEL_SERVICE_NAME": "flowers",
                "OTEL_BSP_SCHEDULE_DELAY": "200",
                "OTEL_BLRP_SCHEDULE_DELAY": "200",
                "OTEL_METRIC_EXPORT_INTERVAL": "500",
                "OTEL_PYTHON_ML_EXPORT_INTERVAL": "500",
                "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            wait_until_up(port, process)
            answers = [
                call(port, path, {"values": [5.1, 3.5, 1.4, 0.2]}, {"x-request-id": f"{path}-{number}"})
                for path in PATHS
                for number in range(REQUESTS)
            ]
            sink.wait_for(lambda: len(sink.log_records(semconv.EVENT_INFERENCE_RESULT)) >= REQUESTS * len(PATHS))
            sink.wait_for(lambda: sink.spans("predict RandomForestClassifier"))
        finally:
            process.send_signal(signal.SIGINT)
            output, _ = process.communicate(timeout=30)
        yield sink, answers, output


def test_answers_are_what_they_would_have_been(served):
    """Telemetry changes no response and writes nothing."""
    _, answers, output = served

    assert answers[: 3 * REQUESTS] == [{"label": 0}] * (3 * REQUESTS)
    assert all(answer == {"prediction": pytest.approx(10.2)} for answer in answers[3 * REQUESTS :])
    assert "otel-ml" not in output
    assert "Traceback" not in output
    assert "Failed to detach context" not in output


def test_every_request_is_one_inference(served):
    """Ten trees on joblib's threads, endpoints in threads, loops and pools: one row each; opaque ones from outside."""
    sink, _, _ = served

    rows = {}
    for record in sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT):
        found = attributes(record)
        name = found[semconv.MODEL_NAME]
        rows[name] = rows.get(name, 0) + found[semconv.SKETCH_ROWS]

    assert rows == {"RandomForestClassifier": 3 * REQUESTS, "predict_opaque": REQUESTS}


def test_every_inference_carries_the_id_of_its_request(served):
    """x-request-id reaches the model call through threads and pools."""
    sink, _, _ = served

    ids = {attributes(record)[semconv.PREDICTION_ID] for record in sink.log_records(semconv.EVENT_INFERENCE_RESULT)}

    assert ids == {f"{path}-{number}" for path in PATHS for number in range(REQUESTS)}


def test_there_is_one_server_span_a_request_and_the_models_span_inside(served):
    """FastAPI's own SERVER span is the only one; the model's span is in its trace."""
    sink, _, _ = served

    servers = [
        span
        for span in sink.spans()
        if span.kind == Span.SPAN_KIND_SERVER and attributes(span).get(semconv.HTTP_ROUTE) in PATHS
    ]
    models = sink.spans("predict RandomForestClassifier")
    traces = [span.trace_id for span in servers]

    assert len(servers) == REQUESTS * len(PATHS)
    assert len(set(traces)) == len(traces)
    assert len(models) == 3 * REQUESTS
    assert {span.trace_id for span in models} <= set(traces)
    assert all(span.parent_span_id for span in models)
    assert {span.kind for span in models} == {Span.SPAN_KIND_INTERNAL}

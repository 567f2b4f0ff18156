"""PyTriton with the real Triton server, asked by the real client."""

import os
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http
from otlp_sink import OtlpSink, attributes
from server_process import PORT, ServerProcess, free_port

from otel_ml import semconv
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureKey, FeatureRole

HERE = Path(__file__).parent
REQUESTS = 12

pytestmark = pytest.mark.slow


class TritonServer(ServerProcess):
    """Is ready once its last model is: the server is much earlier."""

    def get(self, *args, **kwargs):
        answer = super().get(*args, **kwargs)
        return answer if answer.status == 200 else answer._replace(status=503)


def triton_server(environment, *, instrumented=True):
    # Triton's own process runs Python too, with whatever shared library of this version the linker finds first.
    libraries = os.pathsep.join(filter(None, (sysconfig.get_config_var("LIBDIR"), os.environ.get("LD_LIBRARY_PATH"))))
    return TritonServer(
        [sys.executable, HERE / "pytriton_app.py", PORT, free_port(), free_port()],
        {"LD_LIBRARY_PATH": libraries, **environment},
        ready="/v2/models/length/ready",
        instrumented=instrumented,
    )


def ask(server, number):
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        rows = tritonclient.http.InferInput("rows", [2, 2], "FP32")
        rows.set_data_from_numpy(np.array([[number, 2.0], [number, 1.0]], dtype=np.float32))
        return client.infer("area", [rows], parameters={"prediction_id": f"order-{number}"}).as_numpy("area").tolist()


def ask_for_length(server):
    with tritonclient.http.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        word = tritonclient.http.InferInput("word", [1], "BYTES")
        word.set_data_from_numpy(np.array([b"triton"], dtype=object))
        return client.infer("length", [word]).as_numpy("length").tolist()


class Run:
    """What a server answered."""

    def __init__(self, server):
        with ThreadPoolExecutor(8) as pool:
            self.answers = list(pool.map(lambda number: ask(server, number), range(REQUESTS)))
        self.length = ask_for_length(server)


@pytest.fixture(scope="module")
def bare():
    with triton_server({}, instrumented=False) as server:
        yield Run(server)


@pytest.fixture(scope="module")
def served():
    with OtlpSink() as sink:
        with triton_server({**sink.environment, "OTEL_PYTHON_ML_CAPTURE_EVENTS": "events"}) as server:
            run = Run(server)
            server.stop()
            run.output = server.output
        run.sink = sink
        run.snapshots = [
            codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
            for record in sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        ]
        yield run


def test_answers_are_what_they_would_have_been(served, bare):
    """Nothing of requests or answers is changed."""
    assert served.answers == bare.answers
    assert served.length == bare.length == [6]


def test_every_row_is_counted_once_under_tritons_name_and_version(served):
    """The library's model inside of the function is not recorded once more."""
    rows = {}
    for snapshot in served.snapshots:
        rows[snapshot.model] = rows.get(snapshot.model, 0) + snapshot.rows

    assert rows == {("area", "3"): 2 * REQUESTS, ("length", "1"): 1}


def test_tensors_are_features_by_name(served):
    """Inputs as Triton has them; the only output is the prediction."""
    keys = {summary.key for snapshot in served.snapshots for summary in snapshot.features}

    assert keys == {
        FeatureKey(FeatureRole.FEATURE, "rows.0"),
        FeatureKey(FeatureRole.FEATURE, "rows.1"),
        FeatureKey(FeatureRole.FEATURE, "word"),
        FeatureKey(FeatureRole.PREDICTION, "prediction"),
    }


def test_each_row_of_a_batch_has_the_id_its_request_was_given(served):
    """However Triton puts requests together."""
    ids = sorted(
        id_
        for record in served.sink.log_records(semconv.EVENT_INFERENCE_RESULT)
        if (id_ := attributes(record).get(semconv.PREDICTION_ID, "")).startswith("order-")
    )

    assert ids == sorted(f"order-{number}:{row}" for number in range(REQUESTS) for row in range(2))


def test_one_span_a_batch(served):
    """Fewer than requests, for Triton batches; together they hold every row."""
    spans = served.sink.spans("infer area")

    assert 1 <= len(spans) < REQUESTS
    assert sum(attributes(span)[semconv.BATCH_SIZE] for span in spans) == 2 * REQUESTS


def test_nothing_is_written_or_broken(served):
    """No warning of ours, no context that could not be detached."""
    assert "otel-ml:" not in served.output
    assert "Failed to detach context" not in served.output
    assert "otel_ml/" not in served.output

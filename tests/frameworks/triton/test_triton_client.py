"""Triton's clients against a real server of the v2 protocol, over HTTP and gRPC, plain and asynchronous."""

import asyncio

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.grpc.aio
import tritonclient.http
import tritonclient.http.aio
from contracts.instrumentation import ModelContract, instrumented
from tritonclient.utils import InferenceServerException

from otel_ml import semconv
from otel_ml.config import Settings
from otel_ml.instrumentation.models import triton_client
from otel_ml.instrumentation.models.triton_client import TritonClientInstrumentor
from otel_ml.instrumentation.requests.serving import ServedRequest, prediction_header
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.testing import captured_telemetry

ROWS = np.array([[0.5, 1.0], [1.5, 0.0], [2.0, 1.0]], dtype=np.float32)


def rows_tensor(library, rows=ROWS, **binary):
    tensor = library.InferInput("rows", list(rows.shape), "FP32")
    tensor.set_data_from_numpy(rows, **binary)
    return tensor


class TritonContract(ModelContract):
    """What the four clients have in common."""

    instrumentor = TritonClientInstrumentor
    reported_as = "sums"
    operation = "infer"
    system = "triton"

    @pytest.fixture(autouse=True)
    def where(self, peer):
        self.peer = peer


class TestHttp(TritonContract):
    """`tritonclient.http`."""

    def model(self):
        return tritonclient.http.InferenceServerClient(self.peer.http)

    def infer(self, model):
        return model.infer("sums", [rows_tensor(tritonclient.http)]).as_numpy("total").tolist()

    def fail(self, model):
        model.infer("nothing", [rows_tensor(tritonclient.http)])


class TestGrpc(TritonContract):
    """`tritonclient.grpc`."""

    def model(self):
        return tritonclient.grpc.InferenceServerClient(self.peer.grpc)

    def infer(self, model):
        return model.infer("sums", [rows_tensor(tritonclient.grpc)]).as_numpy("total").tolist()

    def fail(self, model):
        model.infer("nothing", [rows_tensor(tritonclient.grpc)])


class TestHttpAio(TritonContract):
    """`tritonclient.http.aio`; a loop for each call, with a client of its own."""

    def model(self):
        return self.peer.http

    def infer(self, model):
        return asyncio.run(self.asked(model, "sums")).as_numpy("total").tolist()

    def fail(self, model):
        asyncio.run(self.asked(model, "nothing"))

    async def asked(self, url, name):
        async with tritonclient.http.aio.InferenceServerClient(url) as client:
            return await client.infer(name, [rows_tensor(tritonclient.http)])


class TestGrpcAio(TritonContract):
    """`tritonclient.grpc.aio`; a loop for each call, with a client of its own."""

    def model(self):
        return self.peer.grpc

    def infer(self, model):
        return asyncio.run(self.asked(model, "sums")).as_numpy("total").tolist()

    def fail(self, model):
        asyncio.run(self.asked(model, "nothing"))

    async def asked(self, url, name):
        async with tritonclient.grpc.aio.InferenceServerClient(url) as client:
            return await client.infer(name, [rows_tensor(tritonclient.grpc)])


@pytest.fixture
def client(peer):
    """The HTTP client, instrumented for one test."""
    with instrumented(TritonClientInstrumentor):
        client = tritonclient.http.InferenceServerClient(peer.http)
        yield client
        client.close()


def test_tensors_are_the_features_and_outputs_are_told_apart(client):
    """Inputs by the names the model knows them by; an output called like a probability is the score."""
    with captured_telemetry() as telemetry:
        client.infer("sums", [rows_tensor(tritonclient.http)])

        (snapshot,) = telemetry.snapshots()
        assert {summary.key: summary.counters.rows for summary in snapshot.features} == {
            FeatureKey(FeatureRole.FEATURE, "rows.0"): 3,
            FeatureKey(FeatureRole.FEATURE, "rows.1"): 3,
            FeatureKey(FeatureRole.PREDICTION, "prediction"): 3,
            FeatureKey(FeatureRole.SCORE, "score"): 3,
        }


def colour_tensors(*, binary):
    colours = tritonclient.http.InferInput("colour", [3, 1], "BYTES")
    colours.set_data_from_numpy(np.array([["red"], ["blue"], ["red"]], dtype=object), binary_data=binary)
    numbers = tritonclient.http.InferInput("number", [3, 1], "INT64")
    numbers.set_data_from_numpy(np.array([[1], [2], [3]]))
    return [colours, numbers]


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_strings_are_categories_however_they_are_sent(client, binary):
    """As bytes behind the JSON, or as a list inside of it."""
    with captured_telemetry(capture_events=True) as telemetry:
        client.infer("colours", colour_tensors(binary=binary))

        (snapshot,) = telemetry.snapshots()
        assert {summary.key.name for summary in snapshot.features} == {"colour", "number", "prediction"}
        rows = [event.attributes for event in telemetry.events(semconv.EVENT_INFERENCE_RESULT)]
        assert [row[semconv.INFERENCE_FEATURES]["colour"] for row in rows] == ["red", "blue", "red"]


def ids_of(telemetry):
    return [event.attributes[semconv.PREDICTION_ID] for event in telemetry.events(semconv.EVENT_INFERENCE_RESULT)]


def test_the_request_id_is_the_prediction_id(client):
    """It is what Triton's own log and a label know the inference by; rows are numbered."""
    with captured_telemetry(capture_events=True) as telemetry:
        client.infer("sums", [rows_tensor(tritonclient.http)], request_id="order-7")

        assert ids_of(telemetry) == ["order-7:0", "order-7:1", "order-7:2"]


def test_in_a_served_request_it_is_that_requests_inference(client):
    """The response tells the id under which the remote model's answer is reported."""
    with captured_telemetry(capture_events=True) as telemetry:
        with ServedRequest("test", headers=[("x-request-id", "shop-1")]) as scope:
            client.infer("sums", [rows_tensor(tritonclient.http, ROWS[:1])])
            told = prediction_header(scope)

        assert ids_of(telemetry) == ["shop-1"]
        assert told == (semconv.PREDICTION_ID_HEADER, "shop-1")


def test_a_request_id_of_the_programs_own_is_told_as_well(client):
    """It goes before the served request's: header and event agree."""
    with captured_telemetry(capture_events=True) as telemetry:
        with ServedRequest("test", headers=[("x-request-id", "shop-1")]) as scope:
            client.infer("sums", [rows_tensor(tritonclient.http, ROWS[:1])], request_id="order-7")
            told = prediction_header(scope)

        assert ids_of(telemetry) == ["order-7"]
        assert told == (semconv.PREDICTION_ID_HEADER, "order-7")


def test_the_version_asked_for_is_reported(peer):
    """Also when it is not given by name."""
    key = triton_client._info(Settings(), "sums", "3").key

    assert key == ("sums", "3")


def test_a_hundred_thousand_models_stay_bounded():
    """Names are the caller's."""
    for number in range(2_000):
        triton_client._info(Settings(), f"model-{number}", "")

    assert len(triton_client._infos) <= 1_000
    triton_client._infos.clear()


def test_a_tensor_in_shared_memory_is_left_out(client):
    """There is nothing to read; the call goes its way and is counted all the same."""
    tensor = tritonclient.http.InferInput("rows", [3, 2], "FP32")
    tensor.set_shared_memory("region", 24)
    with captured_telemetry() as telemetry:
        with pytest.raises(InferenceServerException):
            client.infer("sums", [tensor])

        (span,) = telemetry.spans()
        assert span.name == "infer sums"


async def test_calls_at_the_same_time_are_told_apart(peer):
    """Tasks of one loop: each call has its own span and id."""
    with instrumented(TritonClientInstrumentor), captured_telemetry(capture_events=True) as telemetry:
        async with tritonclient.grpc.aio.InferenceServerClient(peer.grpc) as client:
            await asyncio.gather(
                *(
                    client.infer("sums", [rows_tensor(tritonclient.grpc, ROWS[:1])], request_id=f"order-{number}")
                    for number in range(8)
                )
            )

        assert sorted(ids_of(telemetry)) == [f"order-{number}" for number in range(8)]
        assert len({span.context.span_id for span in telemetry.spans()}) == 8

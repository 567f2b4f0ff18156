"""gRPC servers: calls that are recorded themselves."""

import grpc
import numpy as np
import pytest
from instrumentation.servers.flower_messages import (
    Answer,
    Answers,
    Done,
    Flower,
    Flowers,
    ModelInferRequest,
    ModelInferResponse,
)
from instrumentation.servers.grpc_calls import AioServer, call, eventually, generic, serving

from otel_ml import semconv
from otel_ml.instrumentation import identity
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry

pytestmark = pytest.mark.usefixtures("grpc_instrumented")


@pytest.mark.parametrize("server", [serving, AioServer])
def test_a_call_is_recorded_where_no_model_was_seen(recorded, ids_wanted, server):
    """Fields of the messages are read after the response was sent; enums by name, bytes never."""

    def opaque(request, context):
        return Answer(prediction=3.0, score=0.5)

    async def opaque_async(request, context):
        return opaque(request, context)

    flower = Flower(width=1.0, colour=1, photo=b"picture")
    with server(generic("unary_unary", "Rate", opaque if server is serving else opaque_async)) as channel:
        _, told = call(channel, "unary_unary", "Rate", flower, Answer, metadata=(("x-request-id", "r-1"),))
        assert eventually(lambda: recorded)

    (inference,) = recorded
    assert inference.model.key == ModelKey("Predictor.Rate")
    assert inference.model.system == "grpc"
    assert inference.features == [{"width": 1.0, "height": 0.0, "colour": "RED"}]
    assert (inference.predictions, inference.scores) == ([3.0], [0.5])
    assert inference.prediction_id == told["x-prediction-id"] == "r-1"


def test_a_list_of_messages_is_a_batch(recorded):
    """One row each, and one prediction each."""
    handler = generic("unary_unary", "Rate", lambda request, context: Answers(predictions=[1.0, 2.0]), request=Flowers)
    with serving(handler) as channel:
        call(channel, "unary_unary", "Rate", Flowers(rows=[Flower(width=1.0), Flower(width=2.0)], note="x"), Answers)
        assert eventually(lambda: recorded)

    assert [row["width"] for row in recorded[0].features] == [1.0, 2.0]
    assert recorded[0].predictions == [1.0, 2.0]


@pytest.mark.parametrize("raw", [False, True])
def test_tensors_of_the_open_inference_protocol_are_read_in_any_package(raw):
    """Model, version and id are those of the request; contents may come typed or as bytes."""
    width = {"name": "width", "datatype": "FP32", "shape": [2, 1]}
    colour = {"name": "colour", "datatype": "BYTES", "shape": [2]}
    label = {"name": "label", "datatype": "INT64", "shape": [2]}
    request = ModelInferRequest(model_name="flowers", model_version="7", id="body", inputs=[width, colour])
    response = ModelInferResponse(outputs=[label])
    if raw:
        request.raw_input_contents.append(np.array([1.5, 2.5], "<f4").tobytes())
        request.raw_input_contents.append(b"\x03\0\0\0red\x04\0\0\0blue")
        response.raw_output_contents.append(np.array([0, 1], "<i8").tobytes())
    else:
        request.inputs[0].contents.fp32_contents.extend([1.5, 2.5])
        request.inputs[1].contents.bytes_contents.extend([b"red", b"blue"])
        response.outputs[0].contents.int64_contents.extend([0, 1])

    handler = generic("unary_unary", "ModelInfer", lambda _, __: response, request=ModelInferRequest)
    with captured_telemetry(capture_events=True) as telemetry, serving(handler) as channel:
        _, told = call(channel, "unary_unary", "ModelInfer", request, ModelInferResponse)
        events = eventually(lambda: telemetry.events(semconv.EVENT_INFERENCE_RESULT))
        (snapshot,) = telemetry.snapshots()

    assert (snapshot.model, snapshot.rows) == (ModelKey("flowers", "7"), 2)
    assert [dict(event.attributes[semconv.INFERENCE_FEATURES]) for event in events] == [
        {"width": 1.5, "colour": "red"},
        {"width": 2.5, "colour": "blue"},
    ]
    assert [event.attributes[semconv.INFERENCE_PREDICTION] for event in events] == [0, 1]
    assert [event.attributes[semconv.PREDICTION_ID] for event in events] == ["body:0", "body:1"]
    assert told["x-prediction-id"] == "body"


def test_a_servicer_can_be_named(recorded):
    """set_model works on the object whose methods answer, and on its class."""

    class Servicer:
        def rate(self, request, context):
            return Answer(prediction=1.0)

    servicer = Servicer()
    identity.set_model(servicer, "fraud", "3")
    with serving(generic("unary_unary", "Rate", servicer.rate)) as channel:
        call(channel, "unary_unary", "Rate", Flower(), Answer)
        assert eventually(lambda: recorded)

    assert recorded[0].model.key == ModelKey("fraud", "3")


def test_calls_that_are_no_inferences_are_not_recorded(recorded):
    """The response must say so, or the method's name; bytes without descriptors are nobody's business."""
    ordinary = generic("unary_unary", "Create", lambda request, context: Done(done=True, id="1"))
    unreadable = grpc.method_handlers_generic_handler(
        "flowers.Raw", {"Predict": grpc.unary_unary_rpc_method_handler(lambda request, context: b"\x01")}
    )
    with serving(ordinary, unreadable) as channel:
        call(channel, "unary_unary", "Create", Flower(), Done)
        raw = channel.unary_unary("/flowers.Raw/Predict")(b"\x00", timeout=30)

    assert raw == b"\x01"
    assert recorded == []

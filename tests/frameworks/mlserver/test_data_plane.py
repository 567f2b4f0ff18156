"""MLServer's data plane keeps the contract of everything that runs models, and so do messages of Kafka."""

import asyncio
import functools
import sys

import pytest
from contracts.instrumentation import ModelContract, instrumented, rows_of
from mlserver import ModelSettings, Settings
from mlserver.handlers import DataPlane
from mlserver.kafka.handlers import KafkaHandlers
from mlserver.kafka.message import KafkaMessage
from mlserver.registry import MultiModelRegistry
from mlserver.types import InferenceRequest
from served import MODELS, flat, windows

from otel_ml import semconv
from otel_ml.instrumentation.servers.mlserver import MLServerInstrumentor
from otel_ml.testing import captured_telemetry

sys.path.insert(0, str(MODELS))

pytestmark = pytest.mark.filterwarnings(
    # MLServer hands its settings to pydantic in ways that pydantic has announced to remove.
    "ignore::DeprecationWarning"
)


@functools.cache  # it registers metrics of its own, which Prometheus allows once per process
def plane():
    registry = MultiModelRegistry()
    settings = ModelSettings.parse_file(str(MODELS / "flats" / "model-settings.json"))
    asyncio.run(registry.load(settings))
    return DataPlane(Settings(parallel_workers=0), registry)


class TestDataPlane(ModelContract):
    """One request of three rows, without a server around."""

    instrumentor = MLServerInstrumentor
    reported_as = "flats"
    operation = "infer"
    system = "mlserver"

    def model(self):
        return plane()

    def infer(self, model):
        tensor = {"name": "x", "shape": [3, 2], "datatype": "FP64", "data": [1.0, 20.0, 3.0, 60.0, 6.0, 200.0]}
        response = asyncio.run(model.infer(InferenceRequest(inputs=[tensor]), "flats"))
        return [output.model_dump() for output in response.outputs]

    def fail(self, model):
        asyncio.run(model.infer(InferenceRequest(**windows()), "flats"))


def test_a_message_of_kafka_is_a_request():
    """Its key is the id of the body, and the answer carries the id in a header."""
    message = KafkaMessage(key="kafka-1", value=flat(1.0, 20.0), headers={"mlserver-model": "flats", "Ce-Id": "no"})
    with instrumented(MLServerInstrumentor), captured_telemetry(capture_events=True) as telemetry:
        answer = asyncio.run(KafkaHandlers(plane()).infer(message))
        (event,) = telemetry.events(semconv.EVENT_INFERENCE_RESULT)

        assert rows_of(telemetry.snapshots()) == {"flats": 1}
        assert event.attributes[semconv.PREDICTION_ID] == "kafka-1"
        assert answer.headers[semconv.PREDICTION_ID_HEADER] == "kafka-1"

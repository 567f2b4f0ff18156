"""KServe's data plane keeps the contract of everything that runs models."""

import asyncio

import pytest
from contracts.instrumentation import ModelContract
from kserve import InferInput, InferRequest, ModelRepository
from kserve.protocol.dataplane import DataPlane
from kserve_app import Flats

from otel_ml.instrumentation.servers.kserve import KServeInstrumentor

pytestmark = pytest.mark.filterwarnings(
    # uvicorn and KServe import what their dependencies have announced to remove.
    "ignore::DeprecationWarning"
)


class TestDataPlane(ModelContract):
    """One version 2 request of three rows, without a server around."""

    instrumentor = KServeInstrumentor
    reported_as = "flats"
    operation = "infer"
    system = "kserve"

    def model(self):
        repository = ModelRepository()
        repository.update(Flats("flats"))
        return DataPlane(repository)

    def infer(self, model):
        response, _ = asyncio.run(model.infer("flats", _request("x", [1.0, 20.0, 3.0, 60.0, 6.0, 200.0])))
        return [(output.name, output.shape, output.data) for output in response.outputs]

    def fail(self, model):
        asyncio.run(model.infer("flats", _request("windows", [3.0, 4.0])))


def _request(name, data):
    return InferRequest("flats", [InferInput(name, [len(data) // 2, 2], "FP64", data)])

"""KServe keeps the contract of every server framework: both versions of the protocol, REST, gRPC, and workers."""

import pytest
from contracts.instrumentation import ServerContract, rows_of
from served import KServe, flat, grpc_flat

pytestmark = pytest.mark.slow


class TestVersion2(ServerContract):
    """Tensors over HTTP, with scikit-learn behind."""

    reported_as = "flats"
    workers = 1

    def serve(self, environment, *, instrumented=True):
        return KServe(environment, workers=self.workers, instrumented=instrumented)

    def ask(self, server, number, headers):
        return server.infer(flat(1.0 + number % 6, 20.0 + 5.0 * number), headers)

    def ask_wrongly(self, server):
        # Before the model: KServe logs where every refusal of a model came from, hooks included.
        return server.infer({"inputs": "none"})

    def test_models_below_are_quiet(self, served):
        """scikit-learn is instrumented too, and would report its own class."""
        assert set(rows_of(served.snapshots())) == {"flats"}


class TestVersion1(TestVersion2):
    """Instances over HTTP."""

    def ask(self, server, number, headers):
        return server.predict([[1.0 + number % 6, 20.0 + 5.0 * number]], headers)

    def ask_wrongly(self, server):
        return server.post("/v1/models/flats:guess", {"instances": [[1.0, 2.0]]})


class TestWorkers(TestVersion2):
    """Two processes made by spawn."""

    workers = 2


class TestGrpc(TestVersion2):
    """Tensors over gRPC."""

    def ask(self, server, number, headers):
        return server.infer_by_grpc(grpc_flat(1.0 + number % 6, 20.0 + 5.0 * number), headers)

    def ask_wrongly(self, server):
        return server.guess_by_grpc()

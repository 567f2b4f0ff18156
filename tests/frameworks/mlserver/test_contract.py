"""MLServer keeps the contract of every server framework, over REST, over gRPC and with worker processes."""

import pytest
from contracts.instrumentation import ServerContract, rows_of
from served import MLServer, flat, grpc_flat, windows

pytestmark = pytest.mark.slow


class TestRest(ServerContract):
    """Version 2 over HTTP, with scikit-learn in the server's own process."""

    reported_as = "flats"
    workers = 0

    def serve(self, environment, *, instrumented=True):
        return MLServer(environment, workers=self.workers, instrumented=instrumented)

    def ask(self, server, number, headers):
        return server.infer("flats", flat(1.0 + number % 6, 20.0 + 5.0 * number), headers)

    def ask_wrongly(self, server):
        return server.infer("flats", windows())

    def test_models_below_are_quiet(self, served):
        """scikit-learn is instrumented too, and would report its own class."""
        assert set(rows_of(served.snapshots())) == {"flats"}


class TestWorkers(TestRest):
    """Models run in processes of their own, which MLServer's default is: the server's process records."""

    workers = 2


class TestGrpc(TestRest):
    """Version 2 over gRPC: the id travels in the metadata."""

    def ask(self, server, number, headers):
        return server.infer_by_grpc("flats", grpc_flat(1.0 + number % 6, 20.0 + 5.0 * number), headers)

    def ask_wrongly(self, server):
        # Before the model: MLServer logs where every refusal of a model came from, hooks included.
        return server.guess_by_grpc()

"""gRPC servers, sync and aio, keep the contract of every server framework."""

import sys
from pathlib import Path

import grpc
import pytest
from contracts.instrumentation import ServerContract
from instrumentation.servers.flower_messages import Area, Flower
from server_process import PORT, Answer, ServerProcess, free_port

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


class GrpcServerProcess(ServerProcess):
    """The health page is plain HTTP, the model is asked over gRPC."""

    def __init__(self, kind, environment, *, instrumented):
        self.grpc_port = free_port()
        command = [sys.executable, HERE / "grpc_app.py", kind, str(self.grpc_port), PORT]
        super().__init__(command, environment, instrumented=instrumented)

    def ask_model(self, number, metadata=()):
        """One unary call; code, message and trailing metadata."""
        with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
            predict = channel.unary_unary(
                "/flowers.Predictor/Predict",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=Area.FromString,
            )
            try:
                area, call = predict.with_call(
                    Flower(width=number, height=2.0), metadata=metadata, timeout=60, wait_for_ready=True
                )
            except grpc.RpcError as error:
                return Answer(400, f"{error.code()} {error.details()}", {})
            return Answer(200, area.area, dict(call.trailing_metadata()))


class TestSyncGrpc(ServerContract):
    """A server as in gRPC's own examples: nobody handles SIGTERM, and what was recorded still arrives."""

    reported_as = "LinearRegression"
    kind = "sync"

    def serve(self, environment, *, instrumented=True):
        return GrpcServerProcess(self.kind, environment, instrumented=instrumented)

    def ask(self, server, number, headers):
        return server.ask_model(number, tuple(headers.items()))

    def ask_wrongly(self, server):
        return server.ask_model(-1)

    def test_it_ends_by_the_signal_as_before(self):
        """Delivering first does not change how the process ends."""
        with self.serve({"OTEL_TRACES_EXPORTER": "none"}) as server:
            server.ask_model(1)

            assert server.stop() == -15


class TestAsyncGrpc(TestSyncGrpc):
    """grpc.aio."""

    kind = "aio"

"""BentoML keeps the contract of every server framework."""

from pathlib import Path

import pytest
from contracts.instrumentation import ServerContract
from server_process import BIN, PORT, ServerProcess

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


class TestBentoML(ServerContract):
    """`bentoml serve`, with a scikit-learn model behind an API of one row."""

    reported_as = "LinearRegression"

    def serve(self, environment, *, instrumented=True):
        command = [BIN / "bentoml", "serve", "services:Area", "--port", PORT]
        return ServerProcess(command, environment, instrumented=instrumented, cwd=HERE, ready="/readyz")

    def ask(self, server, number, headers):
        return server.post("/predict", {"row": {"width": number, "height": 2.0}}, headers)

    def ask_wrongly(self, server):
        return server.post("/predict", {"row": {"width": "wide"}})

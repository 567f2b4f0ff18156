"""Starlette keeps the contract of every server framework."""

from pathlib import Path

import pytest
from contracts.instrumentation import ServerContract
from server_process import BIN, PORT, ServerProcess

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


class TestStarlette(ServerContract):
    """Under uvicorn, with an endpoint that parses its body itself."""

    reported_as = "LinearRegression"

    def serve(self, environment, *, instrumented=True):
        command = [BIN / "uvicorn", "starlette_app:app", "--app-dir", HERE, "--port", PORT, "--log-level", "warning"]
        return ServerProcess(command, environment, instrumented=instrumented)

    def ask(self, server, number, headers):
        return server.post("/predict", {"width": number, "height": 2.0}, headers)

    def ask_wrongly(self, server):
        return server.post("/predict", {"height": 2.0})

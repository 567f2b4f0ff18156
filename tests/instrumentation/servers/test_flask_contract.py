"""Flask keeps the contract of every server framework."""

import signal
import sys
from pathlib import Path

import pytest
from contracts.instrumentation import ServerContract, rows_of
from otlp_sink import OtlpSink, attributes
from server_process import BIN, PORT, ServerProcess

from otel_ml import semconv
from otel_ml.sketch import codec

HERE = Path(__file__).parent

pytestmark = pytest.mark.slow


class TestFlask(ServerContract):
    """Under gunicorn, with threads."""

    reported_as = "LinearRegression"

    def serve(self, environment, *, instrumented=True):
        gunicorn = [BIN / "gunicorn", "flask_app:app", "--chdir", HERE, "--bind", f"127.0.0.1:{PORT}"]
        return ServerProcess([*gunicorn, "--threads", "4"], environment, instrumented=instrumented)

    def ask(self, server, number, headers):
        return server.post("/predict", {"width": number, "height": 2.0}, headers)

    def ask_wrongly(self, server):
        return server.post("/predict", {"height": 2.0})


def test_flasks_own_server_delivers_when_it_is_interrupted():
    """Control-C during development loses nothing."""
    with OtlpSink() as sink:
        with ServerProcess([sys.executable, HERE / "flask_app.py", PORT], sink.environment) as server:
            for number in range(5):
                server.post("/predict", {"width": number, "height": 2.0})
            server.stop(signal.SIGINT)
        snapshots = [
            codec.decode(attributes(record)[semconv.SKETCH_PAYLOAD])
            for record in sink.log_records(semconv.EVENT_SKETCH_SNAPSHOT)
        ]

    assert rows_of(snapshots) == {"LinearRegression": 5}

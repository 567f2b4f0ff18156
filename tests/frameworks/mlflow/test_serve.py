"""`mlflow models serve`: its FastAPI server keeps the contract of every server."""

import os
import signal
import sys
import time
from pathlib import Path

import mlflow
import pytest
from contracts.instrumentation import ServerContract, rows_of
from server_process import BIN, PORT, ServerProcess

from otel_ml import semconv

sys.path.append(str(Path(__file__).parent))
from mlflow_samples import NAMES, log, use

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class ModelsServe(ServerProcess):
    """MLflow's command line does not pass SIGTERM on to the server it starts: all of them get it, as by Ctrl-C."""

    def stop(self, how=signal.SIGTERM, timeout_s=60.0):
        """End leader and workers, and wait for all."""
        os.killpg(self.process.pid, how)
        self.exit_code = self.process.wait(timeout_s)
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            try:
                os.killpg(self.process.pid, 0)
            except ProcessLookupError:
                return self.exit_code
            time.sleep(0.1)
        raise AssertionError(f"workers did not stop within {timeout_s} s:\n{self.output[-4000:]}")


class TestModelsServe(ServerContract):
    """One model from a registry, behind the one worker that MLflow starts by default."""

    reported_as = "income"
    rows = 2
    _folder = None

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def registered(cls, tmp_path_factory):
        cls._folder = tmp_path_factory.mktemp("served")
        use(cls._folder)
        log(registered_model_name="income")

    def serve(self, environment, *, instrumented=True):
        return ModelsServe(
            [
                BIN / "mlflow",
                "models",
                "serve",
                "-m",
                "models:/income/1",
                "--env-manager",
                "local",
                "-p",
                PORT,
                "-w",
                "2",
            ],
            {
                "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
                "MLFLOW_REGISTRY_URI": mlflow.get_tracking_uri(),
                "MLFLOW_DISABLE_TELEMETRY": "true",
                **environment,
            },
            instrumented=instrumented,
            startup_s=300.0,
        )

    def ask(self, server, number, headers):
        rows = [[number / 100.0, 0.5], [0.5, number / 100.0]]
        return server.post("/invocations", {"dataframe_split": {"columns": NAMES, "data": rows}}, headers)

    def ask_wrongly(self, server):
        return server.post("/invocations", {"dataframe_split": {"columns": ["age"], "data": [[1.0]]}})

    def test_the_registry_names_model_and_columns(self, served):
        """The server loads a copy from a folder, beside which MLflow notes where it came from."""
        snapshots = served.snapshots()

        assert {snapshot.model.version for snapshot in snapshots} == {"1"}
        assert rows_of(snapshots) == {"income": self.rows * self.requests}
        assert {
            summary.key.name
            for snapshot in snapshots
            for summary in snapshot.features
            if summary.key.role.value == "feature"
        } == set(NAMES)

    def test_spans_lead_to_the_training_run(self, served):
        """The run that made the model is one click away."""
        from otlp_sink import attributes

        ours = [attributes(span) for span in served.sink.spans() if semconv.MODEL_NAME in attributes(span)]
        assert all(span.get(semconv.MODEL_RUN_ID) for span in ours)

"""deploy/compose without containers: the same files, programs and commands, on loopback; time runs faster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from otlp_sink import OtlpSink
from peers.running import Started, _answers, ask, free_ports, until
from shipped_files import DEPLOY

pytestmark = pytest.mark.slow

FOLDER = DEPLOY / "compose"
SERVER = FOLDER / "model-server"
SERVICES = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]
FASTER = {"window: 1m": "window: 4s", "lateness: 15s": "lateness: 1s", "min_rows: 100": "min_rows: 50"}


class Composition:
    """The services of compose.yaml but for the pictures: Grafana, and Tempo, for which a sink stands."""

    def __init__(self, peers, tempo):
        self.peers, self.folder = peers, peers.folder
        ports = free_ports(6)
        self.ports = dict(zip(("4317", "4318", "13133", "13180", "alerts", "8000"), ports, strict=True))
        subprocess.run([sys.executable, SERVER / "train.py", self.folder], check=True, capture_output=True, timeout=120)
        self.prometheus = peers.prometheus()
        self.processor = self._processor(tempo)
        self.collector = peers.collector(
            "agent.yaml",
            FOLDER / "alerts.yaml",
            OTEL_ML_UPSTREAM=f"127.0.0.1:{self.ports['4317']}",
            ALERTS_LISTEN=f"127.0.0.1:{self.ports['alerts']}",
        )
        self._model_server()
        self._traffic()

    def _start(self, name, command, ready, variables, folder=SERVER):
        log = self.folder / f"{name}.log"
        environment = {**os.environ, **variables}
        one = Started(name, command, log, "127.0.0.1:0", ready, env=environment, cwd=folder)
        self.peers.started.append(one)
        return one

    def _processor(self, tempo):
        text = (FOLDER / "processor.yaml").read_text()
        for port in ("4317", "4318", "13133", "13180"):
            text = text.replace(f"0.0.0.0:{port}", f"127.0.0.1:{self.ports[port]}")
        for slow, fast in FASTER.items():
            assert slow in text
            text = text.replace(slow, fast)
        path = self.folder / "processor.yaml"
        path.write_text(text)
        variables = {
            "OTEL_ML_BASELINES": str(self.folder),
            "OTEL_ML_STORE": str(self.folder / "store"),
            "PROMETHEUS": self.prometheus.url,
            "TEMPO": tempo.endpoint.removeprefix("http://"),
            "ALERTS": f"127.0.0.1:{self.ports['alerts']}",
        }
        command = [sys.executable, "-m", "collector_processor", "--config", path]
        ready = _answers(f"http://127.0.0.1:{self.ports['13133']}/readyz")
        return self._start("processor", command, ready, variables, self.folder)

    def _model_server(self):
        variables = {
            **SERVICES["model-server"]["environment"],
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.collector.address}",
            "OTEL_PYTHON_ML_BASELINE": str(self.folder / "wine.baseline"),
            "OTEL_PYTHON_ML_EXPORT_INTERVAL": "1000",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            "MODELS": str(self.folder),
        }
        programs = Path(sys.executable).parent
        launcher, *arguments = (
            {"0.0.0.0": "127.0.0.1", "8000": str(self.ports["8000"])}.get(part, part)
            for part in SERVICES["model-server"]["command"]
        )
        ready = _answers(f"http://127.0.0.1:{self.ports['8000']}/docs")
        variables["PATH"] = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self._start("model-server", [programs / launcher, *arguments], ready, variables)

    def _traffic(self):
        variables = {
            "SERVER": f"http://127.0.0.1:{self.ports['8000']}",
            "MODELS": str(self.folder),
            "PER_SECOND": "40",
            "SOUND_S": "8",
            "BROKEN_S": "600",
        }
        _, *arguments = SERVICES["traffic"]["command"]
        self._start("traffic", [sys.executable, *arguments], lambda: True, variables)

    def series(self, query):
        """What Prometheus has of a query now."""
        return ask(f"{self.prometheus.url}/api/v1/query", query=query)["data"]["result"]


def test_the_composition_tells_of_the_unit_that_was_changed(peers):
    """Gauges and histograms in Prometheus, spans at Tempo's, an alert on the Collector's output, pages to look at."""
    with OtlpSink() as tempo:
        composition = Composition(peers, tempo)
        drift = 'max_over_time(ml_feature_drift_psi{ml_feature_name="alcohol",ml_drift_reference="baseline"}[5m]) > 1'
        found, *_ = until(lambda: composition.series(drift))
        until(lambda: "ml.alert" in composition.collector.log.read_text())
        until(lambda: composition.series("ml_inference_duration_seconds_count"))
        until(tempo.spans)

        assert found["metric"].items() >= {"ml_model_name": "wine", "ml_model_version": "1"}.items()
        assert _answers(f"http://127.0.0.1:{composition.ports['13180']}/")()

"""What is written for the two processes, and how the user's own backend is reached."""

import pytest

from collector_processor import config
from otel_ml.baseline import Baseline
from otel_ml.demo import stage as stage_module
from otel_ml.demo.errors import DemoError
from otel_ml.demo.scenario import Scenario
from otel_ml.demo.stage import Stage, exporter_settings


class Started:
    """Takes the commands that would be started."""

    def __init__(self):
        self.calls = []

    def start(self, name, command, **how):
        self.calls.append((name, command, how))


@pytest.fixture
def stage(tmp_path):
    """A stage with a baseline, in a directory with an awkward name."""
    directory = tmp_path / "cost $5"
    directory.mkdir()
    stage = Stage(directory, Scenario(), backend_port=4001, processor_port=4002, server_port=4003, console_port=4004)
    Baseline.build({"a": [1.0, 2.0, 3.0]}, model="arrival-delay", version="1").save(stage.baseline)
    return stage


@pytest.mark.parametrize(
    ("url", "kind", "settings"),
    [
        ("http://localhost:4318", "otlp_http", {"endpoint": "http://localhost:4318"}),
        ("https://otlp.example.org/base/", "otlp_http", {"endpoint": "https://otlp.example.org/base"}),
        ("http://localhost:4317", "otlp_grpc", {"endpoint": "http://localhost:4317"}),
        ("https://otlp.example.org:4317", "otlp_grpc", {"endpoint": "https://otlp.example.org:4317"}),
        ("grpc://collector", "otlp_grpc", {"endpoint": "collector:4317", "tls": {"insecure": True}}),
        ("grpc://[::1]:55680", "otlp_grpc", {"endpoint": "[::1]:55680", "tls": {"insecure": True}}),
    ],
)
def test_scheme_and_port_tell_the_protocol(url, kind, settings):
    """gRPC for grpc:// and port 4317, HTTP for everything else."""
    assert exporter_settings(url) == (kind, settings)


@pytest.mark.parametrize("url", ["localhost:4317", "ftp://localhost", "http://", "http://host:port", ""])
def test_what_is_no_backend_is_refused_with_what_would_be(url):
    """The message shows the forms that work."""
    with pytest.raises(DemoError, match=r"http://host:4318 for OTLP/HTTP"):
        exporter_settings(url)


def test_the_processor_accepts_its_configuration(stage):
    """One week a window, everything to the demo's backend, snapshots included."""
    stage.start_processor(Started())

    found = config.load(stage.configuration)
    assert found.drift.window == 5.0
    assert found.drift.forward_snapshots
    assert [str(exporter.endpoint.address) for exporter in found.exporters.values()] == ["127.0.0.1:4001"]
    assert [baseline.model.name for baseline in found.baselines] == ["arrival-delay"]
    assert found.store.path == stage.directory / "processor"
    assert f"http://{found.console.endpoint}/" == stage.console


def test_another_backend_gets_everything_but_snapshots(stage, monkeypatch):
    """Every signal goes to both; sketch bytes are of no use to a stranger; headers never touch the disk."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s%3Dcret, x-team=ml")
    forwarding = Stage(stage.directory, Scenario(), 4001, 4002, 4003, 4004, "https://otlp.example.org")
    started = Started()
    forwarding.start_processor(started)

    ((_, _, how),) = started.calls
    found = config.load(forwarding.configuration, how["environment"])
    assert all(len(pipeline.exporters) == 2 for pipeline in found.pipelines.values())
    assert found.exporters["otlp_http/forward"].headers == {"api-key": "s=cret", "x-team": "ml"}
    assert not found.drift.forward_snapshots
    assert "cret" not in forwarding.configuration.read_text()


def test_the_server_is_told_everything_by_standard_variables(stage):
    """No argument and no line of code: OTEL_* only, with five exports to a window."""
    started = Started()
    stage.start_server(started)

    ((_, command, how),) = started.calls
    environment = how["environment"]
    assert command[0].endswith("opentelemetry-instrument")
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4002"
    assert environment["OTEL_PYTHON_ML_EXPORT_INTERVAL"] == "1000"
    assert environment["OTEL_PYTHON_ML_BASELINE"] == str(stage.baseline)
    assert (stage.directory / "server.py").read_text() == (
        stage_module.files("otel_ml.demo").joinpath("server.py").read_text()
    )


def test_a_missing_instrument_command_is_said(stage, monkeypatch):
    """Rather than a traceback about a file."""
    monkeypatch.setattr(stage_module.shutil, "which", lambda *_, **__: None)

    with pytest.raises(DemoError, match="opentelemetry-instrument: not found"):
        stage.start_server(Started())

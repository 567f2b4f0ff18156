"""What stands on the stage: a directory with model, baseline and configuration, and the two processes that use it."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from otel_ml.demo.errors import DemoError
from otel_ml.demo.processes import clean_environment
from otel_ml.demo.training import MODEL

if TYPE_CHECKING:
    from pathlib import Path

    from otel_ml.demo.processes import Child, Children
    from otel_ml.demo.scenario import Scenario

PROCESSOR: Final = "processor"
SERVER: Final = "model server"
FORWARD: Final = "forward"

_GRPC_PORT: Final = 4317
# A snapshot travels for some milliseconds; on a machine that has other things to do, for a second or two.
_LATENESS_S: Final = 2.0
_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where everything is.

    Attributes:
        directory: Holds all files of the demo.
        backend_port: The demo's own backend.
        processor_port: OTLP/gRPC in.
        server_port: HTTP.
        console_port: HTTP.
        forward: The user's own backend, as `--forward` names it.
    """

    directory: Path
    scenario: Scenario
    backend_port: int
    processor_port: int
    server_port: int
    console_port: int
    forward: str | None = None

    @property
    def console(self) -> str:
        """Where a browser finds the console."""
        return f"http://127.0.0.1:{self.console_port}/"

    @property
    def model(self) -> Path:
        """The fitted pipeline; beside server.py, under the name it looks for."""
        return self.directory / "model.joblib"

    @property
    def baseline(self) -> Path:
        """What the model knew in training."""
        return self.directory / f"{MODEL.name}-{MODEL.version}.baseline"

    @property
    def configuration(self) -> Path:
        """The processor's."""
        return self.directory / "processor.yaml"

    @property
    def interval_ms(self) -> int:
        """Time between two exports of the server: five to a window."""
        return round(self.scenario.week_s * 200)

    @property
    def lateness_s(self) -> float:
        """How long after its end a window is closed."""
        return max(_LATENESS_S, 0.4 * self.scenario.week_s)

    def start_processor(self, children: Children) -> Child:
        """Write the processor's configuration and start it."""
        import yaml

        text = yaml.safe_dump(self._processor_configuration(), sort_keys=False)
        self.configuration.write_text(text, encoding="utf-8")
        environment = clean_environment() | {variable: value for variable, _, value in _forwarded_headers()}
        command = [sys.executable, "-m", "collector_processor", "--config", str(self.configuration)]
        log = self.directory / "processor.log"
        return children.start(PROCESSOR, command, log=log, environment=environment, cwd=self.directory)

    def start_server(self, children: Children) -> Child:
        """Put the server's code beside the model and start it under OpenTelemetry's instrumentation.

        Raises:
            DemoError: The command `opentelemetry-instrument` is missing.
        """
        server = files("otel_ml.demo").joinpath("server.py").read_text(encoding="utf-8")
        (self.directory / "server.py").write_text(server, encoding="utf-8")
        scripts = os.pathsep.join((sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)))
        instrument = shutil.which("opentelemetry-instrument", path=scripts)
        if instrument is None:
            raise DemoError("opentelemetry-instrument: not found (pip install 'otel-ml[demo]' brings it)")
        uvicorn = ["-m", "uvicorn", "server:app", "--host", "127.0.0.1", "--port", str(self.server_port)]
        command = [instrument, sys.executable, *uvicorn, "--log-level", "warning"]
        environment = clean_environment() | self._server_environment()
        log = self.directory / "server.log"
        return children.start(SERVER, command, log=log, environment=environment, cwd=self.directory)

    def _server_environment(self) -> dict[str, str]:
        interval, soon = str(self.interval_ms), str(max(20, self.interval_ms // 5))
        return {
            "OTEL_SERVICE_NAME": "arrival-delay-server",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.processor_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "otlp",
            "OTEL_METRIC_EXPORT_INTERVAL": interval,
            "OTEL_BSP_SCHEDULE_DELAY": interval,
            "OTEL_BLRP_SCHEDULE_DELAY": soon,
            "OTEL_PYTHON_ML_EXPORT_INTERVAL": interval,
            "OTEL_PYTHON_ML_BASELINE": str(self.baseline),
            "OTEL_PYTHON_ML_MODEL_NAME": MODEL.name,
            "OTEL_PYTHON_ML_MODEL_VERSION": MODEL.version,
            # Trees of a few dozen rows gain nothing from more threads, and there may be two cores for everything.
            "OMP_NUM_THREADS": "1",
        }

    def _processor_configuration(self) -> dict[str, Any]:
        window_ms = round(self.scenario.week_s * 1000)
        exporters: dict[str, Any] = {
            "otlp_grpc/demo": {"endpoint": f"127.0.0.1:{self.backend_port}", "tls": {"insecure": True}}
        }
        if self.forward is not None:
            kind, settings = exporter_settings(self.forward)
            headers = {name: f"${{env:{variable}}}" for variable, name, _ in _forwarded_headers()}
            exporters[f"{kind}/{FORWARD}"] = settings | ({"headers": headers} if headers else {})

        def pipeline(*processors: str) -> dict[str, list[str]]:
            return {"receivers": ["otlp"], "processors": [*processors], "exporters": [*exporters]}

        return {
            "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"127.0.0.1:{self.processor_port}"}}}},
            "processors": {
                "drift": {
                    "baselines": [_quoted(self.baseline)],
                    "window": f"{window_ms}ms",
                    "lateness": f"{round(self.lateness_s * 1000)}ms",
                    "repeat": "0s",
                    # So that the demo can weigh them; they are of no use to a backend, and a stranger's gets none.
                    "forward_snapshots": self.forward is None,
                }
            },
            "exporters": exporters,
            "store": {"directory": _quoted(self.directory / "processor")},
            "service": {
                "pipelines": {
                    "traces": pipeline(),
                    "metrics": pipeline(),
                    "logs": pipeline("drift"),
                },
                "status": {"enabled": False},
                "console": {"endpoint": f"127.0.0.1:{self.console_port}"},
                "telemetry": {"interval": f"{max(200, self.interval_ms // 2)}ms"},
                "shutdown_timeout": "5s",
            },
        }


def exporter_settings(url: str) -> tuple[str, dict[str, Any]]:
    """Type and settings of the exporter to the user's backend: gRPC to port 4317 or for grpc://, else HTTP.

    Raises:
        DemoError: The URL is none of http://, https:// and grpc://, or has no host.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if parts.scheme not in ("http", "https", "grpc") or not parts.hostname or port == -1:
        raise DemoError(
            f"--forward: {url!r} is not a backend (http://host:4318 for OTLP/HTTP, http://host:4317 or grpc://host for"
            " OTLP/gRPC, https:// for encrypted connections)"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.scheme == "grpc":
        return "otlp_grpc", {"endpoint": f"{host}:{port or _GRPC_PORT}", "tls": {"insecure": True}}
    if port == _GRPC_PORT:
        return "otlp_grpc", {"endpoint": f"{parts.scheme}://{host}:{port}"}
    authority = host if port is None else f"{host}:{port}"
    return "otlp_http", {"endpoint": f"{parts.scheme}://{authority}{parts.path.rstrip('/')}"}


def _forwarded_headers() -> list[tuple[str, str, str]]:
    """Variable for the processor, name and value of each header that the user's own variable asks for.

    By way of the environment, so that no secret is written to a file.
    """
    pairs = [pair.partition("=") for pair in os.environ.get(_HEADERS, "").split(",")]
    return [
        (f"OTEL_ML_DEMO_HEADER_{index}", unquote(name.strip()), unquote(value.strip()))
        for index, (name, separator, value) in enumerate(pairs)
        if separator and name.strip()
    ]


def _quoted(path: Path) -> str:
    """The path as the processor's configuration wants it: a dollar sign would begin a variable."""
    return str(path).replace("$", "$$")

"""A real OpenTelemetry Collector, built from the manifest in deploy/: to compare with, and to stand in front."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.environment import ROOT
from benchmarks.processor.programs import on_core
from benchmarks.processor.servers import Server

_BUILD: Final = ROOT / "deploy" / "collector" / "build.py"
_START_S: Final = 60.0


class NoCollectorError(Exception):
    """There is no Collector here."""


def collector_binary() -> Path:
    """The Collector of the manifest in deploy/, or the one that OTEL_ML_COLLECTOR names.

    Raises:
        NoCollectorError: It is not built.
    """
    named = os.environ.get("OTEL_ML_COLLECTOR")
    if named:
        return Path(named)
    said = subprocess.run([sys.executable, str(_BUILD), "--where"], capture_output=True, text=True, check=True)
    path = Path(said.stdout.strip())
    if not path.exists():
        raise NoCollectorError("no Collector was built (make collector, or name one in OTEL_ML_COLLECTOR)")
    return path


def configuration(
    listen: str,
    backend: str,
    *,
    exporter: Mapping[str, object],
    metrics_port: int = 0,
    storage: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Of a Collector that passes all signals on to one backend.

    Args:
        exporter: Settings of its `otlp_grpc` exporter, beside the endpoint.
        metrics_port: Where it tells Prometheus about itself; 0: it does not.
        storage: Settings of `file_storage`, if its queue is to be on disk.
    """
    metrics: dict[str, Any] = {"level": "none"}
    if metrics_port:
        reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": metrics_port}}}}
        metrics = {"level": "normal", "readers": [reader]}
    way = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
    service: dict[str, Any] = {
        "telemetry": {"metrics": metrics, "logs": {"level": "warn"}},
        "pipelines": {"traces": way, "metrics": way, "logs": way},
    }
    found: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": listen, "max_recv_msg_size_mib": 64}}}},
        "exporters": {"otlp_grpc": {"endpoint": backend, "tls": {"insecure": True}, "compression": "none", **exporter}},
        "service": service,
    }
    if storage is not None:
        found["extensions"] = {"file_storage": dict(storage)}
        service["extensions"] = ["file_storage"]
    return found


@contextlib.contextmanager
def running_collector(folder: Path, settings: Mapping[str, Any], core: int | None = 0) -> Iterator[Server]:
    """A Collector on one processor of a core, until it is told to stop.

    Raises:
        NoCollectorError: There is none.
        RuntimeError: It does not come up.
    """
    path = folder / "collector.yaml"
    path.write_text(yaml.safe_dump(dict(settings)))
    log = folder / "collector.log"
    pinned = [] if core is None else on_core(core)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*pinned, str(collector_binary()), "--config", str(path)],
            stdout=output,
            stderr=output,
            env={**os.environ, "GOMAXPROCS": "1"},
        )
    target = settings["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"]
    server = Server(process, target)
    try:
        _wait_until_up(server, log)
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _wait_until_up(server: Server, log: Path) -> None:
    host, _, port = server.target.rpartition(":")
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"the Collector did not come up: {log.read_text(errors='replace')[-2000:]}")

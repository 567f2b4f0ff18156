"""Servers that are measured: the processor, a server that only answers, and a real Collector; each on core 0."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.environment import ROOT
from benchmarks.processor.programs import on_core

_START_S: Final = 60.0
_ADDRESS: Final = re.compile(rb"(?:receiving|OTLP/(gRPC|HTTP)) on (127\.0\.0\.1:\d+)")
_TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Server:
    """One that runs.

    Attributes:
        target: Where it takes OTLP.
        protocol: "grpc" or "http".
    """

    process: subprocess.Popen[bytes]
    target: str = ""
    protocol: str = "grpc"

    @property
    def cpu_s(self) -> float:
        """Processor time of the process with all its threads, so far."""
        return _cpu_s(self.process.pid)

    @property
    def memory_bytes(self) -> int:
        """What it holds in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal, and wait until it is gone."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()


@dataclass(frozen=True, slots=True)
class Processor:
    """How a processor is set up.

    Attributes:
        folder: For its store and its configuration.
        backend: Where results and what it passes through go.
        drift: Settings of the `drift` processor that differ from the defaults.
        store: Likewise, of the store.
        exporter: Likewise, of the exporter.
        protocol: How it receives: "grpc" or "http".
    """

    folder: Path
    backend: str
    port: int = 0
    drift: Mapping[str, object] = field(default_factory=dict)
    store: Mapping[str, object] = field(default_factory=dict)
    exporter: Mapping[str, object] = field(default_factory=dict)
    protocol: str = "grpc"

    @property
    def directory(self) -> Path:
        """Its store."""
        return self.folder / "store"

    def command(self) -> list[str]:
        """What starts it; its configuration is written anew."""
        path = self.folder / "processor.yaml"
        path.write_text(yaml.safe_dump(self._configuration()))
        return [sys.executable, "-m", "collector_processor", "--config", str(path)]

    def _configuration(self) -> dict[str, Any]:
        retry = {"initial_interval": "50ms", "max_interval": "500ms", "max_elapsed_time": 0}
        way = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
        return {
            "receivers": {"otlp": {"protocols": {self.protocol: {"endpoint": f"127.0.0.1:{self.port}"}}}},
            "processors": {"drift": dict(self.drift)},
            "exporters": {
                "otlp_grpc": {"endpoint": f"http://{self.backend}", "retry_on_failure": retry, **self.exporter}
            },
            "store": {"directory": str(self.directory), **self.store},
            "service": {
                "status": {"endpoint": "127.0.0.1:0"},
                "pipelines": {"traces": way, "metrics": way, "logs": {**way, "processors": ["drift"]}},
            },
        }


def launch_processor(setup: Processor, log: Path, core: int | None = 0) -> Server:
    """Start a processor, and do not wait for anything."""
    pinned = [] if core is None else on_core(core)
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*pinned, *setup.command()], stdout=subprocess.PIPE, stderr=errors, env=_environment()
        )
    return Server(process)


def start_processor(setup: Processor, log: Path, core: int | None = 0) -> Server:
    """Start a processor and wait until it receives.

    Raises:
        RuntimeError: It does not come up.
    """
    return once_ready(launch_processor(setup, log, core), log)


@contextlib.contextmanager
def running_processor(setup: Processor) -> Iterator[Server]:
    """A processor, until it is told to stop."""
    server = start_processor(setup, setup.folder / "processor.log")
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def running_echo() -> Iterator[Server]:
    """A server that answers and does nothing else."""
    command = [*on_core(0), sys.executable, "-m", "benchmarks.processor.echo"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment())
    server = once_ready(Server(process), None)
    try:
        yield server
    finally:
        server.stop(signal.SIGKILL)


def once_ready(server: Server, log: Path | None) -> Server:
    """The same, once it has said where it receives.

    Raises:
        RuntimeError: It never does.
    """
    process = server.process
    assert process.stdout is not None
    said = b""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 0.5)[0]:
            some = os.read(process.stdout.fileno(), 4096)
            said += some
            found = _ADDRESS.search(said)
            if found:
                server.protocol = (found[1] or b"gRPC").decode().lower()
                server.target = found[2].decode()
                return server
            if not some:
                break
    server.stop(signal.SIGKILL)
    why = "" if log is None else log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"{process.args!r} did not come up: {said.decode(errors='replace')} {why}")


def _environment() -> dict[str, str]:
    # One tree for the harness and for what it measures, wherever the harness was started.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    # What is installed has its bytecode beside it; without, every start would compile all of it.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


def _cpu_s(pid: int) -> float:
    """Of a process with its threads, and of its children."""
    seconds = 0.0
    waiting = [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        with contextlib.suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / _TICKS
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return seconds


def wait_until(condition: Callable[[], bool], timeout_s: float, what: Callable[[], str]) -> None:
    """Return once it is true.

    Raises:
        TimeoutError: It never was; `what` tells what is missing.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout_s:.0f} s: {what()}")
        time.sleep(0.02)

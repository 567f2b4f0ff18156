"""The generator and the sink, which are written in Go: in Python they would cost as much as the server they measure."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.environment import ROOT

SOURCES: Final = ROOT / "benchmarks" / "load"


class NoProgramsError(Exception):
    """The programs cannot be built here."""


def folder_of_programs() -> Path:
    """The folder with `generator` and `sink`, built once in the user's cache folder for each state of their sources.

    Raises:
        NoProgramsError: For want of Go, or of a network to get gRPC from.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otel-ml" / "benchmarks"
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in {".go", ".mod", ".sum"}:
            digest.update(path.read_bytes())
    folder = cache / f"load-{digest.hexdigest()[:12]}"
    if (folder / ".ready").exists():
        return folder
    go = shutil.which("go")
    if go is None:
        raise NoProgramsError("no Go to build the load generator with (https://go.dev/dl, or your system's package)")
    print("building the load generator and the sink …", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    command = [go, "build", "-buildvcs=false", "-o", str(folder) + os.sep, "./generator", "./sink"]
    done = subprocess.run(command, cwd=SOURCES, capture_output=True, text=True)
    if done.returncode:
        raise NoProgramsError(f"the load generator cannot be built: {done.stderr.strip()[-500:]}")
    (folder / ".ready").touch()
    return folder


@dataclass(frozen=True, slots=True)
class Load:
    """What came of the requests that were sent.

    Attributes:
        acked: Requests.
        bytes: Of these.
        refused: Requests by status.
        latency_ms: Of those that were answered, by percentile: p50, p90, p99, p999, max.
    """

    acked: int
    bytes: int
    refused: dict[str, int]
    seconds: float
    latency_ms: dict[str, float]


def generate(
    target: str,
    bodies: Path,
    *,
    protocol: str = "grpc",
    seconds: float = 3600.0,
    requests: int = 0,
    rate: float = 0.0,
    connections: int = 4,
    streams: int = 8,
    producers: int = 1,
    join: int = 1,
) -> Load:
    """Send the bodies in turns: a closed loop, or at a rate, until the time is over or so many requests are sent.

    Args:
        join: How many bodies are in a request.
    """
    options: dict[str, object] = {
        "target": target,
        "protocol": protocol,
        "bodies": bodies,
        "seconds": seconds,
        "requests": requests,
        "rate": rate,
        "connections": connections,
        "streams": streams,
        "producers": producers,
        "join": join,
    }
    command = [
        *on_core(1),
        str(folder_of_programs() / "generator"),
        *(f"-{name}={value}" for name, value in options.items()),
    ]
    return Load(**json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout))


@dataclass(frozen=True, slots=True)
class Sink:
    """A backend that counts, and that can be told how to behave."""

    otlp: str
    control: str

    def counts(self) -> dict[str, Any]:
        """What came so far: `requests` and `items` by signal, `bytes`, and how many were `refused` or `rejected`."""
        counted: dict[str, Any] = json.loads(self._ask("counts"))
        return counted

    def items(self, signal: str = "logs") -> int:
        """Records taken of a signal."""
        return int(self.counts()["items"].get(signal, 0))

    def identities(self) -> bytes:
        """How often each number was taken, a byte each; only of a sink that watches for them."""
        return self._ask("identities")

    def behave(self, how: str, delay_ms: int = 0) -> None:
        """From now on: "ok", "unavailable", "forgetful" (takes it and says no) or "down"; answering after a delay."""
        self._ask(f"behave?as={how}&delay_ms={delay_ms}", post=True)

    def _ask(self, path: str, *, post: bool = False) -> bytes:
        request = urllib.request.Request(f"http://{self.control}/{path}", method="POST" if post else "GET")
        with urllib.request.urlopen(request, timeout=30) as answer:
            body: bytes = answer.read()
        return body


@contextlib.contextmanager
def running_sink(*, identities: bool = False) -> Iterator[Sink]:
    """A sink on the other core."""
    command = [*on_core(1), str(folder_of_programs() / "sink"), f"-identities={str(identities).lower()}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Sink(**json.loads(process.stdout.readline()))
        finally:
            process.kill()


def on_core(core: int) -> list[str]:
    """The server has a core for itself where there are two; its load comes from the other one."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []

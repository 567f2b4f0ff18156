"""What a server pays: FastAPI and a 25-feature scikit-learn pipeline under wrk, bare and watched, in turns."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.environment import ROOT, peers_python
from benchmarks.figure import Figure, Figures

VARIANTS = (
    "bare",
    "otel_ml",
    "framework",
    "framework_and_span",
    "otel_ml_spans",
    "otel_histograms",
    "otel_log_record",
    "prometheus",
    "bentoml_monitor",
    "whylogs",
)
OURS = VARIANTS[:5]
ROUNDS = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "9"))
ROUND_S = 3
CONNECTIONS = 8


class Round(NamedTuple):
    """One variant's share of a round.

    Attributes:
        cpu_s: Processor time of the server's process, per request.
        collecting: Share of the time in which the garbage collector ran.
        longest_collection_s: Its longest pause.
    """

    requests_per_s: float
    p50_s: float
    p99_s: float
    cpu_s: float
    collecting: float
    longest_collection_s: float


def measure() -> Figures:
    """Requests per second of each variant, as a share of the bare server's in the same round."""
    wrk = shutil.which("wrk")
    if wrk is None:
        print("server: left out, for want of wrk (apt-get install wrk)", file=sys.stderr)
        return {}
    rounds: dict[str, list[Round]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder, _collector() as endpoint:
        script = Path(folder) / "post.lua"
        script.write_text(_script())
        with contextlib.ExitStack() as stack:
            ports = {name: stack.enter_context(_server(name, endpoint, folder)) for name in VARIANTS}
            for port in ports.values():
                _wrk(wrk, script, port, 1)
            for number in range(ROUNDS):
                print(f"server: round {number + 1} of {ROUNDS}", file=sys.stderr)
                # Neighbours come and go: each round is compared with itself only, and nobody is always first.
                for name in random.sample(VARIANTS, len(VARIANTS)):
                    rounds[name].append(_round(wrk, script, ports[name]))
    return _figures(rounds)


def _figures(rounds: dict[str, list[Round]]) -> Figures:
    figures: dict[str, Figure] = {}
    for name in VARIANTS[1:]:
        against = "framework_and_span" if name == "otel_ml_spans" else "bare"
        ratio = _median_ratio(rounds[name], rounds[against])
        goal = {"otel_ml": 0.98, "otel_ml_spans": 1.0}.get(name)
        figures[f"server_{name}_of_{against}"] = Figure(ratio, "x", goal, 1.0, "higher")
        # Processor time is what neighbours on a shared machine can take least influence on.
        cpu = statistics.median(
            other.cpu_s / one.cpu_s for one, other in zip(rounds[name], rounds[against], strict=True)
        )
        figures[f"server_{name}_of_{against}_by_cpu"] = Figure(cpu, "x", goal, 1.0, "higher")
    for name in VARIANTS:
        mine = rounds[name]
        figures |= {
            f"server_{name}_requests_per_s": Figure(
                statistics.median(r.requests_per_s for r in mine), "/s", None, None, "higher"
            ),
            f"server_{name}_p50": Figure(statistics.median(r.p50_s for r in mine) * 1e3, "ms", None, None),
            f"server_{name}_p99": Figure(statistics.median(r.p99_s for r in mine) * 1e3, "ms", None, None),
            f"server_{name}_cpu_per_request": Figure(statistics.median(r.cpu_s for r in mine) * 1e6, "µs", None, None),
        }
    for name in OURS:
        mine = rounds[name]
        figures[f"server_{name}_collecting"] = Figure(
            statistics.median(r.collecting for r in mine) * 100, "%", None, None
        )
        figures[f"server_{name}_longest_collection"] = Figure(
            max(r.longest_collection_s for r in mine) * 1e3, "ms", None, None
        )
    return figures


def _median_ratio(mine: list[Round], theirs: list[Round]) -> float:
    return statistics.median(one.requests_per_s / other.requests_per_s for one, other in zip(mine, theirs, strict=True))


def _round(wrk: str, script: Path, port: int) -> Round:
    before = _collecting(port)
    begun = time.monotonic()
    requests, p50_s, p99_s = _wrk(wrk, script, port, ROUND_S)
    took_s = time.monotonic() - begun
    after = _collecting(port)
    return Round(
        requests / took_s,
        p50_s,
        p99_s,
        (after["process_s"] - before["process_s"]) / max(requests, 1),
        after["total_s"] / took_s,
        after["longest_s"],
    )


def _wrk(wrk: str, script: Path, port: int, seconds: int) -> tuple[int, float, float]:
    """Requests answered, and the 50th and 99th percentile of their latency."""
    command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script)]
    done = subprocess.run(
        [*_on_core(1), *command, f"http://127.0.0.1:{port}/predict"], capture_output=True, check=True, text=True
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"the server on port {port} failed under load:\n{done.stdout}")
    requests = re.search(r"(\d+) requests in", done.stdout)
    assert requests is not None
    return int(requests[1]), _percentile(done.stdout, 50), _percentile(done.stdout, 99)


def _percentile(text: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)\b", text)
    assert found is not None
    return float(found[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]


def _script() -> str:
    chance = random.Random(1)
    bodies = [json.dumps({f"number_{index}": chance.gauss(0, 1) for index in range(25)}) for _ in range(64)]
    listed = ",\n".join(f"'{body}'" for body in bodies)
    return (
        f"local bodies = {{{listed}}}\n"
        "local headers = {['content-type'] = 'application/json'}\n"
        "local n = 0\n"
        "request = function()\n"
        "  n = n + 1\n"
        "  return wrk.format('POST', nil, headers, bodies[n % 64 + 1])\n"
        "end\n"
    )


@contextlib.contextmanager
def _server(name: str, endpoint: str, folder: str) -> Iterator[int]:
    port = _free_port()
    command = [peers_python(), "-W", "ignore", "-m", "uvicorn", "benchmarks.server_app:app", "--port", str(port)]
    environment = {
        **os.environ,
        "MEASURED": name,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [*_on_core(0), *command, "--log-level", "error", "--no-access-log"],
        env=environment,
        cwd=folder,
        stdout=sys.stderr,
    )
    try:
        _wait_until_up(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def _collector() -> Iterator[str]:
    """A real OTLP endpoint on the other core, which forgets what it is sent."""
    code = (
        "import sys, time; sys.path.insert(0, 'tests');"
        "from otlp_sink import OtlpSink\n"
        "with OtlpSink() as sink:\n"
        "    print(sink.endpoint, flush=True)\n"
        "    while True:\n"
        "        time.sleep(1); sink.clear()\n"
    )
    process = subprocess.Popen([*_on_core(1), sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(30)


def _on_core(core: int) -> list[str]:
    """The server has a core for itself where there are two; its load comes from the other one."""
    return ["taskset", "-c", str(core)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def _collecting(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/collecting", timeout=10) as response:
        found: dict[str, float] = json.load(response)
    return found


def _wait_until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            _collecting(port)
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not come up")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

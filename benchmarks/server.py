"""What a server pays: a scikit-learn pipeline of 25 features in FastAPI and BentoML, bare and watched, under wrk."""

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
from typing import Final, NamedTuple

from benchmarks.environment import ROOT, peers_python
from benchmarks.figure import Figure, Figures


class Variant(NamedTuple):
    """One server.

    Attributes:
        workload: Which pipeline it serves; see `server_app`.
        measured: What watches it.
        against: Whose requests per second its own are a share of.
        goal: For that share.
        framework: What serves it.
    """

    workload: str
    measured: str
    against: str | None = "bare"
    goal: float | None = None
    framework: str = "fastapi"

    @property
    def group(self) -> str:
        """By which its figures are named: servers of one group are compared with each other."""
        return self.workload if self.framework == "fastapi" else self.framework

    @property
    def name(self) -> str:
        """In figures."""
        return f"server_{self.group}_{self.measured}"


VARIANTS: Final = (
    *(
        variant
        for workload in ("full", "light")
        for variant in (
            Variant(workload, "bare", None),
            # The same once more: what is seen between these two is the machine's, not ours.
            Variant(workload, "bare_again"),
            Variant(workload, "otel_ml", goal=0.98),
            Variant(workload, "framework"),
            Variant(workload, "framework_and_span"),
            Variant(workload, "otel_ml_spans", "framework_and_span", goal=1.0),
        )
    ),
    *(
        Variant("light", measured)
        for measured in ("otel_histograms", "otel_log_record", "prometheus", "bentoml_monitor", "whylogs")
    ),
    Variant("full", "bare", None, framework="bentoml"),
    Variant("full", "bare_again", framework="bentoml"),
    Variant("full", "otel_ml", goal=0.98, framework="bentoml"),
)
ROUNDS: Final = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "4"))
"""In each of them every server is a new process: two of the same may differ by several percent as long as they live."""
TURNS: Final = 3 if ROUNDS > 1 else 1
TURN_S: Final = 2 if ROUNDS > 1 else 1
CONNECTIONS: Final = 8


class Turn(NamedTuple):
    """One variant under load for a moment.

    Attributes:
        cpu_s: Processor time of the server's processes, per request.
        collecting: Share of the time in which the garbage collector ran; None where nobody counts it.
        longest_collection_s: Its longest pause.
    """

    requests_per_s: float
    p50_s: float
    p99_s: float
    cpu_s: float
    collecting: float | None
    longest_collection_s: float


class Server(NamedTuple):
    """One that runs."""

    variant: Variant
    port: int
    pid: int


def measure() -> Figures:
    """Requests per second of each variant, as a share of another one's beside it."""
    wrk = shutil.which("wrk")
    if wrk is None:
        print("server: left out, for want of wrk (apt-get install wrk)", file=sys.stderr)
        return {}
    python = peers_python()
    rounds: dict[Variant, list[list[Turn]]] = {variant: [] for variant in VARIANTS}
    with tempfile.TemporaryDirectory() as folder, _collector() as endpoint:
        scripts = _scripts(python, Path(folder))
        for number in range(ROUNDS):
            print(f"server: round {number + 1} of {ROUNDS}", file=sys.stderr)
            # Groups one after the other, for each server that only waits still takes a little of the core.
            for group in dict.fromkeys(variant.group for variant in VARIANTS):
                mine = [variant for variant in VARIANTS if variant.group == group]
                for variant, turns in _round(mine, python, endpoint, folder, wrk, scripts).items():
                    rounds[variant].append(turns)
    return _figures(rounds)


def _round(
    variants: list[Variant], python: Path, endpoint: str, folder: str, wrk: str, scripts: dict[str, Path]
) -> dict[Variant, list[Turn]]:
    turns: dict[Variant, list[Turn]] = {variant: [] for variant in variants}
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(_server(variant, python, endpoint, folder))
            for variant in random.sample(variants, len(variants))
        ]
        for server in servers:
            _wrk(wrk, scripts[f"{server.variant.framework} {server.variant.workload}"], server.port, 1)
        for _ in range(TURNS):
            # Neighbours come and go: each turn is compared with itself only, and nobody is always first.
            for server in random.sample(servers, len(servers)):
                turns[server.variant].append(
                    _turn(wrk, scripts[f"{server.variant.framework} {server.variant.workload}"], server)
                )
    return turns


def _figures(rounds: dict[Variant, list[list[Turn]]]) -> Figures:
    figures: dict[str, Figure] = {}
    for variant, mine in rounds.items():
        if variant.against is None:
            continue
        against = next(other for other in rounds if (other.group, other.measured) == (variant.group, variant.against))
        theirs = rounds[against]
        name = f"{variant.name}_of_{variant.against}"
        ratios = [_median_ratio(*pair) for pair in zip(mine, theirs, strict=True)]
        figures[name] = Figure(statistics.median(ratios), "x", variant.goal, 1.0, "higher")
        figures[f"{name}_lowest"] = Figure(min(ratios), "x", None, None, "higher")
        figures[f"{name}_highest"] = Figure(max(ratios), "x", None, None, "higher")
        # Processor time is what neighbours on a shared machine can take least influence on.
        cpu = statistics.median(
            other.cpu_s / one.cpu_s for pair in zip(mine, theirs, strict=True) for one, other in zip(*pair, strict=True)
        )
        figures[f"{name}_by_cpu"] = Figure(cpu, "x", None, 1.0, "higher")
    for variant, of_rounds in rounds.items():
        turns = [turn for of_round in of_rounds for turn in of_round]
        figures |= {
            f"{variant.name}_requests_per_s": Figure(
                statistics.median(turn.requests_per_s for turn in turns), "/s", None, None, "higher"
            ),
            f"{variant.name}_p50": Figure(statistics.median(turn.p50_s for turn in turns) * 1e3, "ms", None, None),
            f"{variant.name}_p99": Figure(statistics.median(turn.p99_s for turn in turns) * 1e3, "ms", None, None),
            f"{variant.name}_cpu_per_request": Figure(
                statistics.median(turn.cpu_s for turn in turns) * 1e6, "µs", None, None
            ),
        }
        collecting = [turn.collecting for turn in turns if turn.collecting is not None]
        if collecting:
            figures |= {
                f"{variant.name}_collecting": Figure(statistics.median(collecting) * 100, "%", None, None),
                f"{variant.name}_longest_collection": Figure(
                    max(turn.longest_collection_s for turn in turns) * 1e3, "ms", None, None
                ),
            }
    return figures


def _median_ratio(mine: list[Turn], theirs: list[Turn]) -> float:
    return statistics.median(one.requests_per_s / other.requests_per_s for one, other in zip(mine, theirs, strict=True))


def _turn(wrk: str, script: Path, server: Server) -> Turn:
    counts = server.variant.framework == "fastapi"
    if counts:
        _collecting(server.port)
    cpu_s, begun = _cpu_s(server.pid), time.monotonic()
    requests, p50_s, p99_s = _wrk(wrk, script, server.port, TURN_S)
    took_s, used_s = time.monotonic() - begun, _cpu_s(server.pid) - cpu_s
    collected = _collecting(server.port) if counts else None
    return Turn(
        requests / took_s,
        p50_s,
        p99_s,
        used_s / max(requests, 1),
        None if collected is None else collected["total_s"] / took_s,
        0.0 if collected is None else collected["longest_s"],
    )


def _cpu_s(pid: int) -> float:
    """Processor time of a process and its children, those that ended left out."""
    seconds = 0.0
    waiting = [pid]
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        with contextlib.suppress(OSError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            seconds += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            for task in (process / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return seconds


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


def _scripts(python: Path, folder: Path) -> dict[str, Path]:
    """What wrk sends, by workload: 64 rows in turns."""
    code = (
        "import json, random; from benchmarks.pipelines import PIPELINES; chance = random.Random(1);"
        "print(json.dumps({name: [pipeline.row(chance) for _ in range(64)] for name, pipeline in PIPELINES.items()}))"
    )
    rows = json.loads(subprocess.run([python, "-c", code], cwd=ROOT, capture_output=True, check=True).stdout)
    scripts: dict[str, Path] = {}
    for workload in rows:
        for framework, wrap in (("fastapi", lambda row: row), ("bentoml", lambda row: {"row": row})):
            listed = ",\n".join(f"'{json.dumps(wrap(row))}'" for row in rows[workload])
            scripts[f"{framework} {workload}"] = path = folder / f"{framework}_{workload}.lua"
            path.write_text(_LUA.replace("BODIES", listed))
    return scripts


_LUA: Final = """
local bodies = {BODIES}
local headers = {['content-type'] = 'application/json'}
local n = 0
request = function()
  n = n + 1
  return wrk.format('POST', nil, headers, bodies[n % 64 + 1])
end
"""


@contextlib.contextmanager
def _server(variant: Variant, python: Path, endpoint: str, folder: str) -> Iterator[Server]:
    port = _free_port()
    commands = {
        "fastapi": ["uvicorn", "benchmarks.server_app:app", "--log-level", "error", "--no-access-log"],
        "bentoml": ["bentoml", "serve", "benchmarks.server_bentoml:Measured", "--working-dir", str(ROOT)],
    }
    environment = {
        **os.environ,
        "WORKLOAD": variant.workload,
        "MEASURED": variant.measured.removesuffix("_again"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "PYTHONPATH": str(ROOT),
        # Else no two processes lay out their dicts alike.
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "BENTOML_DO_NOT_TRACK": "true",
    }
    process = subprocess.Popen(
        [*_on_core(0), python, "-W", "ignore", "-m", *commands[variant.framework], "--port", str(port)],
        env=environment,
        cwd=folder,
        stdout=sys.stderr,
        stderr=None if variant.framework == "fastapi" else subprocess.DEVNULL,
    )
    try:
        _wait_until_up(variant, port, process)
        yield Server(variant, port, process.pid)
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


def _wait_until_up(variant: Variant, port: int, process: subprocess.Popen[bytes]) -> None:
    path = "/collecting" if variant.framework == "fastapi" else "/readyz"
    for _ in range(300):
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10).close()
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

"""Logs that pass through, durably: what a request costs until it has arrived, beside a real Collector."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.figure import Figure, Figures
from benchmarks.processor import bodies
from benchmarks.processor.collector import (
    NoCollectorError,
    collector_binary,
    configuration,
    free_port,
    running_collector,
)
from benchmarks.processor.programs import Sink, generate, running_sink
from benchmarks.processor.scale import scaled
from benchmarks.processor.servers import Processor, Server, running_processor, wait_until

RECORDS: Final = (100, 1000)
_MOST_BYTES: Final = 1_500_000_000
"""Of one measurement: so much any of them can keep, should its backend not keep up."""
_DRAIN_S: Final = 240.0

Running = Callable[[Path, str], contextlib.AbstractContextManager[Server]]


def measure() -> Figures:
    """Processor time for each request until the backend has it, and that as a share of a Collector's."""
    servers: dict[str, Running] = {"otel_ml": _processor("grpc"), "otel_ml_http": _processor("http")}
    try:
        collector_binary()
    except NoCollectorError as error:
        print(f"processor: without a Collector to compare with: {error}", file=sys.stderr)
    else:
        servers |= {
            "collector": _bare,
            "collector_queue": _queue(fsync=False),
            "collector_queue_fsync": _queue(fsync=True),
        }
    figures: dict[str, Figure] = {}
    for records in RECORDS:
        cpu_s = {name: _cpu_s(running, records) for name, running in servers.items()}
        name = f"processor.pass_through.{records}_records"
        figures |= {f"{name}.{who}.cpu": Figure(cost * 1e6, "µs/request", None, None) for who, cost in cpu_s.items()}
        for who, cost in cpu_s.items():
            if not who.startswith("otel_ml"):
                goal = {(100, "collector_queue_fsync"): 0.25, (1000, "collector"): 1.0}.get((records, who))
                figures[f"{name}.of_{who}"] = Figure(cpu_s["otel_ml"] / cost, "x", goal, None)
    return figures


def _cpu_s(running: Running, records: int) -> float:
    with tempfile.TemporaryDirectory() as name, running_sink() as sink:
        folder = Path(name)
        prepared = bodies.write(folder / "bodies", [bodies.logs_body(records, seed) for seed in range(8)])
        with running(folder, sink.otlp) as server:
            _sent_and_arrived(server, prepared, records, sink, scaled(1, 0.3))
            before = server.cpu_s
            requests = _sent_and_arrived(server, prepared, records, sink, scaled(5, 0.5))
            return (server.cpu_s - before) / requests


def _sent_and_arrived(server: Server, prepared: Path, records: int, sink: Sink, seconds: float) -> int:
    """How many requests were taken, once all of their records have arrived: what is put off costs as well."""
    before = sink.items()
    most = _MOST_BYTES // (250 * records)
    load = generate(server.target, prepared, protocol=server.protocol, seconds=seconds, requests=most)
    if load.refused or not load.acked:
        raise RuntimeError(f"requests were refused: {load}")
    expected = before + load.acked * records
    wait_until(
        lambda: sink.items() >= expected,
        _DRAIN_S,
        lambda: f"{expected - sink.items()} of {expected} records are missing",
    )
    return load.acked


def _processor(protocol: str) -> Running:
    @contextlib.contextmanager
    def running(folder: Path, backend: str) -> Iterator[Server]:
        with running_processor(Processor(folder, backend, protocol=protocol)) as server:
            yield server

    return running


def _collector(folder: Path, backend: str, queue: dict[str, Any], storage: dict[str, Any] | None) -> Any:
    settings = configuration(
        f"127.0.0.1:{free_port()}", backend, exporter={"sending_queue": queue, "retry_on_failure": {}}, storage=storage
    )
    return running_collector(folder, settings)


@contextlib.contextmanager
def _bare(folder: Path, backend: str) -> Iterator[Server]:
    # Without a queue at all: the least a Collector can do, and what was acknowledged has arrived.
    with _collector(folder, backend, {"enabled": False}, None) as server:
        yield server


def _queue(*, fsync: bool) -> Running:
    @contextlib.contextmanager
    def running(folder: Path, backend: str) -> Iterator[Server]:
        storage = {"directory": str(folder / "queue"), "create_directory": True, "fsync": fsync}
        queue = {"storage": "file_storage", "queue_size": 100_000, "block_on_overflow": True}
        with _collector(folder, backend, queue, storage) as server:
            yield server

    return running

"""Memory under a load that goes on: snapshots of many replicas, and logs that pass through."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.figure import Figure, Figures
from benchmarks.processor import bodies
from benchmarks.processor.programs import generate, running_sink
from benchmarks.processor.scale import scaled
from benchmarks.processor.servers import Processor, Server, running_processor
from otel_ml.sketch.feature import ModelKey

_REQUESTS: Final = 200_000
_MIB: Final = 1 << 20
# The first third fills what is bounded: marks of producers, windows, arenas of the allocator.
_WARM_UP: Final = 1 / 3
_GOAL_MIB: Final = 1.0
"""Per 100,000 requests: what the noise of an allocator may look like, over a run this short."""


def measure() -> Figures:
    """How much memory grows with requests after a third of them, and the most there was."""
    requests = int(scaled(_REQUESTS, 600))
    with tempfile.TemporaryDirectory() as name, running_sink() as sink:
        prepared = _mixed(Path(name))
        with running_processor(Processor(Path(name), sink.otlp, store={"checkpoint_interval": "5s"})) as server:
            memory = _Memory(server)
            generate(server.target, prepared, requests=int(requests * _WARM_UP), producers=500)
            with memory:
                generate(server.target, prepared, requests=requests - int(requests * _WARM_UP), producers=500)
    grown = memory.grown_bytes / (requests * (1 - _WARM_UP)) * 100_000 / _MIB
    return {
        "processor.memory.growth": Figure(grown, "MiB/100k requests", _GOAL_MIB, 0.0),
        "processor.memory.most": Figure(max(memory.samples) / _MIB, "MiB", None, None),
    }


def _mixed(folder: Path) -> Path:
    layout, start = bodies.layout(), time.time_ns()
    models = [ModelKey(f"model-{number}", "1") for number in range(4)]
    snapshots = [bodies.snapshot_body(bodies.snapshot(model, 50, layout, start)) for model in models]
    return bodies.write(folder / "bodies", [*snapshots, bodies.logs_body(100)])


class _Memory:
    """Samples of a server's memory while a block of code runs."""

    def __init__(self, server: Server) -> None:
        self.samples: list[int] = []
        self._server = server
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def grown_bytes(self) -> float:
        """By how much a straight line through the samples rises from the first to the last."""
        times = np.arange(len(self.samples))
        return float(np.polyfit(times, self.samples, 1)[0] * (len(self.samples) - 1)) if len(times) > 1 else 0.0

    def _sample(self) -> None:
        while not self._is_over.wait(0.1):
            self.samples.append(self._server.memory_bytes)
        self.samples.append(self._server.memory_bytes)

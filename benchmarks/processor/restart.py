"""How long a processor that was killed with a full log takes until it serves again."""

from __future__ import annotations

import signal
import tempfile
import time
from pathlib import Path
from typing import Final

from benchmarks.figure import Figure, Figures
from benchmarks.processor import bodies
from benchmarks.processor.programs import generate, running_sink
from benchmarks.processor.scale import scaled
from benchmarks.processor.servers import Processor, start_processor

_LOG_BYTES: Final = 1 << 30
_RECORDS: Final = 1000
_GOAL_S: Final = 1.0


def measure() -> Figures:
    """Seconds from the start of the process to its first acknowledgement, with an empty log and with 1 GiB of it."""
    size = int(scaled(_LOG_BYTES, 1 << 24))
    with tempfile.TemporaryDirectory() as name, running_sink() as sink:
        sink.behave("down")
        folder = Path(name)
        full = bodies.logs_body(_RECORDS)
        many = bodies.write(folder / "many", [full])
        one = bodies.write(folder / "one", [bodies.logs_body(1)])
        setup = Processor(folder, sink.otlp)
        # The first one compiles what has changed since the last time.
        _serving_s(setup, one)
        empty_s, empty_cpu_s = _serving_s(setup, one)
        server = start_processor(setup, folder / "processor.log")
        load = generate(server.target, many, requests=size // len(full.encoded) + 1)
        server.stop(signal.SIGKILL)
        if load.refused:
            raise RuntimeError(f"the log did not take {size} bytes: {load}")
        full_s, full_cpu_s = _serving_s(setup, one)
        bytes_left = sum(path.stat().st_size for path in setup.directory.rglob("*") if path.is_file())
    return {
        "processor.restart.empty": Figure(empty_s, "s", None, None),
        "processor.restart.full": Figure(full_s, "s", _GOAL_S, empty_s),
        # Mostly imports.
        "processor.restart.empty.cpu": Figure(empty_cpu_s, "s", None, None),
        "processor.restart.full.cpu": Figure(full_cpu_s, "s", None, empty_cpu_s),
        "processor.restart.log": Figure(bytes_left / (1 << 20), "MiB", None, None, "higher"),
    }


def _serving_s(setup: Processor, one: Path) -> tuple[float, float]:
    """From the start of the process until it acknowledged something, and its processor time; then it is killed."""
    begun = time.monotonic()
    server = start_processor(setup, setup.folder / "processor.log")
    try:
        load = generate(server.target, one, requests=1, connections=1, streams=1)
        took, used = time.monotonic() - begun, server.cpu_s
    finally:
        server.stop(signal.SIGKILL)
    if load.acked != 1:
        raise RuntimeError(f"a processor that was just started acknowledged nothing: {load}")
    return took, used

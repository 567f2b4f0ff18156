"""What the processor costs, pinned to a core: snapshots, pass-through beside a real Collector, restarts, memory."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Final

from benchmarks.figure import Figure, Figures
from benchmarks.processor.programs import NoProgramsError, folder_of_programs

PARTS: Final = ("snapshots", "pass_through", "restart", "soak")
"""Modules of this package, each with `measure() -> Figures`; OTEL_ML_BENCHMARK_ROUNDS multiplies their durations."""


def measure() -> Figures:
    """All that can be measured here; what cannot is left out with its reason."""
    try:
        folder_of_programs()
    except NoProgramsError as error:
        print(f"processor: left out: {error}", file=sys.stderr)
        return {}
    figures: dict[str, Figure] = {}
    for part in PARTS:
        begun = time.perf_counter()
        figures |= importlib.import_module(f"benchmarks.processor.{part}").measure()
        print(f"processor: {part} took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return figures

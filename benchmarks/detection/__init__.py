"""How well drift is detected: errors of statistics, false alarms, power, delays; `--peers`: what others find."""

from __future__ import annotations

import importlib
import sys
import time
from typing import Final

from benchmarks.figure import Figure, Figures

PARTS: Final = (
    "numbers",
    "categories",
    "choice",
    "replicas",
    "online",
    "month",
    "slow",
    "failing_loudly",
    "label_shift",
    "concept",
    "joint",
    "classifier",
    "texts",
)
"""Modules of this package, each with `measure() -> Figures`; OTEL_ML_BENCHMARK_ROUNDS multiplies their repetitions."""


def measure() -> Figures:
    """All that needs nothing but otel-ml and scikit-learn."""
    return _measured(PARTS)


def measure_peers() -> Figures:
    """The clean-data and power tables beside Evidently, NannyML, Alibi Detect and whylogs, each in its environment."""
    return _measured(("peers",))


def _measured(parts: tuple[str, ...]) -> Figures:
    figures: dict[str, Figure] = {}
    for part in parts:
        begun = time.perf_counter()
        figures |= importlib.import_module(f"benchmarks.detection.{part}").measure()
        print(f"detection: {part} took {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    return figures

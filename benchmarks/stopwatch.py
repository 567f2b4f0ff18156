"""Timing on a shared and noisy machine: the best of several rounds is the cost, the rest is the neighbours'."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def best_s(work: Callable[[], object], rounds: int = 9, prepare: Callable[[], object] | None = None) -> float:
    """Seconds of the fastest of several rounds, without garbage collection; `prepare` runs before each, untimed."""
    fastest = float("inf")
    for _ in range(rounds):
        if prepare is not None:
            prepare()
        gc.collect()
        gc.disable()
        try:
            begun = time.perf_counter()
            work()
            fastest = min(fastest, time.perf_counter() - begun)
        finally:
            gc.enable()
    return fastest

"""How long everything is measured for: OTEL_ML_BENCHMARK_ROUNDS multiplies it, and 0 is the quickest run there is."""

from __future__ import annotations

import os


def rounds() -> float:
    """1 unless the environment says otherwise."""
    return float(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))


def scaled(amount: float, least: float) -> float:
    """So much of it at one round, and never less than the least."""
    return max(amount * rounds(), least)

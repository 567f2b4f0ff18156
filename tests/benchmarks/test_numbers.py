"""The benchmark of numbers."""

import math

import numpy as np
import pytest

from benchmarks.detection import numbers
from benchmarks.detection.populations import POPULATIONS, large_sides


@pytest.mark.slow
def test_every_figure_has_a_value_in_the_quickest_run(monkeypatch):
    """Zero rounds still exercise every part."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = numbers.measure()

    assert {name.split(".")[0] for name in figures} == {"error", "false_positives", "power", "decided_by_kll"}
    assert all(math.isfinite(figure.value) for figure in figures.values())
    assert all(0 <= figure.value <= 1 for name, figure in figures.items() if name.startswith("false_positives"))


@pytest.mark.parametrize("kind", ["bins", "histogram"])
def test_windows_of_blocks_are_windows(kind):
    """Counts and moments of the blocks they are put together from add up."""
    population = POPULATIONS["lognormal"]

    window = large_sides(population, kind, np.random.default_rng(1), 50_000, 2)[0]

    assert window.total == 50_000 == window.moments.count
    assert window.moments.mean == pytest.approx(math.exp(0.5), rel=0.05)
    assert window.cdf(np.ones(1))[0] == pytest.approx(0.5, abs=0.02)

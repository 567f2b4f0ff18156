"""The benchmark of correlations."""

import math

import pytest

from benchmarks.detection import joint


@pytest.mark.slow
def test_every_figure_has_a_value_in_the_quickest_run(monkeypatch):
    """Zero rounds still exercise every part."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = joint.measure()

    assert {name.split(".")[1] for name in figures} == {
        "false_positives", "false_breaches", "power", "error", "replicas",
    }  # fmt: skip
    assert all(math.isfinite(figure.value) for figure in figures.values())
    assert all(figure.met for name, figure in figures.items() if name.startswith(("joint.error", "joint.replicas")))

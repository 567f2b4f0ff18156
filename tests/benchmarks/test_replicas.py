"""The benchmark of replicas."""

import pytest

from benchmarks.detection import replicas


@pytest.mark.slow
def test_no_statistic_of_counts_depends_on_the_replicas(monkeypatch):
    """Whole numbers add up to the same, in any order; sums of floating-point numbers nearly so."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = replicas.measure()

    assert {name.split(".")[1] for name in figures} == {"bins", "exact", "histogram", "categories", "kll"}
    assert all(figure.met for figure in figures.values())

"""What the figures of the domain classifier measure."""

from benchmarks.detection import PARTS, classifier
from benchmarks.figure import Figure


def test_the_quickest_run_measures_everything(monkeypatch):
    """False alarms, power, cost of a comparison and of a row."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = classifier.measure()

    assert "classifier" in PARTS
    assert figures["classifier.false_positives"] == Figure(
        figures["classifier.false_positives.n100.m100"].value, "at 5 %", 0.07, 0.05
    )
    assert 0.0 <= figures["classifier.alarms.shift.n300"].value <= figures["classifier.power.shift.n300"].value
    assert 0.0 <= figures["classifier.named.shift.n300"].value <= 1.0
    assert figures["classifier.time.drifted.n1000"].value > 0.0
    assert figures["classifier.edge.row"].value > 0.0

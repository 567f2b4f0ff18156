"""The benchmarks of watching for long: online false discovery rate, the month, and slow drift."""

import math

from benchmarks.detection import month, online, slow


def test_online_control_is_measured_on_p_values_and_on_windows(monkeypatch):
    """The quickest run has all figures: the control alone, over real comparisons, and delays of every method."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = online.measure()

    assert {name.split(".")[1] for name in figures} == {"online_fdr", "benjamini_hochberg", "e_detector", "cusum"}
    assert all(math.isfinite(figure.value) for figure in figures.values())
    # Half a standard deviation in a thousand rows is no question of patience.
    assert figures["online.online_fdr.delay.shift_0.5"].value == 1


def test_the_month_counts_false_alerts_and_delays(monkeypatch):
    """The quickest run has a goal for false alerts, and a delay and a share of finds for every injected change."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = month.measure()

    assert figures["month.false_alerts"].goal == 1
    for name in month.INJECTED:
        assert figures[f"month.delay.{name}"].value >= 1
        assert 0 <= figures[f"month.found.{name}"].value <= 1


def test_slow_drift_is_measured_with_and_without_a_change(monkeypatch):
    """The quickest run has false alarms for every kind of wobble, and a share of finds for every shift."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = slow.measure()

    assert figures["slow.false_alarms.clean"].goal == 0.2
    assert {f"slow.false_alarms.{name}" for name in slow.WOBBLES} <= set(figures)
    assert figures["slow.found.shift_0.1"].value > figures["slow.found.shift_0.03"].value
    assert 1 <= figures["slow.delay.shift_0.1"].value <= slow.LASTS

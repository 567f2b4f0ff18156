"""The benchmark of texts."""

import pytest

from benchmarks.detection import texts


@pytest.mark.slow
def test_every_figure_has_a_value_in_the_quickest_run(monkeypatch):
    """Zero rounds still exercise every size, detector and accident."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = texts.measure()

    assert {name.split(".")[0] for name in figures} == {
        "false_positives",
        "clean_score",
        "false_alarms",
        "found",
        "text",
    }
    assert {f"found.content.{accident}.of_100%" for accident in (*texts.ACCIDENTS, "topic")} <= figures.keys()
    assert all(0 <= figure.value <= 1 for name, figure in figures.items() if name.startswith(("false", "found")))


@pytest.mark.parametrize("accident", texts.ACCIDENTS)
def test_an_accident_changes_a_text_and_no_other_text_does(accident):
    """In the same way whenever it happens."""
    text = "Whether a server\nanswers 42 questions of its customers, présumably another time, is checked again"

    assert texts.ACCIDENTS[accident](text) == texts.ACCIDENTS[accident](text) != text

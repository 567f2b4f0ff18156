"""The benchmark of categories."""

import pytest

from benchmarks.detection import categories


@pytest.mark.slow
def test_every_figure_has_a_value_in_the_quickest_run(monkeypatch):
    """Zero rounds still exercise every size, number of categories and replicas."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = categories.measure()

    assert {name.split(".")[0] for name in figures} == {
        "false_positives",
        "clean_psi_above_0",
        "clean_bias",
        "power",
    }
    assert all(0 <= figure.value <= 1 for name, figure in figures.items() if name.startswith("false_positives"))


def test_the_exact_statistics_are_those_of_the_textbook():
    """Pearson's and the likelihood ratio of Agresti (2007), table 2.5: 30.07 and 30.02."""
    women, men = (categories.np.array([side]) for side in ((762, 327, 468), (484, 239, 477)))

    assert categories.EXACT["chi_squared"](women, men) == pytest.approx([30.07], abs=0.005)
    assert categories.EXACT["g_test"](women, men) == pytest.approx([30.02], abs=0.005)

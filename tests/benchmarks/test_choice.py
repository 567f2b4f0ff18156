"""The benchmark of the automatic choice."""

import math

import numpy as np
import pytest

from benchmarks.detection import choice
from otel_ml.sketch.bins import layout_from_quantiles
from otel_ml.sketch.feature import FeatureKind


@pytest.mark.slow
def test_every_figure_has_a_value_in_the_quickest_run(monkeypatch):
    """Zero rounds still exercise every case."""
    monkeypatch.setenv("OTEL_ML_BENCHMARK_ROUNDS", "0")

    figures = choice.measure()

    assert all(math.isfinite(figure.value) and 0 <= figure.value <= 1 for figure in figures.values())
    assert figures["choice.regret.highest"].value >= figures["choice.regret.mean"].value


@pytest.mark.parametrize("change", choice.CHANGES)
def test_a_change_moves_what_it_says_and_keeps_the_rows(change):
    """As many rows, and the distribution is another."""
    rows = np.random.default_rng(1).lognormal(size=5_000)

    changed = choice._changed(rows, change, 1.0, np.random.default_rng(2))

    assert changed.shape == rows.shape
    assert np.isfinite(changed).all()
    assert (changed != rows).mean() > 0.1


@pytest.mark.parametrize("change", choice.CATEGORY_CHANGES)
def test_shares_of_categories_stay_shares(change):
    """They are as many as before and one more, and sum to 1."""
    shares = choice._redistributed(choice.CATEGORIES["10"], change, 1.0, np.random.default_rng(2))

    assert shares.shape == (11,)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1.0)


def test_one_that_fires_always_finds_everything():
    """Rates are shares of pairs, on average over the rules."""
    rows = np.random.default_rng(1).normal(size=5_000)
    layout = layout_from_quantiles(np.sort(rows))
    pair = choice._binned(rows, layout), choice._binned(rows + 3, layout)
    same = choice._binned(rows, layout), choice._binned(rows, layout)
    case = choice.Case("", FeatureKind.NUMERIC, ("psi", "ks"), [pair], [same])

    assert choice._rates(case, case.changed, choice.RULES) == {"psi": 1.0, "ks": 1.0}
    assert choice._rates(case, case.ordinary, choice.RULES) == {"psi": 0.0, "ks": 0.0}

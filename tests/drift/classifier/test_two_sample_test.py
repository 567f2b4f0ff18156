"""Whether rows of two samples can be told apart, and by which columns."""

import math
import sys

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_auc_score

from otel_ml.drift.classifier import THRESHOLD, classify, require_classifier
from otel_ml.drift.classifier.pooled_rows import MAX_CODES, PooledRows
from otel_ml.drift.classifier.two_sample_test import _auc
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.row_sample import EVERY_ROW, RowSample, SampledColumn


def sample(seed=0, **columns):
    """Rows in the order given, as priorities increase."""
    read = {}
    for name, values in columns.items():
        present = [value for value in values if value is not None]
        read[SampledColumn(name, not (present and isinstance(present[0], str)))] = values
    rows = len(next(iter(columns.values())))
    chance = np.random.default_rng(seed)
    return RowSample.of(np.sort(chance.integers(EVERY_ROW, size=rows, dtype=np.uint64)), read)


def normal(seed, rows=400, correlation=0.0):
    chance = np.random.default_rng(seed)
    first, second, third = chance.normal(size=(3, rows))
    return sample(seed, a=first, b=correlation * first + math.sqrt(1 - correlation**2) * second, c=third)


def test_a_broken_interaction_is_found_and_its_columns_are_named():
    """Each column alone is as before; only that two of them go along is over."""
    result = classify(normal(1, correlation=0.9), normal(2))

    assert result.drifted
    assert result.p_value < 1e-6
    assert list(result.importances)[2] == "c"
    assert result.importances["a"] + result.importances["b"] > 0.9
    assert sum(result.importances.values()) == pytest.approx(1.0)


def test_rows_of_the_same_kind_cannot_be_told_apart():
    """Neither big nor significant, and then no column is blamed."""
    result = classify(normal(3), normal(4))

    assert not result.drifted
    assert result.p_value > 0.05
    assert result.importances == {}


def test_the_p_value_is_valid():
    """At 5 %, clean samples are called different in about 5 % of all cases, also where rows are few."""
    p_values = []
    for seed in range(60):
        chance = np.random.default_rng([7, seed])
        sides = [
            sample(seed, a=chance.normal(size=60), b=chance.poisson(1.0, 60), c=chance.choice(["x", "y"], 60).tolist())
            for _ in range(2)
        ]
        p_values.append(classify(*sides, seed=seed).p_value)

    # Of 60 at 5 %, nine or more come up once in 300 times.
    assert sum(p_value <= 0.05 for p_value in p_values) < 9
    assert np.mean(p_values) > 0.35


def test_the_auc_and_its_deviation_are_those_of_the_rank_sum():
    """As scikit-learn computes the one, and as Mann and Whitney (1947) tell the other, ties included."""
    chance = np.random.default_rng(5)
    scores, is_current = chance.integers(0, 9, 80).astype(float), chance.random(80) < 0.4

    auc, deviation = _auc(scores, is_current)

    assert auc == pytest.approx(roc_auc_score(is_current, scores))
    asymptotic = mannwhitneyu(scores[is_current], scores[~is_current], use_continuity=False, method="asymptotic")
    assert 2 * (1 - _standard_normal(abs(auc - 0.5) / deviation)) == pytest.approx(asymptotic.pvalue)


def _standard_normal(z):
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def test_a_category_that_comes_up_is_found():
    """Categories and truth values as well as numbers."""
    before = sample(1, country=["NO", "SE"] * 150, amount=[0.0] * 300)
    after = sample(2, country=["NO", "SE", "DK"] * 100, amount=[0.0] * 300)

    result = classify(before, after)

    assert result.p_value < 1e-6
    assert next(iter(result.importances)) == "country"


def test_values_that_begin_to_be_missing_are_found():
    """A gap is a value to a tree."""
    amounts, later = np.random.default_rng(6).normal(size=(2, 300))
    gaps = np.where(np.arange(300) % 3 == 0, np.nan, later)

    assert classify(sample(1, amount=amounts), sample(2, amount=gaps)).p_value < 1e-3


def test_the_same_samples_and_seed_give_the_same_result():
    """To the bit, after a restart too."""
    assert classify(normal(1), normal(2, correlation=0.7), seed=3) == classify(
        normal(1), normal(2, correlation=0.7), seed=3
    )


def test_a_column_that_one_side_lacks_is_left_out_and_named():
    """It would tell the sides apart without any drift."""
    result = classify(sample(1, a=[0.0, 1.0] * 50, b=[0.0] * 100), sample(2, a=[1.0, 0.0] * 50, d=["x"] * 100))

    assert result.left_out == ("b", "d")
    assert not result.drifted


def test_a_column_that_is_read_in_two_ways_is_left_out():
    """Numbers here and categories there."""
    assert classify(sample(1, a=[0.0] * 50), sample(2, a=["0"] * 50)).left_out == ("a",)


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (sample(1, a=[1.0] * 100), sample(2, a=[1.0] * 100)),
        (sample(1, a=[math.nan] * 100), sample(2, a=[math.nan] * 100)),
        (sample(1, a=["x"] * 100), sample(2, a=["x"] * 100)),
        (sample(1, a=[1e308, -1e308] * 50), sample(2, a=[-1e308, 1e308] * 50)),
        (sample(1, a=[1.0] * 100), sample(2, a=[1.0])),
        (sample(1, a=[1.0]), sample(2, a=[2.0])),
        (sample(1, a=[1.0] * 100), sample(2, b=[1.0] * 100)),
        (sample(1, a=[1.0] * 2_000), sample(2, a=[1.0] * 20)),
    ],
)
def test_no_data_make_it_fail(reference, current):
    """Constants, gaps, single rows, nothing in common: no drift, and no exception."""
    result = classify(reference, current)

    assert 0.3 <= result.auc <= 0.7
    assert 0.0 <= result.p_value <= 1.0
    assert (result.n_reference, result.n_current) == (len(reference), len(current))


def test_samples_that_have_nothing_in_common_but_every_value_differs():
    """Told apart without fail, whatever the size of the numbers."""
    result = classify(sample(1, a=np.linspace(1e300, 1e308, 200)), sample(2, a=np.linspace(-1e308, -1e300, 200)))

    assert result.auc > 0.95
    assert result.importances == {"a": 1.0}


def test_rare_categories_are_one():
    """Names that servers do not let out yet, and ids, must not tell rows apart."""
    reference = sample(1, user=[f"u{place}" for place in range(200)])
    current = sample(2, user=["_OTHER"] * 10 + [f"v{place}" for place in range(190)])

    assert set(PooledRows.of(reference, current).codes.ravel()) == {0.0}
    assert classify(reference, current).auc == 0.5


def test_codes_of_categories_are_bounded():
    """The frequent ones keep their own."""
    names = [f"c{place % 90:02}" for place in range(4_000)]
    rows = PooledRows.of(sample(1, a=names[:2_000]), sample(2, a=names[2_000:]))

    assert rows.codes.max() == MAX_CODES
    assert rows.codes.min() == 0.0


def test_the_threshold_is_the_users():
    """And 0.55 by default."""
    result = classify(normal(1, correlation=0.9), normal(2), threshold=0.99)

    assert not result.drifted
    assert THRESHOLD == 0.55


def test_who_lacks_scikit_learn_is_told_what_to_install(monkeypatch):
    """By the name of the extra."""
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)

    with pytest.raises(ConfigurationError, match=r"otel-ml\[classifier\]"):
        require_classifier()

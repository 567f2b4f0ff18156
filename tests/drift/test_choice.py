"""Which detector is chosen, and why."""

import numpy as np
import pytest
from drift_samples import KEY, binned, categories, exact, kll, layout_of, numeric_baseline, numeric_window
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from otel_ml.drift import Evidence, choose, compare, create, equivalent_threshold
from otel_ml.drift.registry import BUILTIN_DETECTORS, DEFAULT_DETECTORS
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKind
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, FeatureSummary
from otel_ml.sketch.text_summary import TextSummary

NUMERIC, CATEGORICAL, BOOLEAN = FeatureKind.NUMERIC, FeatureKind.CATEGORICAL, FeatureKind.BOOLEAN
RULES = {
    "counts in cells": (Evidence(NUMERIC, 50_000, 12_400, 64), "psi", "counts in 64 cells, 12,400 values"),
    "just enough values": (Evidence(NUMERIC, 50_000, 64, 64), "psi", "64 values"),
    "lengths of texts": (Evidence(FeatureKind.TEXT, 50_000, 1_000, 64), "psi", "64 cells"),
    "a sketch as it is sent": (Evidence(NUMERIC, 50_000, 1_000, 64, rank_error=0.013), "psi", "1.3% rank error"),
    "a rough sketch": (Evidence(NUMERIC, 50_000, 1_000, 64, rank_error=0.3), "ks", "30% rank error"),
    "few values": (Evidence(NUMERIC, 50_000, 50, 64), "anderson_darling", "50 values, cells would hold too few"),
    "a small reference": (Evidence(NUMERIC, 50, 50_000, 40), "anderson_darling", "50 values"),
    "few values, few distinct": (Evidence(NUMERIC, 50_000, 50, 12), "psi", "12 cells, 50 values"),
    "few values, most zero": (Evidence(NUMERIC, 50_000, 50, 20, 0.7), "energy", "most of them usually the same"),
    "many values, most zero": (Evidence(NUMERIC, 50_000, 500, 20, 0.7), "psi", "20 cells, 500 values"),
    "some categories": (Evidence(CATEGORICAL, 50_000, 500, 12), "psi", "12 categories, 500 values"),
    "few values in categories": (Evidence(CATEGORICAL, 50_000, 50, 12), "psi", "12 categories, 50 values"),
    "many categories": (Evidence(CATEGORICAL, 50_000, 500, 256), "kl", "256 categories or more"),
    "two categories": (Evidence(BOOLEAN, 50_000, 500, 2, 0.6), "psi", "2 categories"),
    "two categories, one rare": (Evidence(BOOLEAN, 50_000, 500, 2, 0.98), "kl", "one with 2.00%"),
    "vectors": (Evidence(FeatureKind.EMBEDDING, 50_000, 500), "mahalanobis", "vectors"),
    "nothing known but its size": (Evidence(NUMERIC, 50_000, 500), "psi", "500 values"),
}


@pytest.mark.parametrize(("evidence", "method", "why"), RULES.values(), ids=list(RULES))
def test_each_rule_names_its_method_and_says_why(evidence, method, why):
    """In one sentence that begins with the name."""
    choice = choose(evidence)

    assert choice.method == method
    assert choice.reason.startswith(f"{method}: ")
    assert why in choice.reason


def test_what_may_not_be_chosen_is_passed_over_and_told():
    """The next rule that applies decides, and the sentence says what would find more."""
    choice = choose(Evidence(NUMERIC, 50_000, 50, 64), DEFAULT_DETECTORS)

    assert choice.method == "psi"
    assert "(anderson_darling, which finds more there, is not configured)" in choice.reason


@pytest.mark.parametrize(
    ("kind", "configured", "method"),
    [
        (NUMERIC, ["ks", "hellinger"], "hellinger"),
        (NUMERIC, ["fisher", "ks"], "ks"),
        (NUMERIC, ["kuiper"], "kuiper"),
        (CATEGORICAL, ["ks", "fisher", "chi_squared"], "chi_squared"),
        (BOOLEAN, ["ks", "proportions"], "proportions"),
    ],
)
def test_of_what_is_configured_it_takes_what_finds_most_and_suits(kind, configured, method):
    """Ours before those of others, and never one that cannot compare such columns."""
    choice = choose(Evidence(kind, 50_000, 1_000, 2), configured)

    assert choice.method == method
    assert "of what is configured" in choice.reason


@pytest.mark.parametrize("configured", [[], ["ks"], ["proportions"]])
def test_where_nothing_suits_it_says_so(configured):
    """With the kind of column, and what there was to choose from."""
    with pytest.raises(ConfigurationError, match="no detector for categorical columns"):
        choose(Evidence(CATEGORICAL, 50_000, 1_000, 30), configured)


@given(
    kind=st.sampled_from([NUMERIC, CATEGORICAL, BOOLEAN, FeatureKind.TEXT, FeatureKind.EMBEDDING]),
    sizes=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
    distinct=st.integers(0, 10_000),
    share=st.floats(0, 1),
    error=st.floats(0, 1),
)
def test_there_is_an_answer_to_any_evidence(kind, sizes, distinct, share, error):
    """With all detectors it is one of those that compare such columns."""
    choice = choose(Evidence(kind, *sizes, distinct, share, error))

    assert choice.method in BUILTIN_DETECTORS or kind is FeatureKind.EMBEDDING
    assert choice.reason.startswith(f"{choice.method}: ")


def test_distributions_tell_what_is_known_of_a_column():
    """Sizes, cells that hold anything, the most frequent value, the error of a sketch."""
    values = np.random.default_rng(1).normal(size=5_000)
    layout = layout_of(values)

    counted = Evidence.of(NUMERIC, (binned(values, layout), binned(values[:400], layout)))
    sketched = Evidence.of(NUMERIC, (binned(values, layout), kll(values[:3_000]).distribution()))
    zeros = Evidence.of(NUMERIC, (exact([0, 0, 0, 1]), exact([0, 1, 2])))

    assert (counted.n_reference, counted.n_current, counted.rank_error) == (5_000, 400, 0.0)
    assert 60 <= counted.distinct <= 66
    assert counted.frequent_share == pytest.approx(1 / 64, abs=0.01)
    assert sketched.rank_error > 0
    assert (zeros.distinct, zeros.frequent_share, zeros.n) == (2, 0.75, 3)


def test_categories_without_a_name_are_many():
    """A summary that names only the frequent ones may have hidden any number."""
    named = CategoricalDistribution({f"{place}": 10 for place in range(200)}, other=50)

    assert Evidence.of(CATEGORICAL, (named, named)).distinct >= 256
    assert Evidence.of(CATEGORICAL, (categories(a=3, b=1), named)).distinct == 2


DEGENERATE = {
    "constants": (exact([7.0] * 100), exact([7.0] * 100)),
    "two constants": (exact([7.0] * 100), exact([9.0] * 30)),
    "one value each": (exact([1.0]), exact([2.0])),
    "one category": (categories(a=100), categories(a=50)),
    "categories without a common one": (categories(a=100), categories(b=50)),
    "one value in each category": (categories(a=1), categories(b=1)),
}


@pytest.mark.parametrize("pair", DEGENERATE.values(), ids=list(DEGENERATE))
def test_degenerate_columns_get_a_method_that_gives_a_score(pair):
    """Constants, single values, one category: a choice, and a finite score of it."""
    kind = CATEGORICAL if isinstance(pair[0], CategoricalDistribution) else NUMERIC
    choice = choose(Evidence.of(kind, pair))

    result = create(choice.method).compare(*pair)

    assert np.isfinite(result.score)


# What counts as big ---------------------------------------------------------------------------------------------------

RANKS = (np.arange(8_000) + 0.5) / 8_000
NORMAL = stats.norm.ppf(RANKS)


def zeros(share):
    count = round(share * RANKS.size)
    return np.concatenate(
        (np.zeros(count), np.exp(stats.norm.ppf((np.arange(RANKS.size - count) + 0.5) / (RANKS.size - count))))
    )


def counts(rate):
    return stats.poisson.ppf(RANKS, rate)


HOURS = {
    "moves": (NORMAL, lambda by: NORMAL + by),
    "spreads": (NORMAL, lambda by: NORMAL * (1 + by)),
    "shrinks": (NORMAL, lambda by: NORMAL * (1 - by)),
    "grows by a factor": (np.exp(NORMAL), lambda by: np.exp(NORMAL + by)),
    "counts more": (counts(3), lambda by: counts(3 * (1 + by))),
    "counts less": (counts(3), lambda by: counts(3 * (1 - by))),
    "more zeros": (zeros(0.7), lambda by: zeros(0.7 + by / 3.5)),
    "fewer zeros": (zeros(0.7), lambda by: zeros(0.7 - by / 3.5)),
}


def score_of(name, pair):
    return create(name, {"bias_corrected": False} if name in ("psi", "kl") else {}).compare(*pair).score


def hours_of(psi):
    """What the hour of a day does to columns, as far as it has this PSI."""
    for reference, changed in HOURS.values():
        layout = layout_of(reference)

        def pair(by, reference=reference, changed=changed, layout=layout):
            return binned(reference, layout), binned(changed(by), layout)

        yield pair(optimize.brentq(lambda by, pair=pair: score_of("psi", pair(by)) - psi, 0.01, 0.9, xtol=1e-3))


def two_of(psi):
    def pair(by):
        return tuple(categories(a=round(50_000 * share), b=50_000 - round(50_000 * share)) for share in (0.5, 0.5 + by))

    return pair(optimize.brentq(lambda by: score_of("psi", pair(by)) - psi, 0.01, 0.4, xtol=1e-4))


@pytest.mark.parametrize("psi", [0.2, 0.05])
def test_no_method_finds_big_what_psi_does_not(psi):
    """The score that corresponds to a PSI is the highest that an hour of the day gives with it."""
    highest = dict.fromkeys(sorted(set(BUILTIN_DETECTORS) - {"levene"}), 0.0)
    for pair in (*hours_of(psi), two_of(psi)):
        for name in highest:
            if create(name).applies_to(pair[0]):
                highest[name] = max(highest[name], score_of(name, pair))

    for name, score in highest.items():
        assert equivalent_threshold(name, psi) == pytest.approx(score, rel=0.08), name


def test_the_default_thresholds_on_cells_are_on_that_scale():
    """A choice among them changes nothing in what counts."""
    for name in ("psi", "kl", "hellinger", "jensen_shannon", "chi_squared", "g_test", "proportions", "fisher"):
        assert equivalent_threshold(name) == pytest.approx(create(name).threshold, rel=0.07), name


@pytest.mark.parametrize("name", ["levene", "kuiper"])
def test_what_is_not_on_the_scale_has_no_equivalent(name):
    """Levene's test sees no change of place, and of others' detectors nothing is known."""
    assert equivalent_threshold(name) is None


# Comparing with it ----------------------------------------------------------------------------------------------------


def of(content, rows):
    return FeatureSummary(KEY, content, Counters(rows=rows))


def vectors(rows, mean, size=4):
    summary = EmbeddingSummary()
    summary.update(np.random.default_rng(rows).normal(mean, 1, size=(rows, size)))
    return of(summary, rows)


def texts(text):
    summary = TextSummary()
    summary.update([text] * 300)
    return of(summary, 300)


def test_comparing_summaries_uses_what_is_chosen():
    """In one call: the pair of distributions, the method, and a threshold on the common scale."""
    chance = np.random.default_rng(2)
    reference, layout = numeric_baseline(chance.normal(size=5_000))

    many = compare(reference, numeric_window(bins=chance.normal(1, 1, 1_000), layout=layout), layout)
    few = compare(reference, numeric_window(bins=chance.normal(1, 1, 40), layout=layout), layout)

    assert (many.method, many.threshold, many.drifted) == ("psi", 0.2, True)
    assert (few.method, few.threshold, few.drifted) == ("anderson_darling", 0.25, True)


def test_comparing_summaries_of_every_kind():
    """Categories, truth values, vectors and texts; None where there is nothing to compare."""
    colors = of(CategoricalSummary(CategoryCounts(counts={"red": 500, "blue": 500})), 1_000)
    red = of(CategoricalSummary(CategoryCounts(counts={"red": 990, "blue": 10})), 1_000)

    assert (compare(colors, red).method, compare(colors, red).drifted) == ("psi", True)
    assert compare(of(BooleanSummary(980, 20), 1_000), of(BooleanSummary(900, 100), 1_000)).method == "kl"
    assert compare(vectors(500, 0.0), vectors(400, 1.0)).method == "mahalanobis"
    assert compare(vectors(500, 0.0), vectors(400, 1.0, size=3)) is None
    assert compare(texts("a word"), texts("three words here")).method == "content"
    assert compare(colors, of(BooleanSummary(1, 1), 2)) is None
    assert compare(colors, of(CategoricalSummary(CategoryCounts(counts={})), 10)) is None

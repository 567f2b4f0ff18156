import pytest
from comparison_samples import baseline, rows

from otel_ml.comparing import compare
from otel_ml.comparing.measuring import Asking
from otel_ml.drift.choice import equivalent_threshold
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.registry import DEFAULT_DETECTORS, create
from otel_ml.sketch.feature import FeatureKind


@pytest.fixture(scope="module")
def report():
    return compare(baseline(), rows(3000, seed=1, drifted=True))


def test_those_of_the_processor_are_asked_by_default():
    """What it alerts on is what a report finds."""
    assert tuple(Asking.of().detectors) == DEFAULT_DETECTORS


def test_q_values_are_corrected_over_the_deciding_results(report):
    """They are one family, whichever methods decide."""
    decisions = [column.decision for column in report.columns if column.decision]

    expected = benjamini_hochberg([decision.p_value for decision in decisions])

    assert [decision.q_value for decision in decisions] == pytest.approx(expected)


def test_q_values_of_other_methods_are_families_of_their_own(report):
    """Of each method over the columns about which it does not decide."""
    of_ks = [result for column in report.columns for result in column.results if result.method == "ks"]

    expected = benjamini_hochberg([result.p_value for result in of_ks])

    assert [result.q_value for result in of_ks] == pytest.approx(expected)


def test_a_chosen_method_has_a_threshold_as_big_as_that_of_psi():
    """So that what counts does not change with the choice; one that was configured keeps its own."""
    asking = Asking.of(["psi", "kl"])
    result = create("kl").compare(*[_distribution()] * 2)

    assert asking.threshold(result, was_chosen=True) == equivalent_threshold("kl")
    assert asking.threshold(result, was_chosen=False) == result.threshold
    tuned = Asking.of(["psi", create("kl", {"threshold": 0.7})])
    assert tuned.threshold(create("kl", {"threshold": 0.7}).compare(*[_distribution()] * 2), was_chosen=True) == 0.7


def test_one_name_decides_about_what_it_compares():
    """Numbers for one of numbers, texts for one of texts."""
    assert Asking.of(decide_by="ks").decide_by["numeric"] == "ks"
    assert Asking.of(decide_by="ks").decide_by["categorical"] == "auto"
    assert Asking.of(decide_by="words").decide_by["text"] == "words"
    assert Asking.of(decide_by="covariance").decide_by["embedding"] == "covariance"
    assert Asking.of(decide_by="auto").decide_by == Asking.of().decide_by


def test_only_those_that_compare_a_kind_are_candidates():
    """No detector of numbers is asked about categories."""
    asking = Asking.of(["ks", "psi", "chi_squared"])

    assert "ks" not in asking.candidates(FeatureKind.CATEGORICAL)
    assert "ks" in asking.candidates(FeatureKind.TEXT)


def test_what_moved_is_told_in_words_of_the_column(report):
    """Shares of categories, features of texts, norms of vectors, pairs of features."""
    told = {column.name: [cell.label for cell in column.moved] for column in report.drifted_columns}

    assert set(told["country"]) == {"DE", "US"}
    assert told["note"]
    assert all(label.startswith("norm ") for label in told["vector"])
    assert "one ~ other" in told["(features together)"]


def _distribution():
    from otel_ml.sketch.distribution import CategoricalDistribution

    return CategoricalDistribution({"a": 500, "b": 500})


def test_vectors_are_projected_as_the_baseline_projected_them(report):
    """What needs one measure on both sides can be asked."""
    methods = {result.method for result in report["vector"].results}

    assert {"mahalanobis", "covariance", "mmd", "sliced_wasserstein"} <= methods

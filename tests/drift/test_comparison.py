"""Which representation of two summaries is compared."""

import numpy as np
import pytest
from drift_samples import (
    KEY,
    boolean_summary,
    categorical_summary,
    exact,
    layout_of,
    numeric_baseline,
    numeric_window,
)

from otel_ml.drift import create, distributions
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.feature import Counters
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary

KS = create("ks")
PSI = create("psi")


def normal(n, mean=0.0, deviation=1.0, seed=0):
    return np.random.default_rng(seed).normal(mean, deviation, size=n)


def test_bins_of_the_baseline_are_compared_as_they_are():
    """Integer counts over the baseline's own edges: nothing is estimated."""
    baseline, layout = numeric_baseline(normal(5_000))

    reference, current = distributions(baseline, numeric_window(bins=normal(500, seed=1), layout=layout), layout)

    assert reference.points is current.points is layout.edges
    assert (reference.total, current.total) == (5_000, 500)
    assert not reference.is_step


def test_few_distinct_values_are_compared_exactly():
    """A baseline with exact counts and a window with exact counts lose nothing."""
    baseline, layout = numeric_baseline(np.arange(1_000) % 7)

    reference, current = distributions(baseline, numeric_window(exact=[1.0, 2.0, 9.0]), layout)

    assert reference.is_step
    assert current.is_step
    assert KS.compare(reference, current).score == KS.compare(exact(np.arange(1_000) % 7), exact([1, 2, 9])).score


def test_exact_counts_meet_the_bins_of_a_baseline_with_many_values():
    """A step function is known at every edge."""
    values = normal(5_000)
    baseline, layout = numeric_baseline(values)

    pair = distributions(baseline, numeric_window(exact=np.round(normal(1_000, seed=1), 1)), layout)

    assert pair[0].points is layout.edges
    assert pair[1].is_step


def test_histograms_are_compared_at_their_common_scale():
    """Their bounds nest, so that the distribution functions are known at the same points, without error."""
    baseline, layout = numeric_baseline(normal(20_000))
    window = numeric_window(sampled=normal(2_000, 0.3, seed=1))

    reference, current = distributions(baseline, window, layout)

    assert np.array_equal(reference.points, current.points)
    assert current.rank_error == 0
    truth = KS.compare(exact(normal(20_000)), exact(normal(2_000, 0.3, seed=1))).score
    assert KS.compare(reference, current).score == pytest.approx(truth, abs=0.005)


@pytest.mark.parametrize("mean", [1_000.0, -1_000.0])
def test_a_large_offset_beside_tiny_outliers_is_compared_by_quantiles(mean):
    """The histogram's buckets are spent on the orders of magnitude between: it cannot see a shift of 2 in 1,000."""
    reference_values, shifted, same = (
        normal(20_000, mean, 5),
        normal(5_000, mean + 2, 5, seed=1),
        normal(5_000, mean, 5, seed=2),
    )
    for values in (reference_values, shifted, same):
        values[:5] = 0.01
    baseline, layout = numeric_baseline(reference_values)

    drifted = KS.compare(*distributions(baseline, numeric_window(sampled=shifted), layout))
    quiet = KS.compare(*distributions(baseline, numeric_window(sampled=same), layout))

    assert drifted.drifted
    assert drifted.p_value < 1e-6
    assert not quiet.drifted
    assert quiet.p_value > 0.05


def test_a_histogram_that_cannot_see_drift_gives_no_answer():
    """No answer is better than "no drift" from a foreign histogram that holds everything in one bucket."""
    values = normal(20_000, 1_000, 5)
    values[:20] = 0.01
    baseline, layout = numeric_baseline(values)

    assert distributions(baseline, numeric_window(histogram=values), layout) is None


def test_a_frequent_value_does_not_make_a_histogram_coarse():
    """60 % zeros fill one bucket, and nothing hides in it."""
    values = np.where(np.arange(5_000) % 10 < 6, 0.0, normal(5_000, 5))
    baseline, layout = numeric_baseline(values)

    _, current = distributions(baseline, numeric_window(sampled=values[:1_000]), layout)

    assert not current.is_step


def test_a_window_of_mixed_parts_is_projected_on_the_baselines_edges():
    """Replicas that knew the baseline, others that did not, and one with few values, count together."""
    baseline, layout = numeric_baseline(normal(20_000))
    parts = normal(3_000, seed=1), normal(3_000, seed=2), np.round(normal(1_000, seed=3), 2)[:200]
    window = numeric_window(bins=parts[0], sampled=parts[1], exact=parts[2], layout=layout)

    reference, current = distributions(baseline, window, layout)

    assert current.points is layout.edges
    assert current.total == 6_200
    truth = exact(np.concatenate(parts)).cdf(layout.edges)
    assert np.abs(current.cumulative / current.total - truth).max() < 0.01
    assert 0 < current.rank_error < 0.01
    assert KS.compare(reference, current).p_value > 0.05


def test_bins_of_another_baseline_are_compared_where_their_edges_are_known():
    """A process that cut its own bins knows them; over the wire there is only a hash, which cannot be placed."""
    baseline, layout = numeric_baseline(normal(20_000))
    values = normal(5_000, 1.0, seed=1)
    other = layout_of(values)
    known, unknown = numeric_window(bins=values, layout=other), numeric_window(bins=values, layout=other)
    known.content.bins[other.hash] = AnchoredBins.of(other, values)

    assert KS.compare(*distributions(baseline, known, layout)).score == pytest.approx(0.38, abs=0.03)
    assert distributions(baseline, unknown, layout) is None


def test_merged_replicas_are_compared_as_one_process_would_be():
    """One replica or eight: bit for bit the same statistic."""
    baseline, layout = numeric_baseline(normal(5_000))
    values = normal(4_000, 0.1, seed=1)
    merged = numeric_window(bins=values[:500], layout=layout)
    for start in range(500, 4_000, 500):
        merged.merge(numeric_window(bins=values[start : start + 500], layout=layout))

    alone = numeric_window(bins=values, layout=layout)

    assert PSI.compare(*distributions(baseline, merged, layout)) == PSI.compare(*distributions(baseline, alone, layout))


def test_categories_and_truth_values_are_compared_by_count():
    """Both are categories to a detector."""
    by_name = distributions(categorical_summary({"a": 3}), categorical_summary({"b": 1, "a": 1}))
    by_truth = distributions(boolean_summary(3, 1), boolean_summary(0, 2))

    assert [side.counts for side in by_name] == [{"a": 3}, {"b": 1, "a": 1}]
    assert [side.counts for side in by_truth] == [{"false": 3, "true": 1}, {"false": 0, "true": 2}]


def test_the_error_of_heavy_hitters_goes_with_them():
    """A detector has to know by how much a count may be too low."""
    many = categorical_summary({f"c{position}": position + 1 for position in range(20)}, limit=10)

    _, current = distributions(categorical_summary({"a": 3}), many)

    assert current.other > 0
    assert current.error_bound == many.content.categories.error_bound > 0


@pytest.mark.parametrize(
    "sides",
    [
        lambda: (numeric_baseline([1.0, 2.0])[0], categorical_summary({"a": 1})),
        lambda: (boolean_summary(1, 1), categorical_summary({"true": 1})),
        lambda: (numeric_baseline([1.0, 2.0])[0], numeric_window()),
        lambda: (numeric_window(), numeric_window(exact=[1.0])),
        lambda: (categorical_summary({"a": 1}), categorical_summary({})),
        lambda: (boolean_summary(1, 1), boolean_summary(0, 0)),
        lambda: (FeatureSummary(KEY, OpaqueSummary(), Counters(3)), FeatureSummary(KEY, OpaqueSummary(), Counters(3))),
    ],
    ids=["kinds", "boolean and categorical", "no values", "no reference", "no categories", "no truth values", "opaque"],
)
def test_nothing_to_compare_is_none(sides):
    """A side without values, or two kinds of column: no pair, so that no detector has to care."""
    assert distributions(*sides()) is None


def test_a_reference_without_bins_still_compares():
    """Every form of the window finds a form of the reference."""
    baseline, _ = numeric_baseline(normal(2_000))
    baseline.content.bins.clear()
    layout = layout_of(normal(2_000))
    for form in ("bins", "exact", "sampled"):
        window = numeric_window(**{form: np.round(normal(200, 2.0, seed=1), 1), "layout": layout})
        pair = distributions(baseline, window, layout)

        assert KS.compare(*pair).drifted


def test_what_is_compared_by_quantiles_brings_its_moments():
    """A sketch's items have a mean of their own, which would pass for the exact one with a million values."""
    far = np.append(normal(4_999, 1_000.0), 0.01)
    baseline, layout = numeric_baseline(far)

    _, current = distributions(baseline, numeric_window(sampled=far), layout)

    assert current.rank_error > 0
    assert current.moments.mean == pytest.approx(far.mean(), rel=1e-12)

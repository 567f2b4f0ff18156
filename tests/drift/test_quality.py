"""Data quality: shares of bad values, against the reference's own."""

import numpy as np
import pytest
from drift_samples import boolean_summary, categorical_summary, numeric_baseline, numeric_window
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift import data_quality
from otel_ml.drift.quality import increase_p_value


def uniform(n, low=0.0, high=1.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, size=n)


@given(count=st.integers(0, 30), good=st.integers(0, 400), was_bad=st.integers(0, 30), was_good=st.integers(0, 400))
def test_the_p_value_is_fishers(count, good, was_bad, was_good):
    """The one-sided exact test of two proportions, as scipy computes it."""
    expected = stats.fisher_exact([[count, good], [was_bad, was_good]], alternative="greater").pvalue

    p_value = increase_p_value(count, count + good, was_bad, was_bad + was_good)

    assert p_value == pytest.approx(expected, rel=1e-6)


def test_many_bad_values_are_tested_by_the_normal_limit():
    """Where the exact test would sum thousands of terms, both agree."""
    exact = stats.fisher_exact([[700, 9_300], [600, 9_400]], alternative="greater").pvalue

    assert increase_p_value(700, 10_000, 600, 10_000) == pytest.approx(exact, rel=0.15)


def test_missing_values_are_a_share_of_all_rows():
    """Compared with the reference's own share, which may well not be 0."""
    baseline, layout = numeric_baseline(uniform(900), rows=1_000, missing=100)

    usual = data_quality(baseline, numeric_window(bins=uniform(450), layout=layout, rows=500, missing=50), layout)
    worse = data_quality(baseline, numeric_window(bins=uniform(350), layout=layout, rows=500, missing=150), layout)

    assert usual.missing_ratio == pytest.approx(0.1)
    assert not usual.missing.is_degraded()
    assert usual.missing.p_value > 0.3
    assert worse.missing.increase == pytest.approx(0.2)
    assert worse.missing.is_degraded()
    assert worse.missing.p_value < 1e-9


@pytest.mark.parametrize("rows", [10, 50, 1_000])
def test_a_single_bad_row_never_matters(rows):
    """A reference without any makes it significant; a handful is needed to make it matter."""
    baseline, layout = numeric_baseline(uniform(10_000))
    values = uniform(rows - 1)

    missing = data_quality(baseline, numeric_window(exact=values[:99], rows=rows, missing=1), layout).missing
    outside = data_quality(baseline, numeric_window(bins=np.append(values, 7.0), layout=layout), layout).out_of_range

    assert not missing.is_degraded()
    assert not outside.is_degraded()
    assert outside.ratio == 1 / rows


def test_infinite_and_mismatched_values_are_shares_of_all_rows():
    """Both infinities count."""
    baseline, layout = numeric_baseline(uniform(1_000))
    window = numeric_window(
        bins=uniform(85), layout=layout, rows=100, positive_infinite=3, negative_infinite=2, mismatched=10
    )

    quality = data_quality(baseline, window, layout)

    assert quality.infinite_ratio == pytest.approx(0.05)
    assert quality.type_mismatch_ratio == pytest.approx(0.1)
    assert quality.type_mismatch.is_degraded()


def test_a_column_that_changed_its_kind_is_all_mismatch():
    """Its new producer finds nothing wrong with it; against the baseline everything is."""
    baseline, layout = numeric_baseline(uniform(1_000))

    quality = data_quality(baseline, categorical_summary({"1.5 EUR": 90}, rows=100, missing=10), layout)

    assert quality.type_mismatch_ratio == pytest.approx(0.9)
    assert quality.out_of_range is None
    assert quality.unseen_category is None


@pytest.mark.parametrize("form", ["bins", "exact", "sampled", "histogram"])
def test_values_outside_the_baselines_range_are_found_in_every_form(form):
    """Exactly from bins and exact counts, closely from sketches."""
    baseline, layout = numeric_baseline(np.append(uniform(5_000), [0.0, 1.0]))
    values = np.concatenate([uniform(150, seed=1), np.full(30, 1.7), np.full(20, -0.4)])

    quality = data_quality(baseline, numeric_window(**{form: values}, layout=layout), layout)

    assert quality.out_of_range.count == pytest.approx(50, abs=0 if form in {"bins", "exact"} else 3)
    assert quality.out_of_range.is_degraded()
    assert quality.out_of_range.p_value < 1e-6


@pytest.mark.parametrize("form", ["bins", "exact", "sampled", "histogram"])
def test_the_ends_of_the_range_are_inside(form):
    """The smallest and the largest training value are no outliers."""
    baseline, layout = numeric_baseline(uniform(1_000, 3, 9))
    ends = [baseline.content.moments.minimum, baseline.content.moments.maximum] * 10

    assert data_quality(baseline, numeric_window(**{form: ends}, layout=layout), layout).out_of_range_ratio == 0


def test_out_of_range_without_drift_is_rarely_significant():
    """New values do fall outside the range of a finite sample: the test knows how often."""
    rng = np.random.default_rng(8)
    alarms = 0
    for _ in range(300):
        baseline, layout = numeric_baseline(rng.normal(size=300))
        window = numeric_window(bins=rng.normal(size=300), layout=layout)
        alarms += data_quality(baseline, window, layout).out_of_range.p_value < 0.05

    assert alarms / 300 <= 0.09


def test_unseen_categories_are_a_share_of_all_values():
    """A new carrier code in a tenth of the rows matters."""
    baseline = categorical_summary({"AA": 5_000, "UA": 4_000, "WN": 1_000})

    quality = data_quality(baseline, categorical_summary({"AA": 500, "UA": 400, "ZZ": 100}))

    assert quality.unseen_category_ratio == pytest.approx(0.1)
    assert quality.unseen_category.is_degraded()
    assert quality.unseen_category.p_value < 1e-12


def test_unseen_categories_are_expected_where_the_reference_has_many_it_saw_once():
    """Good's estimate: the share of values whose category came once is the share of new ones to come."""
    rng = np.random.default_rng(9)
    shares = 1 / np.arange(1, 250)
    draw = lambda n: {f"c{i}": int(c) for i, c in enumerate(rng.multinomial(n, shares / shares.sum())) if c}  # noqa: E731  # two uses

    quality = data_quality(categorical_summary(draw(1_000)), categorical_summary(draw(1_000)))

    assert quality.unseen_category.ratio > 0.01
    assert quality.unseen_category.p_value > 0.01
    assert not quality.unseen_category.is_degraded(0.02)


def test_a_reference_that_forgot_categories_cannot_call_any_unseen():
    """Once some have no name of their own, an unknown name need not be new."""
    baseline = categorical_summary({f"c{position}": position + 1 for position in range(20)}, limit=10)

    assert data_quality(baseline, categorical_summary({"new": 100})).unseen_category is None


def test_ratios_that_do_not_apply_are_none():
    """A truth value has no range and no infinity."""
    quality = data_quality(boolean_summary(3, 1), boolean_summary(0, 2))

    assert quality.missing_ratio == 0
    assert quality.infinite_ratio is quality.out_of_range_ratio is quality.unseen_category_ratio is None


def test_a_window_without_rows_has_no_ratios():
    """Nothing is known of a column nobody sent."""
    quality = data_quality(boolean_summary(3, 1), boolean_summary(0, 0))

    assert quality.missing is quality.type_mismatch is None


def test_a_reference_without_values_makes_nothing_significant():
    """There is no ratio to compare with."""
    assert increase_p_value(5, 10, 0, 0) == 1

"""The chi-squared test of homogeneity."""

import numpy as np
import pytest
from drift_samples import categories, exact
from scipy import stats

from otel_ml.drift.univariate.chi_squared import ChiSquared
from otel_ml.sketch.distribution import CategoricalDistribution


def test_the_p_value_is_that_of_the_textbook():
    """Pearson's χ² over the 2 x k table of counts, as scipy computes it."""
    expected = stats.chi2_contingency([[120, 90, 290], [150, 80, 470]], correction=False)

    result = ChiSquared().compare(categories(a=120, b=90, c=290), categories(a=150, b=80, c=470))

    assert result.p_value == pytest.approx(expected.pvalue)


def test_the_score_is_cramers_v_where_the_samples_are_equal_in_size():
    """V = √(χ² / N) for two rows."""
    table = np.array([[120, 90, 290], [150, 80, 270]])

    result = ChiSquared(bias_corrected=False).compare(categories(a=120, b=90, c=290), categories(a=150, b=80, c=270))

    assert result.score == pytest.approx(stats.contingency.association(table, method="cramer"))


def test_the_score_does_not_vanish_as_the_reference_grows():
    """The same shares are the same drift, whatever the reference's size."""
    current = categories(a=150, b=80, c=270)

    detector = ChiSquared(bias_corrected=False)

    small = detector.compare(categories(a=120, b=90, c=290), current).score
    large = detector.compare(categories(a=120_000, b=90_000, c=290_000), current).score

    assert large == pytest.approx(small)


def test_what_chance_adds_to_v_is_what_it_adds_to_chi_squared():
    """χ² is one for each degree of freedom without drift, and N V² is χ² where the samples are of the same size."""
    left, right = categories(a=120, b=90, c=290), categories(a=150, b=80, c=270)

    plain = ChiSquared(bias_corrected=False).compare(left, right).score
    corrected = ChiSquared().compare(left, right).score

    assert corrected**2 == pytest.approx(plain**2 - 2 / 1_000)


def test_numbers_are_counted_in_quantile_bins():
    """Pearson's test over the cells that PSI has."""
    reference, current = np.random.default_rng(3).normal(size=(2, 1_000))
    counts = np.array(
        [
            np.histogram(side, [-np.inf, *np.quantile(reference, [0.25, 0.5, 0.75]), np.inf])[0]
            for side in (reference, current)
        ]
    )

    result = ChiSquared(bins=4).compare(exact(reference), exact(current))

    assert result.p_value == pytest.approx(stats.chi2_contingency(counts).pvalue, rel=0.1)


def test_a_new_frequent_category_is_seen_beside_a_large_reference():
    """It keeps a cell of its own, though the reference dwarfs it."""
    result = ChiSquared().compare(categories(a=60_000, b=30_000, c=10_000), categories(a=540, b=270, c=90, new=100))

    assert result.score == pytest.approx(np.sqrt(0.5 * (0.1**2 / 1.9 + 0.1)), rel=0.01)
    assert result.p_value < 1e-12


def test_rare_categories_are_pooled():
    """A hundred categories of one value each on either side are no hundred findings."""
    reference = CategoricalDistribution({"a": 900, **{f"r{position}": 1 for position in range(100)}})
    current = CategoricalDistribution({"a": 900, **{f"c{position}": 1 for position in range(100)}})

    assert ChiSquared().compare(reference, current).p_value > 0.001
    assert stats.chi2_contingency([[900, *[1] * 100, *[0] * 100], [900, *[0] * 100, *[1] * 100]]).pvalue < 0.51


@pytest.mark.parametrize(("n", "m"), [(10_000, 10_000), (100_000, 200), (100_000, 1_000)])
def test_the_error_of_heavy_hitters_is_no_evidence(n, m):
    """A thousand categories in 256 names: counts may be too low, by how much depends on the size of the sample."""
    from otel_ml.sketch.categories import CategoryCounts

    rng = np.random.default_rng(n + m)
    shares = 1 / np.arange(1, 1001)
    alarms = 0
    for _ in range(60):
        sides = []
        for size in (n, m):
            counts = CategoryCounts()
            drawn = rng.multinomial(size, shares / shares.sum())
            counts.update({f"c{position}": int(drawn[position]) for position in np.flatnonzero(drawn)})
            sides.append(CategoricalDistribution(counts.counts, counts.other, counts.error_bound))
        alarms += ChiSquared().compare(*sides).p_value < 0.05

    assert alarms <= 8


def test_drift_among_heavy_hitters_is_seen():
    """A new category with a tenth of the values stands out of any remainder."""
    reference = CategoricalDistribution({f"c{position}": 300 for position in range(200)}, other=40_000, error_bound=100)
    current = CategoricalDistribution(
        {**{f"c{position}": 270 for position in range(200)}, "new": 10_000}, other=36_000, error_bound=100
    )

    result = ChiSquared().compare(reference, current)

    assert result.score > 0.15
    assert result.p_value < 1e-12

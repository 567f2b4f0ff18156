"""The Kolmogorov-Smirnov distance."""

import numpy as np
import pytest
from drift_samples import binned, exact, kll, layout_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift.univariate.ks import KolmogorovSmirnov

values = st.lists(st.integers(-5, 5) | st.floats(-1e6, 1e6), min_size=2, max_size=60)


@given(reference=values, current=values)
def test_the_distance_is_that_of_scipy_ties_or_not(reference, current):
    """Both functions are right-continuous on the union of the values, so that ties need no care."""
    result = KolmogorovSmirnov().compare(exact(reference), exact(current))

    assert result.score == pytest.approx(stats.ks_2samp(reference, current, method="asymp").statistic)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.2])
def test_the_p_value_is_close_to_scipys(shift):
    """The limit with Stephens' correction and scipy's asymptotic p-value agree where it matters."""
    reference, current = np.random.default_rng(4).normal(size=(2, 800))
    expected = stats.ks_2samp(reference, current + shift, method="asymp").pvalue

    assert KolmogorovSmirnov().compare(exact(reference), exact(current + shift)).p_value == pytest.approx(
        expected, rel=0.1
    )


def test_bins_lose_little_of_the_distance():
    """64 quantile bins see nearly what all the values do, and never more."""
    rng = np.random.default_rng(5)
    reference, current = rng.normal(size=20_000), rng.normal(0.3, size=5_000)
    layout = layout_of(reference)

    in_bins = KolmogorovSmirnov().compare(binned(reference, layout), binned(current, layout)).score
    exactly = KolmogorovSmirnov().compare(exact(reference), exact(current)).score

    assert exactly * 0.95 <= in_bins <= exactly


def test_the_error_of_a_sampling_sketch_is_no_evidence():
    """With 200,000 values a rank error of 1.5 % would be significant on its own."""
    values = np.random.default_rng(6).normal(size=200_000)
    sketches = kll(values[:100_000]).distribution(), kll(values[100_000:]).distribution()

    result = KolmogorovSmirnov().compare(*sketches)

    assert sketches[0].rank_error > 0
    assert result.p_value > 0.001

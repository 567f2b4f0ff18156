"""The Cramér-von Mises criterion."""

import numpy as np
import pytest
from drift_samples import binned, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from otel_ml.drift.univariate.cramer_von_mises import CramerVonMises


@given(seed=st.integers(0, 500), size=st.integers(20, 200))
def test_the_statistic_is_that_of_scipy(seed, size):
    """T = nm / (n + m) · ∫ (F - G)² dH, of samples of one size, where the score has the same H."""
    reference, current = np.random.default_rng(seed).normal(size=(2, size))

    score = CramerVonMises(bias_corrected=False).compare(exact(reference), exact(current)).score

    assert score**2 / 3 * size / 2 == pytest.approx(stats.cramervonmises_2samp(reference, current).statistic)


@pytest.mark.parametrize(("n", "m"), [(300, 200), (1_000, 60)])
@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_the_p_value_is_close_to_scipys(n, m, shift):
    """Whether or not the samples are of one size."""
    rng = np.random.default_rng(n)
    reference, current = rng.normal(size=n), rng.normal(shift, size=m)
    expected = stats.cramervonmises_2samp(reference, current, method="asymptotic").pvalue

    p_value = CramerVonMises().compare(exact(reference), exact(current)).p_value

    assert p_value == pytest.approx(expected, rel=0.1, abs=0.01)


def test_nothing_in_common_is_one():
    """The score is between 0 and 1, whatever the sizes."""
    detector = CramerVonMises(bias_corrected=False)

    assert detector.compare(exact(np.arange(500)), exact(np.arange(500) + 1e3)).score == pytest.approx(1, rel=1e-4)
    assert detector.compare(exact([0.0] * 9), exact([1.0] * 70)).score == 1


def test_bins_lose_little():
    """64 bins know the distance at their edges."""
    rng = np.random.default_rng(1)
    reference, current = rng.normal(size=10_000), rng.normal(0.3, size=3_000)
    layout = layout_of(reference)

    in_bins = CramerVonMises().compare(binned(reference, layout), binned(current, layout)).score

    assert in_bins == pytest.approx(CramerVonMises().compare(exact(reference), exact(current)).score, rel=0.01)

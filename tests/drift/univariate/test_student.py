"""The standardised difference of two means."""

import math

import numpy as np
import pytest
from drift_samples import binned, exact, layout_of
from scipy import stats

from otel_ml.drift.univariate.student import StandardisedMeanDifference
from otel_ml.sketch.bins import AnchoredBins


def test_bins_lose_nothing():
    """Moments are exact, whatever counts the values."""
    rng = np.random.default_rng(1)
    reference, current = rng.lognormal(size=3_000), rng.lognormal(0.1, size=500)
    layout = layout_of(reference)

    result = StandardisedMeanDifference(bias_corrected=False).compare(
        binned(reference, layout), binned(current, layout)
    )

    spread = math.sqrt((reference.var(ddof=1) + current.var(ddof=1)) / 2)
    assert result.score == pytest.approx(abs(reference.mean() - current.mean()) / spread)
    assert result.p_value == pytest.approx(
        max(stats.ttest_ind(reference, current, equal_var=equal).pvalue for equal in (True, False))
    )


def test_without_moments_there_is_no_answer():
    """Bins alone do not know where in them the values lie."""
    layout = layout_of(np.arange(100.0))
    side = AnchoredBins.of(layout, np.arange(50.0)).distribution()

    result = StandardisedMeanDifference().compare(side, side)

    assert math.isnan(result.score)
    assert result.p_value is None


def test_a_large_offset_does_not_cancel():
    """A shift of 0.2 at a mean of a thousand million."""
    reference = np.random.default_rng(2).normal(1e9, size=5_000)

    assert StandardisedMeanDifference().compare(exact(reference), exact(reference + 0.2)).score == pytest.approx(
        0.2, rel=0.03
    )


def test_two_constants_lie_one_apart():
    """There is no deviation to measure the difference in."""
    assert StandardisedMeanDifference().compare(exact([5.0] * 30), exact([7.0] * 30)).score == 1

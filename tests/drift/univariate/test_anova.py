"""The analysis of variance."""

import numpy as np
import pytest
from drift_samples import exact
from scipy import stats

from otel_ml.drift.univariate.anova import AnalysisOfVariance
from otel_ml.drift.univariate.student import StandardisedMeanDifference


def test_the_p_value_is_that_of_scipy():
    """From moments alone."""
    rng = np.random.default_rng(1)
    reference, current = rng.normal(size=300), rng.normal(0.1, size=80)

    p_value = AnalysisOfVariance().compare(exact(reference), exact(current)).p_value

    assert p_value == pytest.approx(stats.f_oneway(reference, current).pvalue)


@pytest.mark.parametrize("shift", [0.1, 1.0])
def test_the_effect_is_half_the_difference_of_means(shift):
    """Cohen's f of two groups is half his d, however unequal they are in size."""
    rng = np.random.default_rng(2)
    pair = exact(rng.normal(size=5_000)), exact(rng.normal(shift, size=200))

    assert AnalysisOfVariance().compare(*pair).score == pytest.approx(
        StandardisedMeanDifference().compare(*pair).score / 2
    )

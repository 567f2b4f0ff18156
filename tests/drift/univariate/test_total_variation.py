"""The total variation distance."""

import numpy as np
import pytest
from drift_samples import categories, exact
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.univariate.total_variation import TotalVariation

PLAIN = TotalVariation(bias_corrected=False)


def test_a_worked_example():
    """Half of |.5 - .4| + |.3 - .45| + |.2 - .15|."""
    result = PLAIN.compare(categories(a=500, b=300, c=200), categories(a=400, b=450, c=150))

    assert result.score == pytest.approx(0.15)


@given(kept=st.integers(1, 9))
def test_it_is_the_share_of_values_that_are_others(kept):
    """Replace a tenth of the values, and the distance is a tenth."""
    result = PLAIN.compare(categories(a=10_000), categories(a=1_000 * kept, b=10_000 - 1_000 * kept))

    assert result.score == pytest.approx(1 - kept / 10)


def test_a_shift_scores_what_it_does_in_theory():
    """Two normal distributions 0.46 deviations apart are 0.18 apart: the default threshold."""
    reference, current = np.random.default_rng(0).normal(size=(2, 50_000))

    assert TotalVariation().compare(exact(reference), exact(current + 0.4583)).score == pytest.approx(0.1812, abs=0.006)

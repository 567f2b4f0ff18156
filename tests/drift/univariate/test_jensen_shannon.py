"""The Jensen-Shannon distance."""

import numpy as np
import pytest
from drift_samples import categories, exact
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from otel_ml.drift.univariate.jensen_shannon import JensenShannon
from otel_ml.sketch.distribution import CategoricalDistribution


@given(counts=st.lists(st.tuples(st.integers(50, 1000), st.integers(50, 1000)), min_size=2, max_size=10))
def test_the_distance_over_categories_is_that_of_scipy(counts):
    """The square root of the divergence, in base 2."""
    reference, current = zip(*counts, strict=True)
    names = [f"c{position}" for position in range(len(counts))]
    expected = jensenshannon(np.array(reference, float), np.array(current, float), base=2)

    result = JensenShannon(bias_corrected=False).compare(
        CategoricalDistribution(dict(zip(names, reference, strict=True))),
        CategoricalDistribution(dict(zip(names, current, strict=True))),
    )

    assert result.score == pytest.approx(expected, abs=1e-6)


def test_nothing_in_common_is_one():
    """The distance is a metric between 0 and 1."""
    detector = JensenShannon(bias_corrected=False)

    assert detector.compare(categories(a=100), categories(b=100)).score == pytest.approx(1)
    assert detector.compare(exact([1.0] * 100), exact([2.0] * 100)).score == pytest.approx(1)

"""What one value means, and the kind of a column."""

import numpy as np
import pytest

from otel_ml.recording.values import kind_of, number_of
from otel_ml.sketch.feature import FeatureKind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2.5, None], FeatureKind.NUMERIC),
        ([True, False, None], FeatureKind.BOOLEAN),
        (["a", "b", 1], FeatureKind.CATEGORICAL),
        ([None, float("nan")], None),
        ([], None),
        ([[1], [2]], FeatureKind.OPAQUE),
        (["long " * 50], FeatureKind.OPAQUE),
        ([np.array(1.0), np.array(2.0)], FeatureKind.NUMERIC),
        ([None] * 500 + [1.0], FeatureKind.NUMERIC),
    ],
)
def test_the_kind_is_that_of_most_values(values, kind):
    """Missing values have no say."""
    assert kind_of(values) is kind


def test_a_number_without_dimensions_is_a_number():
    """As indexing an array or tensor may give one."""
    assert number_of(np.array(2.5)) == 2.5

"""What one value means, and the kind of a column."""

from datetime import datetime

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
        ([[1, 2], [2.0, 3.0]], FeatureKind.EMBEDDING),
        ([np.zeros(3)], FeatureKind.EMBEDDING),
        (["x" * 129], FeatureKind.TEXT),
        (["one two three four five six seven eight nine ten eleven twelve"], FeatureKind.CATEGORICAL),
        (["one two three four five six seven eight nine ten eleven twelve thirteen"], FeatureKind.TEXT),
        ([datetime(2026, 1, 1), None], FeatureKind.DATETIME),  # noqa: DTZ001 - a naive one, as it comes
        ([np.datetime64("2026-01-01"), np.datetime64("NaT", "s")], FeatureKind.DATETIME),
        ([{"a": 1}], FeatureKind.OPAQUE),
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

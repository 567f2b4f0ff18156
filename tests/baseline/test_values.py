import math
from datetime import datetime, timezone
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline import values
from otel_ml.recording import values as recorded
from otel_ml.sketch.feature import FeatureKind

ODD = [
    None,
    float("nan"),
    np.float32("nan"),
    np.datetime64("NaT", "s"),
    pd.NA,
    pd.NaT,
    True,
    np.True_,
    0,
    1,
    10**400,
    -(10**400),
    np.int8(3),
    2.0,
    np.float32(2.5),
    float("inf"),
    Decimal("1.50"),
    Fraction(1, 3),
    1 + 2j,
    "",
    "12",
    "x" * 500,
    "\ud800",
    b"bytes",
    datetime(2013, 1, 1, tzinfo=timezone.utc),
    [1],
    {"a": 1},
]


@pytest.mark.parametrize("value", ODD, ids=repr)
def test_training_and_serving_read_a_value_alike(value):
    """A value means the same in a baseline and in a request, else serving would seem to have drifted."""
    for name in ("is_missing", "number_of", "boolean_of", "category_of"):
        found, expected = getattr(values, name)(value), getattr(recorded, name)(value)

        assert found == expected or (math.isnan(found) and math.isnan(expected)), name


@pytest.mark.parametrize("value", [Decimal("sNaN"), np.timedelta64("NaT", "s")], ids=repr)
def test_no_value_breaks_the_reading(value):
    """Values that even refuse to be compared are of no kind, and that is all."""
    assert values.boolean_of(value) is None
    assert values.category_of(value) is None


@given(st.integers() | st.floats() | st.text() | st.booleans())
def test_training_and_serving_name_categories_alike(value):
    """The name of a category does not depend on which side saw it."""
    assert values.category_of(value) == recorded.category_of(value)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        (bool, FeatureKind.BOOLEAN),
        (np.bool_, FeatureKind.BOOLEAN),
        (int, FeatureKind.NUMERIC),
        (np.float32, FeatureKind.NUMERIC),
        (Decimal, FeatureKind.NUMERIC),
        (str, FeatureKind.CATEGORICAL),
        (complex, FeatureKind.OPAQUE),
        (np.timedelta64, FeatureKind.OPAQUE),
        (datetime, FeatureKind.OPAQUE),
        (list, FeatureKind.OPAQUE),
    ],
)
def test_types_have_kinds(type_, kind):
    """A Python type says how its values are read."""
    assert values.kind_of_type(type_) is kind

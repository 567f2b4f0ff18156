import math
from datetime import date, datetime, time, timedelta, timezone
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
        (datetime, FeatureKind.DATETIME),
        (date, FeatureKind.DATETIME),
        (np.datetime64, FeatureKind.DATETIME),
        (pd.Timestamp, FeatureKind.DATETIME),
        (time, FeatureKind.OPAQUE),
        (list, FeatureKind.OPAQUE),
    ],
)
def test_types_have_kinds(type_, kind):
    """A Python type says how its values are read."""
    assert values.kind_of_type(type_) is kind


MOON = datetime(1969, 7, 20, 20, 17, 40, 500_000, tzinfo=timezone.utc)
ONE_HOUR_EAST = timezone(timedelta(hours=1))


@pytest.mark.parametrize(
    "value",
    [
        MOON,
        MOON.replace(tzinfo=None),
        MOON.astimezone(ONE_HOUR_EAST),
        pd.Timestamp(MOON),
        np.datetime64("1969-07-20T20:17:40.500"),
        np.datetime64("1969-07-20T20:17:40.500000000"),
        "1969-07-20T20:17:40.5Z",
        "1969-07-20 20:17:40,500000",
        "1969-07-20T21:17:40.500000001+01:00",
        "1969-07-20T15:47:40.5-0430",
    ],
    ids=repr,
)
def test_a_point_in_time_is_the_same_however_it_is_written(value):
    """Whichever type, unit and time zone; without a zone it is UTC."""
    assert values.datetime_of(value) == MOON.timestamp()


@pytest.mark.parametrize(
    ("value", "epoch"),
    [
        (date(1970, 1, 2), 86_400.0),
        ("1970-01-02", 86_400.0),
        ("1970-01-02T00:01", 86_460.0),
        (datetime(1, 1, 1, tzinfo=ONE_HOUR_EAST), -62_135_600_400.0),
        ("1970-02-30", None),
        ("1970-01-01T25:00", None),
        ("19700101", None),
        ("yesterday", None),
        ("١٩٧٠-01-01", None),
        (0, None),
        (None, None),
        (pd.NaT, None),
        (np.datetime64("NaT", "s"), None),
        (time(12), None),
        (np.timedelta64(1, "s"), None),
    ],
    ids=repr,
)
def test_what_is_no_point_in_time_has_no_epoch(value, epoch):
    """Days count from midnight; numbers do not count, for nobody knows from when and in what."""
    assert values.datetime_of(value) == epoch


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_points_in_time_survive_their_notation(moment):
    """As Python itself writes them, over all years that it knows."""
    assert values.datetime_of(moment.isoformat()) == values.datetime_of(moment)
    assert values.datetime_of(np.datetime64(moment.replace(tzinfo=None))) == values.datetime_of(moment)


@pytest.mark.parametrize(
    "value", [[1, 2.5], (1, 2.5), np.array([1, 2.5]), np.array([1, 2.5], np.float16), pd.Series([1, 2.5])], ids=repr
)
def test_lists_of_numbers_are_vectors(value):
    """Of whichever library."""
    assert values.embedding_of(value).tolist() == [1.0, 2.5]
    assert values.kind_of_value(value) is FeatureKind.EMBEDDING


@pytest.mark.parametrize(
    "value",
    [
        [],
        [1.0],
        [1.0, None],
        [1.0, math.nan],
        [1.0, math.inf],
        [1.0, 10**400],
        ["1", "2"],
        np.array(["1", "2"]),
        np.array([True, False]),
        np.zeros((2, 2)),
        np.zeros(70_000),
        [[1.0, 2.0]],
        "12",
        {1: 2, 3: 4},
        None,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_other_lists_are_no_vectors(value):
    """Text, gaps, infinite numbers, matrices, and lists of a single number."""
    assert values.embedding_of(value) is None


def test_long_strings_are_texts():
    """Too long for the name of a category."""
    assert values.kind_of_value("x" * 128) is FeatureKind.CATEGORICAL
    assert values.kind_of_value("x" * 129) is FeatureKind.TEXT


UUIDS = [f"{value:08x}-4e1c-4b1f-9d57-c3a2f3b1{value:04x}" for value in range(50)]


@pytest.mark.parametrize(
    ("strings", "is_text"),
    [
        ([], False),
        (["NZ", "DE"] * 50, False),
        (UUIDS, False),
        (["United States of America", "Trinidad and Tobago island"] * 50, False),
        ([f"please tell me about number {value}" for value in range(50)], True),
        ([f"第{value}の質問に答えてください" for value in range(50)], True),
        (["word " * 40] * 50, True),
        (["word " * 40] * 5 + ["short"] * 6, False),
    ],
    ids=["none", "countries", "identifiers", "names", "questions", "Japanese", "one document", "some documents"],
)
def test_texts_are_told_from_categories(strings, is_text):
    """By their length; or by their variety and their words."""
    assert values.is_free_text(strings) is is_text

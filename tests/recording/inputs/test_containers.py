"""The same table says the same, whichever container it comes in."""

import datetime as dt
from collections import UserDict, namedtuple
from dataclasses import make_dataclass

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import create_model

from otel_ml.recording.column_set import ColumnSet
from otel_ml.recording.columns import batch_of
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Snapshot

COLUMNS = ("number", "whole", "label", "note", "moment", "truth", "vector")
NOW = 1_790_000_000.0

moments = st.integers(10**12, 4 * 10**15).map(
    lambda microseconds: dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(microseconds=microseconds)
)
rows = st.fixed_dictionaries(
    {
        "number": st.one_of(st.none(), st.floats(-1e9, 1e9)),
        "whole": st.integers(-(2**31), 2**31),
        "label": st.sampled_from(["a", "b", "", "ü", None]),
        "note": st.one_of(st.none(), st.text("abc  ", min_size=0, max_size=8).map(lambda text: text + " word" * 20)),
        "moment": st.one_of(st.none(), moments),
        "truth": st.sampled_from([True, False, None]),
        "vector": st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3),
    }
)
# A first row that shows every kind, for what has no value yet has no kind yet.
FULL = {
    "number": 1.5,
    "whole": 3,
    "label": "a",
    "note": "a note of more words than the name of any category has in any table " * 2,
    "moment": dt.datetime(2026, 11, 21, 8, 30, tzinfo=dt.timezone.utc),
    "truth": True,
    "vector": [1.0, 2.0, 3.0],
}

ARROW = pa.schema(
    {
        "number": pa.float64(),
        "whole": pa.int64(),
        "label": pa.string(),
        "note": pa.large_string(),
        "moment": pa.timestamp("us", tz="UTC"),
        "truth": pa.bool_(),
        "vector": pa.list_(pa.float64()),
    }
)
POLARS = {
    "number": pl.Float64,
    "whole": pl.Int64,
    "label": pl.String,
    "note": pl.String,
    "moment": pl.Datetime("us", "UTC"),
    "truth": pl.Boolean,
    "vector": pl.List(pl.Float64),
}
Row = namedtuple("Row", COLUMNS)  # noqa: PYI024 - an untyped one, as it comes
Record = make_dataclass("Record", COLUMNS)
Model = create_model("Model", **dict.fromkeys(COLUMNS, (object, None)))


def as_columns(table):
    return {name: [row[name] for row in table] for name in COLUMNS}


def as_pandas(table):
    return pd.DataFrame(
        {
            "number": pd.array([np.nan if row["number"] is None else row["number"] for row in table], "float64"),
            "whole": pd.array([row["whole"] for row in table], "int64"),
            "label": pd.Series([row["label"] for row in table], dtype="object"),
            "note": pd.Series([row["note"] for row in table], dtype="object"),
            "moment": pd.Series([row["moment"] for row in table], dtype="datetime64[us, UTC]"),
            "truth": pd.Series([row["truth"] for row in table], dtype="object"),
            "vector": pd.Series([row["vector"] for row in table], dtype="object"),
        }
    )


def as_nullable_pandas(table):
    frame = as_pandas(table)
    return frame.astype(
        {"number": "Float64", "whole": "Int64", "label": "string", "note": "string", "truth": "boolean"}
    )


def as_arrow_pandas(table):
    return pa.Table.from_pylist(table, ARROW).to_pandas(types_mapper=pd.ArrowDtype)


class Exporter:
    """Something that hands out Arrow data and has no other side."""

    def __init__(self, table):
        self._table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self._table.__arrow_c_stream__(requested_schema)


def as_structured(table):
    """numpy has gaps in numbers and points in time only."""
    dtype = [
        ("number", "f8"),
        ("whole", "i8"),
        ("label", "O"),
        ("note", "O"),
        ("moment", "M8[us]"),
        ("truth", "O"),
        ("vector", "f8", (3,)),
    ]
    array = np.empty(len(table), dtype)
    for name in COLUMNS:
        for index, row in enumerate(table):
            value = row[name]
            if name == "number":
                value = np.nan if value is None else value
            if name == "moment":
                value = np.datetime64("NaT", "s") if value is None else np.datetime64(value.replace(tzinfo=None), "us")
            array[name][index] = value
    return array


CONTAINERS = {
    "dicts": lambda table: table,
    "columns": as_columns,
    "columns of arrays": lambda table: {
        name: np.array(column, dtype=object) if name != "vector" else np.array(column)
        for name, column in as_columns(table).items()
    },
    "named tuples": lambda table: [Row(**row) for row in table],
    "dataclasses": lambda table: [Record(**row) for row in table],
    "pydantic": lambda table: [Model(**row) for row in table],
    "mappings": lambda table: [UserDict(row) for row in table],
    "pandas": as_pandas,
    "pandas nullable": as_nullable_pandas,
    "pandas arrow": as_arrow_pandas,
    "pandas categories": lambda table: as_pandas(table).astype({"label": "category"}),
    "polars": lambda table: pl.DataFrame(table, schema=POLARS),
    "polars categories": lambda table: pl.DataFrame(table, schema=POLARS).with_columns(
        pl.col("label").cast(pl.Categorical)
    ),
    "polars vectors": lambda table: pl.DataFrame(table, schema=POLARS).with_columns(
        pl.col("vector").cast(pl.Array(pl.Float64, 3))
    ),
    "arrow table": lambda table: pa.Table.from_pylist(table, ARROW),
    "arrow chunks": lambda table: pa.concat_tables(
        [pa.Table.from_pylist(table[:3], ARROW), pa.Table.from_pylist(table[3:], ARROW)]
    ),
    "arrow batch": lambda table: pa.RecordBatch.from_pylist(table, ARROW),
    "arrow dictionary": lambda table: pa.Table.from_pylist(table, ARROW).set_column(
        2, "label", pa.array([row["label"] for row in table], pa.string()).dictionary_encode()
    ),
    "arrow export": lambda table: Exporter(pa.Table.from_pylist(table, ARROW)),
    "structured": as_structured,
}


def encoded(container, names=lambda width: tuple(f"f{index}" for index in range(width))):
    """What leaves the process of a container, feature by feature."""
    columns = ColumnSet(FeatureRole.FEATURE, baseline=None, max_columns=100)
    columns.timestamp_s = NOW
    for piece in batch_of(container, names).pieces():
        for _ in columns.take(piece):
            pass
    drained = []
    for _ in columns.drain(drained):
        pass
    summaries = sorted((column.summary for column in drained), key=lambda summary: summary.key.name)
    for summary in summaries:
        if summary.kind is FeatureKind.CATEGORICAL:
            counts = summary.content.categories.counts
            summary.content.categories.counts = dict(sorted(counts.items()))
    return {
        summary.key.name: codec.encode(Snapshot(b"p" * 16, 1, ModelKey("m"), 1, 2, len(drained), 0, [summary]))
        for summary in summaries
    }


@settings(max_examples=25, deadline=None)
@given(table=st.lists(rows, min_size=0, max_size=30))
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_table_says_the_same_in_any_container(container, table):
    """What holds the rows does not matter: to the byte, kinds, gaps, counts and sketches are those of the rows."""
    table = [FULL, *table]

    found = encoded(CONTAINERS[container](table))

    assert found == encoded(table)


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_column_has_its_kind(container, summaries):
    """Numbers, categories, texts, points in time, truth values and vectors."""
    found = summaries(CONTAINERS[container]([FULL] * 20))

    assert {name: summary.kind.name for name, summary in found.items()} == {
        "number": "NUMERIC",
        "whole": "NUMERIC",
        "label": "CATEGORICAL",
        "note": "TEXT",
        "moment": "DATETIME",
        "truth": "BOOLEAN",
        "vector": "EMBEDDING",
    }


@pytest.mark.parametrize("length", [2, 40])
def test_categories_of_numbers_are_codes(length, summaries):
    """However many rows a frame has."""
    frame = pd.DataFrame({"code": pd.Categorical([1, 2] * (length // 2)), "x": ["a"] * length})

    assert summaries(frame)["code"].content.categories.counts == {"1": length // 2, "2": length // 2}


def test_two_columns_of_one_name_are_told_apart(summaries):
    """Neither hides the other."""
    frame = pd.DataFrame([[1.0, 2.0, "x"]], columns=["a", "a", "a.1"])

    found = summaries(frame)

    assert found["a"].content.moments.mean == 1.0
    assert found["a.2"].content.moments.mean == 2.0
    assert found["a.1"].kind is FeatureKind.CATEGORICAL


def test_levels_of_columns_are_joined(summaries):
    """A name is one string on the wire."""
    frame = pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")]))

    assert set(summaries(frame)) == {"a.x", "a.y"}


def test_columns_that_are_but_numbered_have_no_names(summaries):
    """A frame made from an array is called as the array would be."""
    found = summaries(pd.DataFrame([[1.0, 2.0]]), names=lambda _: ("width", "height"))

    assert set(found) == {"width", "height"}


@pytest.mark.parametrize(
    "container",
    [
        pd.DataFrame({"x": [1.0], "y": [2.0]}),
        pl.DataFrame({"x": [1.0], "y": [2.0]}),
        pa.table({"x": [1.0], "y": [2.0]}),
    ],
    ids=["pandas", "polars", "arrow"],
)
def test_explicit_names_win_over_those_of_the_input(container, summaries):
    """Who gives names means them."""
    assert set(summaries(container, explicit=("a", "b"))) == {"a", "b"}


def test_explicit_names_in_another_order_mix_nothing_up(summaries):
    """The input knows best which of its columns is which."""
    found = summaries(pd.DataFrame({"x": [1.0], "y": [2.0]}), explicit=("y", "x"))

    assert found["x"].content.moments.mean == 1.0


@pytest.mark.parametrize(
    "container",
    [
        pl.DataFrame({"place": [{"city": "Oslo", "height": 5.0}]}),
        pa.table({"place": [{"city": "Oslo", "height": 5.0}]}),
        pa.chunked_array([[{"place": {"city": "Oslo", "height": 5.0}}]]).chunk(0),
        [{"place": {"city": "Oslo", "height": 5.0}}],
        {"place": {"city": "Oslo", "height": 5.0}},
        [Model(number=None)] and create_model("Outer", place=(dict, ...))(place={"city": "Oslo", "height": 5.0}),
    ],
    ids=["polars", "arrow", "arrow structs", "dicts", "dict", "pydantic"],
)
def test_what_is_nested_becomes_columns_one_level_deep(container, summaries):
    """As "outer.inner"."""
    found = summaries(container)

    assert found["place.city"].content.categories.counts == {"Oslo": 1}
    assert found["place.height"].content.moments.mean == 5.0


def test_deeper_nesting_is_opaque(summaries):
    """One level is a request's structure, more are a document."""
    found = summaries([{"a": {"b": {"c": 1.0}}}])

    assert {name: summary.kind for name, summary in found.items()} == {"a.b": FeatureKind.OPAQUE}


def test_a_nested_column_may_come_late_or_not_at_all(summaries):
    """Its inner columns are missing where it is."""
    found = summaries([{"x": 1.0, "a": None}], [{"x": 1.0, "a": {"b": 2.0}}, {"x": 1.0}, {"x": 1.0, "a": "odd"}])

    assert (found["a.b"].counters.rows, found["a.b"].counters.missing) == (3, 2)


def test_a_masked_value_is_missing(summaries):
    """What lies under the mask is nobody's business."""
    array = np.ma.MaskedArray([[1.0, 2.0], [3.0, 999.0]], mask=[[False, False], [False, True]])

    found = summaries(array)

    assert found["f1"].counters.missing == 1
    assert found["f1"].content.moments.maximum == 2.0


@pytest.mark.parametrize(
    "texts",
    [
        ["good film", "bad film"],
        np.array(["good film", "bad film"]),
        np.array(["good film", "bad film"], dtype=object),
        pd.Series(["good film", "bad film"], name="review"),
        pl.Series("review", ["good film", "bad film"]),
        pa.array(["good film", "bad film"]),
        np.array([b"good film", b"bad film"]),
    ],
    ids=["list", "array", "object array", "pandas", "polars", "arrow", "bytes"],
)
def test_a_list_of_texts_is_one_row_each(texts, summaries):
    """That is what a model of text takes."""
    (summary,) = summaries(texts).values()

    assert summary.counters.rows == 2
    assert summary.content.categories.counts == {"good film": 1, "bad film": 1}


def test_a_list_of_texts_is_a_row_for_a_model_with_as_many_columns(summaries):
    """Named columns say how wide a row is."""
    found = summaries(["NO", "EUR"], names=lambda width: ("country", "currency") if width == 2 else ("f0",))

    assert set(found) == {"country", "currency"}


def test_an_array_of_points_in_time_is_read(summaries):
    """Whatever its unit."""
    times = np.array([["2026-01-01T05", "NaT"], ["2026-01-02T05", "2026-01-01"]], dtype="M8[ns]")

    found = summaries(times)

    assert found["f0"].content.hours[5] == 2
    assert found["f1"].counters.missing == 1


def test_images_are_opaque(summaries):
    """They are rows, and neither missing nor unreadable."""
    (summary,) = summaries(np.zeros((4, 3, 8, 8), np.uint8)).values()

    assert summary.kind is FeatureKind.OPAQUE
    assert (summary.counters.rows, summary.counters.missing) == (4, 0)


def test_a_lazy_frame_is_left_alone():
    """Collecting it would run the query a second time."""
    with pytest.raises(Exception, match="LazyFrame"):
        batch_of(pl.LazyFrame({"a": [1]}), lambda _: ())


def test_a_reader_of_arrow_data_is_left_alone():
    """Its rows belong to the model."""
    reader = pa.table({"a": [1, 2]}).to_reader()

    with pytest.raises(Exception, match="RecordBatchReader"):
        batch_of(reader, lambda _: ())

    assert reader.read_all().num_rows == 2


def test_a_dtype_of_every_kind_is_read(summaries):
    """None of pandas' or polars' types is an error."""
    count = 20
    frame = pd.DataFrame(
        {
            "period": pd.period_range("2026-01", periods=count, freq="M"),
            "interval": pd.interval_range(0, count),
            "duration": pd.to_timedelta(range(count), unit="s"),
            "sparse": pd.arrays.SparseArray([0.0] * (count - 1) + [1.0]),
            "complex": [1j] * count,
            "decimal": pd.Series([1] * count, dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
            "date": pd.Series([dt.date(2026, 1, 1)] * count, dtype=pd.ArrowDtype(pa.date32())),
            "local": pd.date_range("2026-01-01", periods=count, tz="Europe/Oslo"),
        }
    )
    polar = pl.DataFrame(
        {
            "decimal": pl.Series([1] * count, dtype=pl.Decimal(5, 2)),
            "enum": pl.Series(["a"] * count, dtype=pl.Enum(["a", "b"])),
            "time": [dt.time(5)] * count,
            "duration": [dt.timedelta(5)] * count,
            "date": [dt.date(2026, 1, 1)] * count,
            "nothing": [None] * count,
            "bytes": [b"x"] * count,
            "huge": pl.Series([1] * count, dtype=pl.Int128),
        }
    )

    kinds = {name: summary.kind.name for name, summary in summaries(frame).items()}
    polar_kinds = {name: summary.kind.name for name, summary in summaries(polar).items()}

    assert kinds == {
        "period": "OPAQUE",
        "interval": "OPAQUE",
        "duration": "OPAQUE",
        "sparse": "NUMERIC",
        "complex": "OPAQUE",
        "decimal": "NUMERIC",
        "date": "DATETIME",
        "local": "DATETIME",
    }
    assert polar_kinds == {
        "decimal": "NUMERIC",
        "enum": "CATEGORICAL",
        "time": "OPAQUE",
        "duration": "OPAQUE",
        "date": "DATETIME",
        "bytes": "OPAQUE",
        "huge": "NUMERIC",
    }

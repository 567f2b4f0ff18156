"""From any container to rows, a matrix or columns."""

from collections import namedtuple
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pydantic import BaseModel

from otel_ml.recording.column_set import ColumnSet
from otel_ml.recording.columns import MatrixBatch, UnreadableInputError, batch_of
from otel_ml.sketch.feature import FeatureRole


class Flight(BaseModel):
    distance: float
    carrier: str


@dataclass
class Dated:
    distance: float
    carrier: str


Named = namedtuple("Named", "distance carrier")  # noqa: PYI024 - an untyped one, as it comes


def names(width):
    return tuple(f"f{index}" for index in range(width))


def summaries(container, names=names):
    """Columns by name, as they would be summarised."""
    columns = ColumnSet(FeatureRole.FEATURE, baseline=None, max_columns=100)
    for piece in batch_of(container, names).pieces():
        for _ in columns.take(piece):
            pass
    drained = []
    for _ in columns.drain(drained):
        pass
    return {column.summary.key.name: column.summary for column in drained}


TWO_ROWS = [{"distance": 100.0, "carrier": "UA"}, {"distance": 300.0, "carrier": "AA"}]


@pytest.mark.parametrize(
    "container",
    [
        TWO_ROWS,
        tuple(TWO_ROWS),
        {"distance": [100.0, 300.0], "carrier": ["UA", "AA"]},
        {"distance": np.array([100.0, 300.0]), "carrier": np.array(["UA", "AA"])},
        pd.DataFrame(TWO_ROWS),
        pd.DataFrame(TWO_ROWS).astype({"carrier": "category"}),
        pd.DataFrame(TWO_ROWS).convert_dtypes(),
        pl.DataFrame(TWO_ROWS),
        pl.DataFrame(TWO_ROWS).with_columns(pl.col("carrier").cast(pl.Categorical)),
        pa.Table.from_pylist(TWO_ROWS),
        pa.RecordBatch.from_pylist(TWO_ROWS),
        [Flight(**row) for row in TWO_ROWS],
        [Dated(**row) for row in TWO_ROWS],
        [Named(**row) for row in TWO_ROWS],
        np.array([(100.0, "UA"), (300.0, "AA")], dtype=[("distance", "f8"), ("carrier", "U2")]),
    ],
    ids=[
        "dicts",
        "tuple of dicts",
        "dict of lists",
        "dict of arrays",
        "pandas",
        "pandas category",
        "pandas nullable",
        "polars",
        "polars category",
        "arrow table",
        "arrow batch",
        "pydantic",
        "dataclasses",
        "named tuples",
        "structured array",
    ],
)
def test_the_same_rows_are_read_the_same_from_any_container(container):
    """What holds the rows does not matter."""
    found = summaries(container)

    assert found["distance"].content.moments.mean == 200.0
    assert found["carrier"].content.categories.counts == {"UA": 1, "AA": 1}


@pytest.mark.parametrize("rows", [2, 40])
def test_frames_large_and_small_agree_on_missing_values(rows):
    """Small frames are read as rows, large ones as columns."""
    frame = pd.DataFrame(
        {
            "number": [1.0, np.nan] * (rows // 2),
            "text": ["a", None] * (rows // 2),
            "integer": pd.array([1, None] * (rows // 2), dtype="Int64"),
            "truth": pd.array([True, None] * (rows // 2), dtype="boolean"),
            "time": [datetime(2026, 1, 1, tzinfo=timezone.utc), pd.NaT] * (rows // 2),
        }
    )

    found = summaries(frame)

    assert {
        name: (summary.counters.rows, summary.counters.missing) for name, summary in found.items()
    } == dict.fromkeys(frame.columns, (rows, rows // 2))
    assert found["truth"].content.true_count == rows // 2
    assert found["time"].kind.value == "datetime"


def test_polars_and_arrow_nulls_are_missing():
    """A null in a numeric column is neither zero nor a mismatch."""
    for table in (pl.DataFrame({"a": [1, None, 3]}), pa.table({"a": pa.array([1, None, 3])})):
        counters = summaries(table)["a"].counters

        assert (counters.rows, counters.missing, counters.mismatched) == (3, 1, 0)


@pytest.mark.parametrize(
    "container",
    [
        np.array([1.0, 2.0, 3.0]),
        [1.0, 2.0, 3.0],
        np.array([[1.0, 2.0, 3.0]]),
        [[1.0, 2.0, 3.0]],
        pd.Series([1.0, 2.0, 3.0], ["f0", "f1", "f2"]),
    ],
    ids=["1-D array", "list", "2-D array", "list of lists", "series"],
)
def test_one_row_without_names_is_one_row(container):
    """A flat list of numbers is a row, for that is what a model with several columns takes."""
    found = summaries(container)

    assert [found[name].content.moments.mean for name in names(3)] == [1.0, 2.0, 3.0]


def test_a_flat_array_for_a_model_of_one_column_is_many_rows():
    """The model's own column names say how wide a row is."""
    found = summaries(np.array([1.0, 2.0, 3.0]), names=lambda _: ("only",))

    assert found["only"].counters.rows == 3


def test_a_matrix_of_truth_values_is_boolean():
    """NumPy knows what it holds."""
    assert summaries(np.array([[True], [False], [True]]))["f0"].content.true_count == 2


def test_a_single_pydantic_model_is_a_row():
    """So is what FastAPI hands to an endpoint."""
    assert summaries(Flight(distance=5.0, carrier="UA"))["distance"].counters.rows == 1


@pytest.mark.parametrize("container", [object(), {1, 2}.__iter__()])
def test_what_nothing_can_read_says_so(container):
    """The caller counts it; nothing is guessed."""
    with pytest.raises(UnreadableInputError):
        batch_of(container, names)


def test_pieces_of_a_batch_are_the_batch():
    """Cutting for short bursts loses and repeats nothing."""
    values = np.arange(30_000.0).reshape(-1, 30)
    batch = MatrixBatch(names(30), values)

    pieces = list(batch.pieces())

    assert len(pieces) > 1
    assert np.array_equal(np.concatenate([piece.values for piece in pieces]), values)  # noqa: PD011 - no frame

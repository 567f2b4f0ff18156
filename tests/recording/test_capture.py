"""What the request thread does to an input."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recording.inputs.conftest import summarised
from scipy import sparse

from otel_ml.recording import capture as capture_module
from otel_ml.recording.capture import capture


def test_a_frame_that_is_changed_later_was_recorded_as_it_was():
    """Copy-on-write makes that cheap in pandas 3; before, the frame is copied whole."""
    frame = pd.DataFrame({"a": [1.0, 2.0]})

    captured = capture(frame)
    frame.loc[0, "a"] = 9.0

    assert captured.value["a"].tolist() == [1.0, 2.0]
    assert captured.rows == 2


@pytest.mark.parametrize("table", [pl.DataFrame({"a": [1.0]}), pa.table({"a": [1.0]})], ids=["polars", "arrow"])
def test_what_never_changes_is_not_copied(table):
    """Polars frames and Arrow tables are immutable."""
    assert capture(table).value is table


def test_of_an_array_too_large_to_copy_evenly_spaced_rows_are_taken(monkeypatch):
    """Memory stays bounded, the sample stays fair, and the rest is counted."""
    monkeypatch.setattr(capture_module, "LARGEST_COPY", 800)
    values = np.arange(1_000.0).reshape(-1, 1)

    captured = capture(values)

    assert captured.weight <= 800
    assert captured.rows + captured.left_out == 1_000
    assert np.all(np.diff(captured.value[:, 0]) == 10.0)


def test_a_sparse_matrix_is_copied():
    """Its buffers are as reusable as an array's."""
    matrix = sparse.csr_matrix(np.eye(3))

    captured = capture(matrix)
    matrix.data[:] = 9.0

    assert captured.value.toarray().tolist() == np.eye(3).tolist()


def test_numbers_and_text_are_taken_as_they_are():
    """There is nothing to protect."""
    for value in (None, 1, 1.5, "text", np.float64(2.0), object()):
        assert capture(value).value is value


def test_rows_of_python_objects_weigh_something():
    """A list of rows counts towards the bound on bytes."""
    assert capture([{"a": 1, "b": 2}] * 10).weight > capture([{"a": 1, "b": 2}]).weight > 0


def test_a_frame_of_one_row_becomes_the_row():
    """The usual request: the row waits, not the frame, and is read with the others of its kind."""
    frame = pd.DataFrame([{"price": 2.5, "count": 3, "is_new": True, "colour": "red", "size": None}])

    captured = capture(frame)
    frame.loc[0, "price"] = 9.0

    assert captured.value == {"price": 2.5, "count": 3, "is_new": True, "colour": "red", "size": None}
    assert captured.rows == 1
    assert captured.weight > 0


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([[1.0, 2.0]], columns=["a", "a"]),
        pd.DataFrame([[1.0, 2.0]]),
        pd.DataFrame([[1.0, 2.0]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
        pd.DataFrame({"a": pd.Categorical(["x"])}),
        pd.DataFrame({"a": pd.to_datetime(["2026-01-01"])}),
        pd.DataFrame({"a": pd.array([1], dtype="Int64")}),
        pd.DataFrame({"a": [[1.0, 2.0]]}),
        pd.DataFrame([dict.fromkeys(map(str, range(65)), 1.0)]),
        pd.DataFrame({"a": [1.0, 2.0]}),
        pd.DataFrame({"a": []}),
    ],
    ids=[
        "two of a name",
        "numbered",
        "many levels",
        "categories",
        "dates",
        "nullable",
        "vectors",
        "many columns",
        "two rows",
        "empty",
    ],
)
def test_a_frame_that_says_more_than_its_row_stays_a_frame(frame):
    """Types that declare a kind, columns without names of their own, and what could be taken for something else."""
    captured = capture(frame)

    assert isinstance(captured.value, pd.DataFrame)
    assert captured.value.equals(frame)


def test_a_pandas_that_keeps_its_columns_otherwise_is_copied(monkeypatch):
    """What the row is read from is pandas' own."""
    frame = pd.DataFrame({"a": [1.0]})
    monkeypatch.setattr(capture_module, "plain_row", lambda _: 1 / 0)

    assert capture(frame).value.equals(frame)


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b", "c", "inputs", "instances"]),
            st.one_of(
                st.floats(),
                st.integers(-(2**62), 2**62),
                st.booleans(),
                st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
                st.none(),
            ),
            min_size=1,
        ),
        min_size=1,
        max_size=4,
    )
)
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_rows_of_frames_are_summarised_as_their_frames_are(rows):
    """The same columns, kinds and counts, whichever way they took."""
    frames = [pd.DataFrame([row]) for row in rows]

    as_rows, as_frames = (
        {
            name: (type(column.summary), column.summary.kind, column.summary.counters)
            for name, column in summarised(*containers).items()
        }
        for containers in ([capture(frame).value for frame in frames], frames)
    )

    assert as_rows == as_frames

"""What the request thread does to an input."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
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

"""What boosting libraries make of an input: here objects that look like theirs, the real ones with the frameworks."""

import numpy as np
import pandas as pd
import pytest

from otel_ml.recording.columns import RowsOnly, batch_of
from otel_ml.recording.outputs import length_of


def names(width):
    return tuple(f"f{index}" for index in range(width))


class DMatrix:
    def num_row(self):
        return 3

    def num_col(self):
        return 2

    feature_names = ("a", "b")


class Pool:
    def __init__(self, values, own):
        self._values = values
        self._own = own

    def num_row(self):
        return len(self._values)

    def num_col(self):
        return len(self._own)

    def get_features(self):
        if self._values.dtype.kind == "f":
            return self._values
        raise RuntimeError("Pool has non-numeric features, get_features supports only numeric features")

    def get_feature_names(self):
        return self._own


class Dataset:
    def __init__(self, data):
        self.data = data

    def num_data(self):
        return 2

    def get_feature_name(self):
        return ["a", "b"]


VALUES = np.array([[1.0, 2.0], [3.0, 4.0]])


def test_a_dmatrix_is_counted():
    """What it holds may be quantised by now."""
    assert batch_of(DMatrix(), names) == RowsOnly(3)
    assert length_of(DMatrix()) == 3


def test_a_pool_of_numbers_is_read(summaries):
    """By its own names."""
    found = summaries(Pool(VALUES, ["a", "b"]))

    assert found["b"].content.moments.mean == 3.0


def test_a_pool_without_names_is_called_as_an_array_is(summaries):
    """It numbers its columns, which says nothing."""
    assert set(summaries(Pool(VALUES, ["0", "1"]))) == {"f0", "f1"}


def test_a_pool_with_categories_is_counted():
    """It does not give them back."""
    assert batch_of(Pool(np.array([["x"], ["y"]]), ["a"]), names) == RowsOnly(2)


def test_a_large_pool_is_counted(monkeypatch):
    """To see what is inside, all of it would have to be copied."""
    monkeypatch.setattr("otel_ml.recording.inputs.model_containers._LARGEST", 3)

    assert batch_of(Pool(VALUES, ["a", "b"]), names) == RowsOnly(2)


@pytest.mark.parametrize("kept", [True, False])
def test_a_dataset_is_what_it_was_made_of(kept, summaries):
    """If it kept it."""
    dataset = Dataset(pd.DataFrame(VALUES, columns=["x", "y"]) if kept else None)

    if kept:
        assert summaries(dataset)["x"].content.moments.mean == 2.0
    else:
        assert batch_of(dataset, names) == RowsOnly(2)

"""Requests and answers of inference servers as columns."""

import numpy as np
import pytest

from otel_ml.instrumentation.reading.open_inference import (
    Tensor,
    answers_of,
    features_of,
    instances_of,
    outputs_of,
    together,
)
from otel_ml.recording.columns import RowBatch, batch_of
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import ModelKey


@pytest.fixture
def model():
    return ModelInfo(ModelKey("m"))


def read(features, model):
    """Rows as dicts, as the recorder makes them of what it is handed."""
    batch = batch_of(features, lambda width: tuple(f"{model.column_prefix}{index}" for index in range(width)))
    if isinstance(batch, RowBatch):
        return [dict(row) for row in batch.rows]
    columns = batch.columns if hasattr(batch, "columns") else dict(zip(batch.names, batch.values.T, strict=True))
    plain = {name: np.asarray(column).tolist() for name, column in columns.items()}
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_a_tensor_of_one_value_a_row_is_a_column(model, shape):
    """Under its own name; text of gRPC comes as bytes."""
    tensors = [Tensor("rooms", shape, "FP32", [1.0, 2.0]), Tensor("city", shape, "BYTES", [b"Oslo", "Bergen"])]

    assert read(features_of(tensors, model), model) == [
        {"rooms": 1.0, "city": "Oslo"},
        {"rooms": 2.0, "city": "Bergen"},
    ]


def test_one_row_of_named_columns_is_a_row(model):
    """The usual request costs no containers."""
    tensors = [Tensor("rooms", [1, 1], "INT64", [3]), Tensor("city", [1], "BYTES", ["Oslo"])]

    assert features_of(tensors, model) == {"rooms": 3, "city": "Oslo"}


@pytest.mark.parametrize("data", [[1.0, 2.0, 3.0, 4.0], [[1.0, 2.0], [3.0, 4.0]], np.array([1.0, 2.0, 3.0, 4.0])])
def test_the_only_matrix_is_named_after_its_tensor(model, data):
    """Flat, nested, or an array; names that the model or a baseline knows come first, so it stays a matrix."""
    features = features_of([Tensor("x", [2, 2], "FP64", data)], model)

    assert isinstance(features, np.ndarray)
    assert read(features, model) == [{"x.0": 1.0, "x.1": 2.0}, {"x.0": 3.0, "x.1": 4.0}]


def test_the_first_name_of_a_matrix_stays(model):
    """Clients choose the names of their tensors: columns must not change theirs with every client."""
    features_of([Tensor("x", [1, 2], "FP64", [1.0, 2.0])], model)
    second = features_of([Tensor("other", [1, 2], "FP64", [1.0, 2.0])], model)

    assert read(second, model) == [{"x.0": 1.0, "x.1": 2.0}]


def test_a_matrix_beside_other_tensors_is_columns(model):
    """Numbered under its name."""
    tensors = [Tensor("x", [2, 2], "FP64", [1.0, 2.0, 3.0, 4.0]), Tensor("city", [2], "BYTES", ["a", "b"])]

    assert read(features_of(tensors, model), model) == [
        {"x.0": 1.0, "x.1": 2.0, "city": "a"},
        {"x.0": 3.0, "x.1": 4.0, "city": "b"},
    ]


def test_null_is_a_missing_number(model):
    """JSON has no NaN."""
    features = features_of([Tensor("x", [1, 2], "FP64", [None, 2.0])], model)

    assert np.isnan(features[0, 0])
    assert features[0, 1] == 2.0


def test_settings_of_a_request_are_no_features(model):
    """A tensor with another number of rows than the first."""
    tensors = [Tensor("rooms", [3], "FP64", [1.0, 2.0, 3.0]), Tensor("threshold", [1], "FP64", [0.5])]

    assert read(features_of(tensors, model), model) == [{"rooms": 1.0}, {"rooms": 2.0}, {"rooms": 3.0}]


def test_images_count_as_rows(model):
    """What has more dimensions than two has no columns."""
    features = features_of([Tensor("image", [2, 4, 4], "UINT8", [0] * 32)], model)

    assert len(features) == 2
    assert features.shape == (2, 0) or not hasattr(features, "shape")


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("x", [2, 2], "FP64", [1.0, 2.0]),
        Tensor("x", [1, 2], "FP64", [[1.0], [2.0, 3.0]]),
        Tensor("x", [1, 2], "FP64", [None, "nonsense"]),
    ],
)
def test_data_that_contradicts_its_shape_is_the_frameworks_to_refuse(model, tensor):
    """Nothing is read, and nothing raised."""
    assert features_of([tensor], model) is None


def test_names_tell_scores_from_predictions():
    """Probabilities, scores, confidence, logits, a likelihood or a decision function; all else is predicted."""
    predictions, scores = outputs_of(
        [
            Tensor("predict", [2], "INT64", [0, 1]),
            Tensor("predict_proba", [2, 2], "FP64", [0.9, 0.1, 0.2, 0.8]),
        ]
    )

    assert predictions == [0, 1]
    assert scores.tolist() == [[0.9, 0.1], [0.2, 0.8]]


def test_several_predictions_keep_their_names():
    """Column by column; one row as a dict of values."""
    outputs = [Tensor("price", [1], "FP64", [1.0]), Tensor("rent", [1], "FP64", [2.0])]

    assert outputs_of(outputs) == ({"price": 1.0, "rent": 2.0}, None)


@pytest.mark.parametrize(
    ("instances", "rows"),
    [
        ([[1.0, 2.0], [3.0, 4.0]], [{"instance.0": 1.0, "instance.1": 2.0}, {"instance.0": 3.0, "instance.1": 4.0}]),
        ([{"rooms": 1.0}, {"rooms": 2.0}], [{"rooms": 1.0}, {"rooms": 2.0}]),
        ([1.0, 2.0], [{"instance": 1.0}, {"instance": 2.0}]),
        (["one", "two"], [{"instance": "one"}, {"instance": "two"}]),
    ],
)
def test_instances_are_rows(model, instances, rows):
    """Lists are positional, dicts are named, and scalars are the only column."""
    assert read(instances_of({"instances": instances}, model), model) == rows


@pytest.mark.parametrize("body", [None, [], b"bytes", {"instances": []}, {"something": 1}])
def test_other_bodies_hold_no_instances(model, body):
    """A custom payload is left alone."""
    assert instances_of(body, model) is None


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"predictions": [1, 2]}, ([1, 2], None)),
        ({"predictions": ["a"], "probabilities": [[0.9, 0.1]]}, (["a"], [[0.9, 0.1]])),
        ({"predictions": [{"label": "a", "score": 0.9}]}, (["a"], [0.9])),
        ({"outputs": [{"name": "y", "shape": [1], "datatype": "FP64", "data": [2.0]}], "id": "1"}, (2.0, None)),
        ({"id": "1", "model_name": "m"}, (None, None)),
        ([1.5], ([1.5], None)),
        (b"bytes", (None, None)),
    ],
)
def test_answers_of_version_1(answer, expected):
    """By the names of the fields; a version 2 answer may come as a dict too."""
    assert answers_of(answer) == expected


def test_messages_of_a_conversation_are_put_together():
    """Rows with rows, matrices with matrices."""
    assert together([{"a": 1.0}, {"a": 2.0}]) == [{"a": 1.0}, {"a": 2.0}]
    assert together([np.ones((1, 2)), np.ones((2, 2))]).shape == (3, 2)
    assert together(["one", "two"]) == ["one", "two"]
    assert together([{"a": 1.0}, None]) is None

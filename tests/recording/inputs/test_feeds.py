"""Feeds of array models, and the bodies of inference servers' requests."""

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from pydantic import BaseModel, RootModel

from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.capture import capture
from otel_ml.recording.columns import is_row
from otel_ml.recording.inference import RECORD, Inference, ModelInfo
from otel_ml.recording.inputs.feeds import Feed
from otel_ml.sketch.feature import FeatureKind, ModelKey


def means(found):
    return {name: summary.content.moments.mean for name, summary in found.items()}


def test_inputs_of_one_column_keep_their_names(summaries):
    """As a scikit-learn pipeline exported to ONNX takes them: one input of shape [n, 1] per column."""
    feed = {"age": np.array([[20.0], [40.0]]), "country": np.array([["NO"], ["SE"]], dtype=object)}

    found = summaries(feed)

    assert found["age"].content.moments.mean == 30.0
    assert found["country"].content.categories.counts == {"NO": 1, "SE": 1}


def test_the_columns_of_the_only_input_have_the_models_names(summaries):
    """The name of the input says nothing about them."""
    found = summaries({"input": np.array([[1.0, 2.0]])}, names=lambda _: ("a", "b"))

    assert means(found) == {"a": 1.0, "b": 2.0}


def test_columns_of_several_inputs_are_numbered_within_each(summaries):
    """Names stay apart."""
    found = summaries(
        {
            "left": np.array([[1.0, 2.0]]),
            "right": np.array(
                [
                    [3.0, 4.0],
                ]
            ),
            "bias": np.array([[5.0]]),
        }
    )

    assert means(found) == {"left.0": 1.0, "left.1": 2.0, "right.0": 3.0, "right.1": 4.0, "bias": 5.0}


def test_images_beside_columns_are_opaque(summaries):
    """What has more than two axes is counted, no more."""
    found = summaries({"image": np.zeros((2, 3, 4, 4)), "age": np.array([[1.0], [2.0]])})

    assert found["image"].kind is FeatureKind.OPAQUE
    assert found["image"].counters.rows == 2
    assert found["age"].content.moments.mean == 1.5


def test_a_wide_one_among_several_inputs_is_a_vector(summaries):
    """Nobody looks at a thousand numbered columns."""
    found = summaries({"embedding": np.ones((2, 1024)), "age": np.array([[1.0], [2.0]])})

    assert found["embedding"].content.dimensions == 1024


def test_a_setting_is_no_column(summaries):
    """An input without an axis of rows, or of another length, is not about the rows."""
    found = summaries({"x": np.ones((3, 2)), "threshold": np.array(0.5), "k": np.array([7])})

    assert {name: summary.counters.rows for name, summary in found.items()} == {"f0": 3, "f1": 3}


def test_a_feed_is_copied(summaries):
    """The buffers of a feed are filled anew for the next call."""
    buffer = np.array([[1.0], [3.0]])

    captured = capture(Feed(x=buffer))
    buffer[:] = 99.0

    assert (captured.rows, captured.weight) == (2, 16)
    assert means(summaries(captured.value)) == {"x": 2.0}


def test_of_a_feed_too_large_to_copy_the_same_rows_of_all_inputs_are_taken(monkeypatch):
    """Rows must not be mixed up."""
    monkeypatch.setattr("otel_ml.recording.capture.LARGEST_COPY", 800)
    rows = np.arange(1_000.0).reshape(-1, 1)

    captured = capture(Feed(x=rows, y=-rows))

    assert np.array_equal(captured.value["x"], -captured.value["y"])
    assert captured.weight <= 800
    assert captured.rows + captured.left_out == 1_000


# --- version 2 --------------------------------------------------------------------------------------------------------


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: RootModel[list]


class Request(BaseModel):
    id: str = "7"
    inputs: list[Tensor]


V2 = {
    "id": "7",
    "inputs": [
        {"name": "age", "datatype": "FP64", "shape": [2], "data": [20, 40]},
        {"name": "country", "datatype": "BYTES", "shape": [2, 1], "data": ["NO", "SE"]},
        {"name": "pair", "datatype": "INT64", "shape": [2, 2], "data": [1, 2, 3, 4]},
        {"name": "image", "datatype": "UINT8", "shape": [2, 1, 1, 2], "data": [1, 2, 3, 4]},
    ],
}


def as_message(request):
    """What the protobuf message looks like: contents by type, or raw bytes for all."""
    fields = {"FP64": "fp64_contents", "BYTES": "bytes_contents", "INT64": "int64_contents", "UINT8": "uint_contents"}
    return SimpleNamespace(
        inputs=[
            SimpleNamespace(
                name=tensor["name"],
                datatype=tensor["datatype"],
                shape=tensor["shape"],
                contents=SimpleNamespace(
                    **{
                        fields[tensor["datatype"]]: [
                            value.encode() if isinstance(value, str) else value for value in tensor["data"]
                        ]
                    }
                ),
            )
            for tensor in request["inputs"]
        ],
        raw_input_contents=[],
    )


def as_raw_message(request):
    message = as_message(request)
    dtypes = {"FP64": "<f8", "INT64": "<i8", "UINT8": "u1"}
    for tensor in request["inputs"]:
        if tensor["datatype"] == "BYTES":
            raw = b"".join(struct.pack("<I", len(value)) + value.encode() for value in tensor["data"])
        else:
            raw = np.array(tensor["data"], dtypes[tensor["datatype"]]).tobytes()
        message.raw_input_contents.append(raw)
    return message


@pytest.mark.parametrize(
    "request_",
    [V2, json.loads(json.dumps(V2)), Request(**V2), as_message(V2), as_raw_message(V2)],
    ids=["dict", "JSON", "pydantic", "protobuf", "protobuf, raw"],
)
def test_the_tensors_of_a_request_are_columns(request_, summaries):
    """As objects, dicts or messages."""
    found = summaries(request_)

    assert found["age"].content.moments.mean == 30.0
    assert found["country"].content.categories.counts == {"NO": 1, "SE": 1}
    assert found["pair.1"].content.moments.mean == 3.0
    assert found["image"].kind is FeatureKind.OPAQUE
    assert len(found) == 5


def test_a_request_is_not_taken_for_a_row():
    """Although it begins with a name; its id would be a column."""
    accumulator = ModelAccumulator(ModelKey("m"))

    accumulator.add([(ModelInfo(ModelKey("m")), RECORD, V2, None, None)] * 3)

    drained = accumulator.drain()
    assert drained.rows == 6
    assert {column.summary.key.name for column in drained.columns} == {"age", "country", "pair.0", "pair.1", "image"}


@pytest.mark.parametrize(
    "row",
    [
        {"inputs": 3.0},
        {"x": "a", "inputs": "text"},
        {"x": "a", "instances": 2},
        {"x": "a", "inputs": []},
        {"a": "b"},
        {},
    ],
)
def test_a_row_may_have_a_column_of_such_a_name(row):
    """What is inside decides."""
    assert is_row(row)


@pytest.mark.parametrize(
    "inputs",
    [
        [{"name": "a", "datatype": "FP32", "shape": [3], "data": [1.0]}],
        [{"name": "a", "datatype": "FP32", "shape": [1], "data": ["x"]}],
        [{"name": "a", "datatype": "FP32", "shape": [1]}],
        [{"name": "a", "datatype": "FP32", "shape": ["x"], "data": [1]}],
        [{"name": "a", "datatype": "FP32", "shape": [1], "data": [1]}, None],
    ],
    ids=["too short", "of another type", "no data", "no shape", "no tensor"],
)
def test_a_broken_request_is_counted(inputs):
    """Nothing is guessed, and nothing raised."""
    accumulator = ModelAccumulator(ModelKey("m"))

    accumulator.add([Inference(ModelInfo(ModelKey("m")), "predict", {"id": "x", "inputs": inputs})])

    assert accumulator.drain().let_go == {"unreadable": 1}


# --- version 1, and MLflow's ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [[1.0, 2.0], [3.0, 4.0]]},
        {"signature_name": "default", "instances": [[1.0, 2.0], [3.0, 4.0]]},
        {"instances": [{"f0": 1.0, "f1": 2.0}, {"f0": 3.0, "f1": 4.0}]},
        {"inputs": [[1.0, 2.0], [3.0, 4.0]]},
        {"inputs": {"f0": [1.0, 3.0], "f1": [2.0, 4.0]}},
        {"dataframe_split": {"columns": ["f0", "f1"], "data": [[1.0, 2.0], [3.0, 4.0]]}},
        {"dataframe_records": [{"f0": 1.0, "f1": 2.0}, {"f0": 3.0, "f1": 4.0}]},
    ],
    ids="-".join,
)
def test_what_is_inside_a_body_is_read(body, summaries):
    """The rows, not the envelope."""
    assert not is_row(body)
    assert means(summaries(body)) == {"f0": 2.0, "f1": 3.0}

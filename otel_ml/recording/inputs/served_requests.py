"""Bodies of inference servers' requests: Open Inference Protocol (v2), TensorFlow Serving's v1, and MLflow's.

Source: https://github.com/kserve/open-inference-protocol, read as objects, dicts or protobuf messages.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.arrays import text
from otel_ml.recording.inputs.batches import UnreadableInputError
from otel_ml.recording.inputs.feeds import Feed
from otel_ml.recording.inputs.tensors import array_of, is_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

_DTYPES: Final = {
    "BOOL": np.dtype(np.bool_),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    **{f"{sign}INT{bits}": np.dtype(f"{sign.lower()}int{bits}") for sign in ("", "U") for bits in (8, 16, 32, 64)},
}
_CONTENTS: Final = {
    "BOOL": "bool_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
}
_ENVELOPES: Final = ("inputs", "instances", "dataframe_records", "dataframe_split")


def is_tensor_request(container: Any) -> bool:
    """Whether this is a v2 request: it has inputs, each with a name, a datatype and a shape."""
    inputs: Any
    if isinstance(container, dict):
        inputs = container.get("inputs")
    elif hasattr(type(container), "inputs") or "inputs" in getattr(container, "__dict__", ()):
        inputs = container.inputs
    elif hasattr(type(container), "model_fields") or hasattr(type(container), "__dataclass_fields__"):
        inputs = getattr(container, "inputs", None)
    else:
        return False
    if isinstance(inputs, (str, bytes, dict)) or not hasattr(type(inputs), "__len__") or not len(inputs):
        return False
    if not hasattr(type(inputs), "__getitem__") or isinstance(inputs, np.ndarray):
        return False
    return all(_field(inputs[0], name) is not None for name in ("name", "datatype", "shape"))


def read_tensor_request(request: Any) -> Feed:
    """The tensors of a v2 request by name.

    Raises:
        UnreadableInputError: One of them holds no data, or other data than its shape says.
    """
    raw = _field(request, "raw_input_contents")
    inputs = _field(request, "inputs")
    return Feed(
        (str(_field(tensor, "name")), _tensor(tensor, raw[index] if raw and index < len(raw) else None))
        for index, tensor in enumerate(inputs)
    )


def is_envelope(mapping: Mapping[Any, Any]) -> bool:
    """Whether a dict is a request's body around the inputs, rather than a row with a column of that name."""
    # Asked for many a row, so without a loop for those that are none.
    if not (
        "inputs" in mapping or "instances" in mapping or "dataframe_records" in mapping or "dataframe_split" in mapping
    ):
        return False
    return any(name in mapping and _is_inner(name, mapping[name]) for name in _ENVELOPES)


def opened(mapping: Mapping[Any, Any]) -> Any:
    """What is inside such a body: a v2 request as a dict of its tensors, all else as it was."""
    for name in _ENVELOPES:
        if name in mapping and _is_inner(name, mapping[name]):
            inner = mapping[name]
            if name == "inputs" and is_tensor_request(mapping):
                return read_tensor_request(mapping)
            if name == "dataframe_split":
                return [dict(zip(inner["columns"], row, strict=False)) for row in inner["data"]]
            return inner
    return mapping


def _is_inner(name: str, inner: Any) -> bool:
    if name == "dataframe_split":
        return isinstance(inner, dict) and "columns" in inner and "data" in inner
    if name == "inputs" and isinstance(inner, dict):
        return bool(inner)
    return isinstance(inner, (list, tuple)) and bool(inner)


def _field(item: Any, name: str) -> Any:
    return item.get(name) if isinstance(item, dict) else getattr(item, name, None)


def _tensor(tensor: Any, raw: Any) -> np.ndarray[Any, Any]:
    datatype = str(_field(tensor, "datatype")).upper()
    shape = tuple(map(int, _field(tensor, "shape")))
    if raw is not None:
        values: Any = _of_bytes(raw, datatype)
    elif hasattr(type(tensor), "as_numpy"):  # knows its own binary form
        values = tensor.as_numpy()
    else:
        values = _data_of(tensor, datatype)
    if is_tensor(values):
        values = array_of(values)
    if values is None:
        raise UnreadableInputError(f"tensor of {datatype} without data")
    if datatype in _DTYPES:
        array = np.asarray(values, dtype=_DTYPES[datatype])
    else:
        flat = np.empty(math.prod(shape), dtype=object)
        flat[:] = [text(value) for value in np.asarray(values, dtype=object).reshape(-1).tolist()]
        array = flat
    return array.reshape(shape)


def _data_of(tensor: Any, datatype: str) -> Any:
    contents = _field(tensor, "contents")
    data = _field(tensor, "data")
    if data is None and contents is not None:
        data = _field(contents, _CONTENTS.get(datatype, ""))
    # A pydantic root model around the list.
    data = getattr(data, "root", data)
    return [data] if isinstance(data, (str, bytes)) else list(data) if hasattr(type(data), "__iter__") else data


def _of_bytes(raw: bytes, datatype: str) -> Any:
    if datatype in _DTYPES:
        return np.frombuffer(raw, _DTYPES[datatype].newbyteorder("<"))
    texts: list[bytes] = []
    start = 0
    while start + 4 <= len(raw):  # each after its length
        length = int.from_bytes(raw[start : start + 4], "little")
        texts.append(bytes(raw[start + 4 : start + 4 + length]))
        start += 4 + length
    return texts

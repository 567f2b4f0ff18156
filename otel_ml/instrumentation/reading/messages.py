"""Protobuf messages as plain Python values, through their descriptors and without importing protobuf."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.reading.exchange import Exchange

if TYPE_CHECKING:
    from otel_ml.instrumentation.reading.open_inference import Tensor
    from otel_ml.recording.inference import ModelInfo

_MAX_DEPTH: Final = 4
_MESSAGE: Final = 11
"""`FieldDescriptor.TYPE_MESSAGE`; 10 is a group, which only old files have."""
_BYTES: Final = 12
_ENUM: Final = 14
_NUMPY_TYPES: Final = {
    "BOOL": "?",
    **{f"{sign}INT{8 * size}": f"{kind}{size}" for sign, kind in (("", "i"), ("U", "u")) for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": f"f{size}" for size in (2, 4, 8)},
}
"""By the protocol's name for them. BF16, which numpy lacks, is not read."""


def is_message(value: Any) -> bool:
    """Whether this is a protobuf message of any implementation."""
    return hasattr(getattr(type(value), "DESCRIPTOR", None), "fields_by_name")


def field_names(message: Any) -> tuple[str, ...]:
    """Names of a message's fields, set or not."""
    return tuple(type(message).DESCRIPTOR.fields_by_name)


def is_tensor_exchange(request: Any, response: Any) -> bool:
    """Whether these are the request and response of an Open Inference Protocol's `ModelInfer`, in any package."""
    asked, answered = set(field_names(request)), set(field_names(response))
    return asked >= {"model_name", "model_version", "id", "inputs", "raw_input_contents"} and answered >= {
        "outputs",
        "raw_output_contents",
    }


def read_tensors(request: Any, response: Any, info: ModelInfo) -> Exchange | None:
    """Features, predictions and scores of such an exchange; None if shapes and contents disagree."""
    from otel_ml.instrumentation.reading.open_inference import features_of, outputs_of  # noqa: PLC0415 - numpy comes with it

    features = features_of(_tensors(request.inputs, request.raw_input_contents), info)
    predictions, scores = outputs_of(_tensors(response.outputs, response.raw_output_contents))
    return None if features is None else Exchange(features, predictions, scores)


def plain(message: Any, depth: int = _MAX_DEPTH) -> dict[str, Any]:
    """Scalars, lists and dicts, as JSON would have them; enums by name, bytes left out.

    A scalar that may be told from "not set" (`optional`, `oneof`) is None when it is not; any other has its default.
    """
    values: dict[str, Any] = {}
    for name, field in type(message).DESCRIPTOR.fields_by_name.items():
        kind = field.type
        if kind == _BYTES:
            continue
        value = getattr(message, name)
        if hasattr(value, "items"):
            values[name] = _map(value, field, depth)
        elif hasattr(value, "append") or hasattr(value, "add"):
            values[name] = [_item(item, field, depth) for item in value]
        elif kind == _MESSAGE:
            values[name] = plain(value, depth - 1) if depth > 1 and message.HasField(name) else None
        elif field.has_presence and not message.HasField(name):
            values[name] = None
        else:
            values[name] = _item(value, field, depth)
    return values


def _tensors(described: Any, raw: Any) -> list[Tensor]:
    from otel_ml.instrumentation.reading.open_inference import Tensor  # noqa: PLC0415 - numpy comes with it

    return [
        Tensor(tensor.name, tuple(tensor.shape), tensor.datatype, _contents(tensor, raw[index] if raw else None))
        for index, tensor in enumerate(described)
    ]


def _contents(tensor: Any, raw: bytes | None) -> Any:
    """Values of one tensor: of the list that fits its type, or of raw bytes."""
    if raw is None:
        lists = [list(values) for _, values in tensor.contents.ListFields()]
        return lists[0] if lists else []
    if tensor.datatype == "BYTES":
        return _texts(raw)
    import numpy as np  # noqa: PLC0415 - comes with the recorder

    return np.frombuffer(raw, np.dtype(_NUMPY_TYPES[tensor.datatype]).newbyteorder("<"))


def _texts(raw: bytes) -> list[bytes]:
    """Each one follows its length, in four bytes."""
    texts = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "little")
        texts.append(raw[4:end])
        raw = raw[end:]
    return texts


def _item(value: Any, field: Any, depth: int) -> Any:
    if field.type == _MESSAGE:
        return plain(value, depth - 1) if depth > 1 else None
    if field.type == _ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    return value


def _map(value: Any, field: Any, depth: int) -> dict[str, Any]:
    content = field.message_type.fields_by_name["value"]
    return {} if content.type == _BYTES else {str(key): _item(item, content, depth) for key, item in value.items()}

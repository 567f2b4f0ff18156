"""What of a neural network's inputs and outputs is worth recording, decided by shape and place, without reading them.

Up to two dimensions are columns; images, sequences and whatever else has more are rows without columns. Tensors that
live on an accelerator are rows as well: to read one would make the request wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SCORES: Final = 16
"""Columns of an output that are kept apart; those beyond are not recorded."""

_TOKENS: Final = frozenset(
    {"input_ids", "attention_mask", "token_type_ids", "position_ids", "decoder_input_ids", "decoder_attention_mask"}
)
"""Inputs by these names are positions in a vocabulary or a sequence: their columns mean nothing by themselves."""
_MAIN: Final = ("predictions", "prediction", "logits", "scores", "probabilities", "probs", "output")
"""Of outputs by name, the first of these is the answer."""


def rows_only(rows: int) -> Any:
    """Rows that have no columns."""
    import numpy as np  # noqa: PLC0415 - comes with the recorder, not with the interpreter

    return np.empty((rows, 0), np.float32)


def features_of(given: Any) -> Any:
    """An input, or inputs by name, as recording can read them; None when there is nothing to count.

    Args:
        given: One tensor, array, frame, …, or a dict of them.
    """
    if type(given) is not dict:
        return _alone(given)
    columns: dict[Any, Any] = {}
    rows = None
    for name, value in given.items():
        shape = shape_of(value)
        if not shape:
            continue
        rows = shape[0] if rows is None else rows
        if shape[0] == rows and len(shape) <= 2 and name not in _TOKENS and is_at_hand(value):
            columns[name] = value
    if columns:
        from otel_ml.recording.inputs.feeds import Feed  # noqa: PLC0415 - numpy comes with it

        return Feed(columns)
    return None if rows is None else rows_only(rows)


def named(values: Sequence[Any], keywords: Mapping[str, Any], names: Sequence[str]) -> Any:
    """Arguments of a call as one input, or as a dict of several by the names of the parameters.

    What is no tensor (a flag, None, a configuration) is left out, unless there is nothing else.
    """
    if len(values) == 1 and not keywords:
        return values[0]
    given = {names[index] if index < len(names) else f"input_{index}": value for index, value in enumerate(values)}
    given.update(keywords)
    tensors = {name: value for name, value in given.items() if shape_of(value) is not None}
    if not tensors:
        return values[0] if values else next(iter(given.values()), None)
    if len(tensors) == 1:
        ((name, value),) = tensors.items()
        return {name: value} if name in _TOKENS else value
    return tensors


def answer_of(result: Any) -> Any:
    """The tensor among a result's parts that is the model's answer; None when there is none.

    Models of transformers give `ModelOutput`s (which are dicts), others tuples with states and losses behind.
    """
    for _ in range(3):
        if shape_of(result) is not None:
            return result
        if isinstance(result, dict):
            names = [name for name in _MAIN if name in result]
            result = result[names[0]] if names else _first(result.values())
        elif isinstance(result, (list, tuple)):
            result = _first(result)
        else:
            return None
    return None


def outputs_of(answer: Any, *, is_probability: bool = False) -> tuple[Any, Any]:
    """Predictions and scores in an answer: (n,) and (n, 1) are one prediction a row, (n, k) are scores.

    Args:
        is_probability: The answer is a score by what made it, whatever its shape.
    """
    shape = shape_of(answer)
    if not shape or len(shape) > 2 or not is_at_hand(answer):
        return None, None
    if is_probability:
        return None, _narrow(answer, shape)
    if len(shape) == 1 or shape[1] == 1:
        return answer, None
    return None, _narrow(answer, shape)


def shape_of(value: Any) -> tuple[int, ...] | None:
    """Shape of an array or tensor; None for anything else, and for a shape that is not known yet."""
    shape = getattr(value, "shape", None)
    if shape is None or isinstance(value, type):
        return None
    try:
        return tuple(map(int, shape))
    except (TypeError, ValueError):
        return None


def is_at_hand(value: Any) -> bool:
    """Whether a tensor's values are in the host's memory, so that nobody waits when they are read."""
    device = getattr(value, "device", None)
    if device is None or device == "cpu":
        return True
    if isinstance(device, str):  # TensorFlow: "/job:localhost/replica:0/task:0/device:CPU:0"
        return "GPU" not in device and "TPU" not in device
    return (getattr(device, "type", None) or getattr(device, "platform", "")) == "cpu"


def _alone(value: Any) -> Any:
    shape = shape_of(value)
    if shape is None:
        return value
    if not shape:
        return None
    return value if len(shape) <= 2 and is_at_hand(value) else rows_only(shape[0])


def _first(values: Any) -> Any:
    for value in values:
        shape = shape_of(value)
        if shape or isinstance(value, (dict, list, tuple)):  # a loss has no dimensions
            return value
    return None


def _narrow(answer: Any, shape: tuple[int, ...]) -> Any:
    return answer[:, :MAX_SCORES] if len(shape) == 2 and shape[1] > MAX_SCORES else answer

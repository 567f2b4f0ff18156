"""Requests and answers of the Open Inference Protocol as features, predictions and scores.

The rules, for version 2 (tensors) and version 1 (`instances`, `predictions`) alike:

- a tensor of shape [n] or [n, 1] is a column under its own name; so is every tensor of a data frame that came as one
  tensor a column;
- the only tensor of shape [n, k] is a matrix: its columns have the names the model or the baseline knows, else the
  tensor's name and a number ("x.0"); beside other tensors it is k columns named so;
- what has more dimensions, such as an image, counts as rows without columns;
- tensors with another number of rows than the first one are settings of the request and not features;
- of an output with many columns the first 16 are kept apart;
- an output whose name speaks of probabilities, scores, confidence, logits, a likelihood or a decision function is
  scores, and every other one is predictions.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from otel_ml.instrumentation.reading.tensors import MAX_SCORES, rows_only
from otel_ml.recording.columns import ColumnBatch
from otel_ml.recording.inference import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SCORES: Final = re.compile(r"prob|score|confidence|logit|likelihood|decision_function", re.IGNORECASE)
_PREDICTIONS: Final = re.compile(r"predict|output|label|class|result|value", re.IGNORECASE)
"""In a version 1 answer, which may hold other things: outputs beside the scores."""
_TEXT: Final = "BYTES"
_NUMBERS: Final = frozenset((float, int, bool))


class Tensor(NamedTuple):
    """One named input or output, in any server's hands.

    Attributes:
        datatype: As the protocol has it: "FP32", "BYTES".
        data: Flat or nested list, or an array.
    """

    name: str
    shape: Sequence[int]
    datatype: str
    data: Any

    @property
    def rows(self) -> int:
        """The first dimension, by which requests are batched."""
        return int(self.shape[0]) if self.shape else 1

    @property
    def width(self) -> int:
        """Values in a row."""
        return math.prod(self.shape[1:])


def features_of(tensors: Sequence[Tensor], info: ModelInfo) -> Any:
    """What the recorder shall read of a request: a row, columns or a matrix; None if shapes and data disagree.

    Args:
        info: Of the model; learns what to call columns that nobody names.
    """
    if not tensors:
        return None
    first = tensors[0]
    if len(tensors) == 1 and len(first.shape) == 2 and first.width != 1:
        _call_columns(info, first.name)
        return _array(first)
    rows = first.rows
    columns: dict[str, Any] = {}
    for tensor in tensors:
        shape = tensor.shape
        if len(shape) == 1 or (len(shape) == 2 and shape[1] == 1):
            columns[tensor.name] = _values(tensor)
        elif tensor.rows == rows:
            columns.update(_columns(tensor))
    usable = _of_length(columns, rows)
    if not usable:
        return rows_only(rows)
    return _row(usable) if rows == 1 else ColumnBatch(usable, rows)


def outputs_of(tensors: Iterable[Tensor]) -> tuple[Any, Any]:
    """Predictions and scores of an answer; None where there are none."""
    sides: tuple[list[Tensor], list[Tensor]] = ([], [])
    for tensor in tensors:
        sides[_SCORES.search(tensor.name) is not None].append(tensor)
    return _output(sides[0]), _output(sides[1])


def instances_of(body: Any, info: ModelInfo) -> Any:
    """What the recorder shall read of a version 1 request, by `instances` or by `inputs`."""
    given = body.get("instances", body.get("inputs")) if isinstance(body, dict) else None
    if given is None or isinstance(given, dict):
        return given or None
    if isinstance(given, np.ndarray):
        given = given if given.ndim == 2 else list(given)
    elif not isinstance(given, list) or not given:
        return None
    first = given[0]
    _call_columns(info, "instance")
    if isinstance(first, dict):
        return given
    if isinstance(first, (list, tuple, np.ndarray)) and len(first) and not hasattr(first[0], "__len__"):
        return given
    return ColumnBatch({"instance": given}, len(given))


def answers_of(body: Any) -> tuple[Any, Any]:
    """Predictions and scores of a version 1 answer, and of a version 2 one as a dict."""
    if isinstance(body, (list, np.ndarray)):
        return (body if len(body) else None), None
    if not isinstance(body, dict):
        return None, None
    outputs = body.get("outputs")
    if isinstance(outputs, list) and outputs and all(isinstance(each, dict) and "data" in each for each in outputs):
        return outputs_of(
            Tensor(each["name"], each["shape"], str(each.get("datatype", "")), each["data"]) for each in outputs
        )
    rows = body.get("predictions")
    if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows):
        return _of_rows(rows)
    lists = {name: value for name, value in body.items() if isinstance(value, (list, np.ndarray)) and len(value)}
    scores = {name: value for name, value in lists.items() if _SCORES.search(name)}
    predictions = {name: value for name, value in lists.items() if name not in scores and _PREDICTIONS.search(name)}
    return _alone_or_together(predictions), _alone_or_together(scores)


def together(parts: Sequence[Any]) -> Any:
    """Features, or predictions, of several messages of one conversation; None if they cannot be put together."""
    if any(part is None for part in parts):
        return None
    if all(isinstance(part, np.ndarray) and part.ndim == 2 for part in parts):
        return np.concatenate(parts) if len({part.shape[1] for part in parts}) == 1 else None
    are_rows = all(not hasattr(value, "__len__") or isinstance(value, str) for part in parts for value in _cells(part))
    return list(parts) if parts and are_rows else None


def _cells(part: Any) -> Iterable[Any]:
    return part.values() if isinstance(part, dict) else (part,)


def _call_columns(info: ModelInfo, name: str) -> None:
    # The first request decides: clients choose the names of their tensors, and a column must keep its own.
    if info.column_prefix == ModelInfo.DEFAULT_PREFIX:
        info.column_prefix = f"{name}."


# --- tensors ----------------------------------------------------------------------------------------------------------


def _columns(tensor: Tensor) -> dict[str, Any]:
    if tensor.width == 1:
        return {tensor.name: _values(tensor)}
    array = _array(tensor)
    if array is None or array.ndim != 2:
        return {}
    columns = (array[:, index] for index in range(array.shape[1]))
    return {
        f"{tensor.name}.{index}": column.tolist() if column.dtype.kind == "O" else column
        for index, column in enumerate(columns)
    }


def _of_length(columns: Mapping[str, Any], rows: int) -> dict[str, Any]:
    return {name: column for name, column in columns.items() if column is not None and len(column) == rows}


def _row(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: column[0] for name, column in columns.items()}


def _output(tensors: Sequence[Tensor]) -> Any:
    if len(tensors) == 1:
        (tensor,) = tensors
        if tensor.width != 1:
            array = _array(tensor)
            return array[:, :MAX_SCORES] if array is not None and array.ndim == 2 else None
        values = _values(tensor)
        if values is None or len(values) != tensor.rows:
            return None
        return values[0] if len(values) == 1 else values
    columns: dict[str, Any] = {}
    for tensor in tensors:
        columns.update(_columns(tensor))
    usable = _of_length(columns, tensors[0].rows) if tensors else {}
    return (_row(usable) if tensors[0].rows == 1 else usable) if usable else None


def _values(tensor: Tensor) -> Any:
    """The values of a column, by reference where they lie flat; None where they are not what the shape says."""
    data = tensor.data
    if type(data) is list and data and type(data[0]) in _NUMBERS:  # the usual one; its length is looked at later
        return data
    if isinstance(data, (str, bytes)):
        data = [data]
    if isinstance(data, np.ndarray):
        data = data.reshape(-1)
    elif isinstance(data, (list, tuple)) and data and isinstance(data[0], (list, tuple)):
        array = _array(tensor)
        data = None if array is None else array.reshape(-1).tolist()
    if not hasattr(data, "__len__") or len(data) != tensor.rows:
        return None
    return [_text(value) for value in data] if tensor.datatype == _TEXT else data


def _array(tensor: Tensor) -> np.ndarray[Any, Any] | None:
    try:
        if tensor.datatype == _TEXT:
            values = np.asarray(tensor.data, dtype=object).reshape(-1)
            array = np.array([_text(value) for value in values], dtype=object)
        else:
            array = np.asarray(tensor.data)
            if array.dtype.kind == "O":  # JSON has no NaN: a missing number is null
                array = array.astype(np.float64)
        return array.reshape(tuple(tensor.shape))
    except (TypeError, ValueError):
        return None  # the framework's to refuse


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return value
    return value


# --- version 1 --------------------------------------------------------------------------------------------------------


def _of_rows(rows: list[Any]) -> tuple[Any, Any]:
    """A list of dicts such as {"label": …, "score": …}, column by column."""
    names = dict.fromkeys(name for row in rows for name in row)
    scores = {name: [row.get(name) for row in rows] for name in names if _SCORES.search(name)}
    predictions = {name: [row.get(name) for row in rows] for name in names if name not in scores}
    return _alone_or_together(predictions), _alone_or_together(scores)


def _alone_or_together(columns: Mapping[str, Any]) -> Any:
    if len(columns) == 1:
        return next(iter(columns.values()))
    return dict(columns) or None


# --- the model --------------------------------------------------------------------------------------------------------


def names_held_by(model: Any) -> tuple[str, ...] | None:
    """Names of the columns a server's model was trained with, if exactly one of its attributes knows them."""
    held = [getattr(value, "feature_names_in_", None) for value in vars(model).values()]
    known = [names for names in held if isinstance(names, np.ndarray)]
    return tuple(map(str, known[0])) if len(known) == 1 else None

"""Predictions and scores of many calls as batches of columns."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.columns import ColumnBatch, MatrixBatch, RowBatch, RowsOnly, batch_of
from otel_ml.recording.inputs.arrays import plain
from otel_ml.recording.inputs.column import read_column
from otel_ml.recording.inputs.tensors import array_of, is_tensor, rows_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.recording.columns import Batch
    from otel_ml.recording.inference import ModelInfo

SINGLE_NAME: Final = {3: "prediction", 4: "score"}
"""Name of the only output, by the field of `Inference` that holds it."""

_SCALARS: Final = frozenset((float, int, str, bool))
_NOTHING: Final = frozenset((type(None),))


def output_batches(inferences: Sequence[Any], sizes: Sequence[int | None], field: int) -> list[Batch]:
    """The outputs of inferences, read together where they are alike.

    Args:
        inferences: `Inference`s or tuples of their first fields.
        sizes: Rows each of them had, where known.
        field: Position in `Inference` of what is read.
    """
    try:
        given = list(map(itemgetter(field), inferences))
    except IndexError:  # some hold their first fields only
        given = [inference[field] if len(inference) > field else None for inference in inferences]
    types = set(map(type, given))
    name = SINGLE_NAME[field]
    if types <= _SCALARS:  # the usual case by far: one value per row
        return [ColumnBatch({name: given}, len(given))]
    if types == _NOTHING:
        return []
    present = [
        (inference[0], value, size)
        for inference, value, size in zip(inferences, given, sizes, strict=True)
        if value is not None
    ]
    values = [value for _, value, _ in present]
    types.discard(type(None))
    if types <= _SCALARS:
        return [ColumnBatch({name: values}, len(values))]
    if types == {np.ndarray} and len({(value.ndim, value.dtype.kind) for value in values}) == 1:
        together = _together(values)
        if together is not None:
            return [_from_array(together, present[0][0], field)]
    return [_one(value, info, size, field) for info, value, size in present]


def length_of(container: Any) -> int:
    """Rows of a container, as far as its outside tells."""
    try:
        shape = getattr(container, "shape", None)
        if shape:
            return int(shape[0])
        if isinstance(container, (list, tuple, RowsOnly)):
            return len(container)
        for count in ("num_row", "num_data"):
            if hasattr(type(container), count):
                return int(getattr(container, count)())
    except Exception:  # of the user's own class
        return 1
    return 1


def _together(values: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any] | None:
    first = values[0]
    if len(values) == 1:
        return first
    if first.ndim == 0:
        return np.stack(values)
    if first.ndim > 2 or len({value.shape[1:] for value in values}) > 1:
        return None
    return np.concatenate(values)


def _one(value: Any, info: ModelInfo, size: int | None, field: int) -> Batch:
    name = SINGLE_NAME[field]
    if isinstance(value, np.ndarray):
        return _from_array(value, info, field)
    if isinstance(value, (list, tuple)) and value and not hasattr(value, "_fields"):
        first = value[0]
        if isinstance(first, np.ndarray) and first.ndim == 2:
            # Of a classifier with several outputs: one matrix of probabilities for each.
            parts = [_from_array(np.asarray(part), None, field) for part in value]
            names = tuple(f"{output}.{column}" for output, part in enumerate(parts) for column in range(_width(part)))
            return MatrixBatch(names, np.hstack([np.atleast_2d(np.asarray(part)) for part in value]))
        if isinstance(first, (list, tuple)):
            return _from_array(np.asarray(value), info, field)
        if isinstance(first, (str, int, float, bool, np.generic)) or first is None:
            if size == 1 and len(value) > 1:  # several outputs of one row
                return RowBatch([{str(index): output for index, output in enumerate(value)}])
            return ColumnBatch({name: list(value)}, len(value))
    if is_tensor(value):
        array = array_of(value)
        return RowsOnly(rows_in(value)) if array is None else _from_array(array, info, field)
    library = type(value).__module__.partition(".")[0]
    if library in ("pandas", "polars", "pyarrow"):
        if not hasattr(type(value), "columns"):
            column, kind = read_column(value)
            return ColumnBatch({name: column}, len(value), {} if kind is None else {name: kind})
    elif hasattr(type(value), "__array__"):
        return _from_array(np.asarray(value), info, field)
    return batch_of(value, lambda width: (name,) if width == 1 else tuple(map(str, range(width))))


def _from_array(array: np.ndarray[Any, Any], info: ModelInfo | None, field: int) -> Batch:
    name = SINGLE_NAME[field]
    if array.dtype.names is not None:
        return batch_of(array, lambda _: ())
    if array.ndim == 0:
        array = array.reshape(1)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1:
        return ColumnBatch({name: plain(array)}, len(array))
    if array.ndim > 2:
        array = array.reshape(len(array), -1)
    classes = info.classes if info is not None and field == 4 else None
    if classes is not None and len(classes) == array.shape[1]:
        if len(classes) == 2:  # the other one is one minus this
            return ColumnBatch({name: np.ascontiguousarray(array[:, 1])}, len(array))
        names = tuple(map(str, classes))
    else:
        names = tuple(map(str, range(array.shape[1])))
    if array.dtype.kind in "fiub":
        return MatrixBatch(names, array)
    return ColumnBatch({label: plain(array[:, index]) for index, label in enumerate(names)}, len(array))


def _width(batch: Batch) -> int:
    if isinstance(batch, MatrixBatch):
        return len(batch.names)
    return len(batch.columns) if isinstance(batch, ColumnBatch) else 1

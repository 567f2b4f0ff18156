"""numpy arrays of any rank and type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.batches import ColumnBatch, MatrixBatch, RowsOnly, Unread

if TYPE_CHECKING:
    from otel_ml.recording.inputs.batches import Batch, Names, Naming

UNNAMED: Final = "input"
"""Name of an input that is not made of columns, such as images, where nobody gave it another."""
_TEXT: Final = "USO"


def read_array(array: np.ndarray[Any, Any], naming: Naming) -> Batch:
    """An array as a batch: its first axis are rows, its second columns; with more axes it is opaque."""
    if isinstance(array, np.ma.MaskedArray):
        array = _unmasked(array)
    if array.dtype.names is not None:
        return _read_structured(array, naming)
    if array.ndim < 2:
        array = array.reshape(-1, 1) if is_column(array, naming) else array.reshape(1, -1)
    if array.ndim > 2:
        return ColumnBatch({UNNAMED: Unread(len(array))}, len(array))
    if array.shape[1] == 0:
        return RowsOnly(len(array))
    names = naming.positional(array.shape[1])
    array = readable(array)
    if array.dtype.kind in "fiub":
        return MatrixBatch(names, array)
    return ColumnBatch({name: plain(array[:, index]) for index, name in enumerate(names)}, len(array))


def is_column(values: Any, naming: Naming) -> bool:
    """Whether a flat sequence is one column of many rows, rather than one row of many columns.

    A list of numbers is a row, for that is what a model with several columns takes; unless the model has but one. Texts
    are rows each, for that is what a model of text takes; unless the model has as many columns.
    """
    length = len(values) if getattr(values, "ndim", 1) else 1
    if length == 1:
        return False
    names = naming.positional(length)
    if len(names) != length or (len(naming.positional(1)) == 1 and names == naming.positional(1)):
        return True
    kind = values.dtype.kind if isinstance(values, np.ndarray) else "O"
    if kind not in _TEXT or not _are_numbered(names):
        return False
    return all(isinstance(value, (str, bytes)) or value is None for value in values)


def _are_numbered(names: Names) -> bool:
    """Whether names are made up: one prefix, and numbers from 0."""
    prefix = names[0].removesuffix("0")
    return names == tuple(f"{prefix}{index}" for index in range(len(names)))


def readable(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The same with numbers of other libraries' types, such as bfloat16, as floats."""
    if array.dtype.kind == "V" and array.dtype.names is None and array.dtype.metadata is None:
        return array.astype(np.float32)
    return array


def plain(column: Any) -> Any:
    """A column as numbers, truth values, points in time or vectors in an array, and all else as a list of objects."""
    if isinstance(column, (list, tuple, Unread)):
        return column
    array = column if isinstance(column, np.ndarray) else np.asarray(column)
    if isinstance(array, np.ma.MaskedArray):
        array = _unmasked(array)
    array = readable(array)
    kind = array.dtype.kind
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 1:
        if kind in "fiubM":
            return array
        if kind in "SO":
            return [text(value) for value in array.tolist()]
        # numpy gives nanoseconds as bare integers.
        return list(array) if kind == "m" else array.tolist()
    if array.ndim == 2 and kind in "fiu":
        return array
    return Unread(len(array)) if array.ndim > 2 else list(array)


def text(value: Any) -> Any:
    """Bytes as the text they most likely are; anything else as it is."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _read_structured(array: np.ndarray[Any, Any], naming: Naming) -> Batch:
    flat = array.reshape(-1)
    columns: dict[str, Any] = {}
    for name in array.dtype.names or ():
        field = flat[name]
        if field.dtype.names is None:
            columns[name] = plain(field)
        else:
            columns |= {f"{name}.{inner}": plain(field[inner]) for inner in field.dtype.names}
    return ColumnBatch(dict(zip(naming.labels(list(columns)), columns.values(), strict=True)), len(flat))


def _unmasked(array: Any) -> np.ndarray[Any, Any]:
    """Masked values as NaN, NaT or None."""
    if not np.ma.is_masked(array):
        return np.asarray(array)
    if array.dtype.names is not None:
        return np.asarray(array.astype(object).filled(None))
    kind = array.dtype.kind
    if kind in "fiu":
        return np.asarray(array.astype(np.float64).filled(np.nan))
    return np.asarray(array.filled(np.datetime64("NaT", "s")) if kind == "M" else array.astype(object).filled(None))

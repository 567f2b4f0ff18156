"""What the request thread does to an input: make sure nobody changes it before it is summarised, and weigh it.

Callers reuse buffers, so arrays and tensors are copied (2 µs for 256 x 100 doubles), those of a `Feed` too, and frames
are copied too: shallowly where pandas copies on write (3.0), deeply before; of a frame of one row the row is taken.
Polars frames, Arrow tables, strings and numbers never change. Of a tensor that is not in a CPU's memory only the rows
are counted. Dicts, lists and objects are kept by reference, for copying them would cost more than the whole budget: a
caller that changes a row within the quarter of a second after `record()` records the changed row.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from otel_ml.recording.inputs.batches import RowsOnly, Unread
from otel_ml.recording.inputs.feeds import Feed
from otel_ml.recording.inputs.pandas_frames import plain_row
from otel_ml.recording.inputs.sparse import is_sparse_type
from otel_ml.recording.inputs.tensors import array_of, is_tensor, is_tensor_type, never_changes, rows_in

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST_COPY = 32 * 1024 * 1024
"""Of an array with more bytes, evenly spaced rows are copied that stay below; the others count as dropped."""

_BYTES_PER_OBJECT = 64
"""Weight of one value of a row of Python objects: rough, for the bound on memory is."""
_BYTES_PER_ENTRY = 16
"""Weight of a value that a sparse matrix stores, with its place."""


class Captured(NamedTuple):
    """A value that is safe to read later.

    Attributes:
        rows: How many rows it has, as far as that is cheap to know; 1 otherwise.
        weight: Roughly the bytes that are kept alive.
        left_out: Rows that were too many to copy.
    """

    value: Any
    rows: int = 1
    weight: int = 0
    left_out: int = 0


# By exact type: what a type is taken as is looked up once.
_takers: dict[type, Callable[[Any], Captured]] = {}


def capture(value: Any) -> Captured:
    """`value` in a state that later changes by the caller do not reach, at the least cost."""
    kind = type(value)
    take = _takers.get(kind)
    if take is None:
        take = _taker_for(kind)
        if len(_takers) < 1_000:  # a program that makes classes for ever must not make this grow for ever
            _takers[kind] = take
    return take(value)


def _take_atom(value: Any) -> Captured:
    return Captured(value)


def _take_sized(value: Any) -> Captured:
    rows = len(value)
    width = 1
    if rows:
        first = value[0] if isinstance(value, (list, tuple)) else None
        width = len(first) if isinstance(first, (dict, list, tuple)) else 1
    return Captured(value, rows, rows * width * _BYTES_PER_OBJECT)


def _take_mapping(value: Any) -> Captured:
    return Captured(value, 1, len(value) * _BYTES_PER_OBJECT)


def _take_array(value: Any) -> Captured:
    rows = len(value) if value.ndim else 1
    size = value.nbytes
    if size <= LARGEST_COPY:
        return Captured(value.copy(), rows, size)
    step = -(-size // LARGEST_COPY)
    sample = value[::step].copy()
    return Captured(sample, len(sample), sample.nbytes, rows - len(sample))


def _take_tensor(value: Any) -> Captured:
    rows = rows_in(value)
    if never_changes(value):
        return Captured(value, rows, math.prod(value.shape) * 8)
    array = array_of(value)
    return Captured(RowsOnly(rows), rows) if array is None else _take_array(array)


def _take_feed(value: Any) -> Captured:
    arrays = {name: array_of(item) if is_tensor(item) else item for name, item in value.items()}
    rows = max(map(rows_in, value.values()), default=1)
    size = sum(getattr(array, "nbytes", 0) for array in arrays.values())
    # The same rows of all inputs, where they are too many.
    step = max(1, -(-size // LARGEST_COPY))
    kept: dict[str, Any] = {}
    for name, array in arrays.items():
        if array is None:
            kept[name] = Unread(len(range(0, rows_in(value[name]), step)))
        elif isinstance(array, np.ndarray):
            kept[name] = array[::step].copy() if array.ndim else array.copy()
        else:
            kept[name] = array
    left_out = rows - len(range(0, rows, step))
    return Captured(Feed(kept), rows - left_out, size // step, left_out)


def _take_frame(value: Any) -> Captured:
    rows, *rest = value.shape
    if rows == 1 and rest and (row := _row_of(value)) is not None:
        return Captured(row, 1, len(row) * _BYTES_PER_OBJECT)
    columns = rest[0] if rest else 1
    return Captured(value.copy(deep=not _pandas_copies_on_write()), rows, rows * columns * 8)


def _row_of(frame: Any) -> dict[str, Any] | None:
    try:
        return plain_row(frame)
    except Exception:  # another pandas keeps its columns in another way
        return None


def _take_columns(value: Any) -> Captured:
    shape: tuple[int, ...] = getattr(value, "shape", (1,))
    return Captured(value, shape[0], math.prod(shape) * 8)


def _take_sparse(value: Any) -> Captured:
    rows = value.shape[0] if len(value.shape) > 1 else 1
    size = int(value.nnz) * _BYTES_PER_ENTRY
    if size <= LARGEST_COPY or rows == 1:
        return Captured(value.copy(), rows, size)
    sample = value.tocsr()[:: -(-size // LARGEST_COPY)]
    return Captured(sample, sample.shape[0], int(sample.nnz) * _BYTES_PER_ENTRY, rows - sample.shape[0])


def _pandas_copies_on_write() -> bool:
    version = getattr(sys.modules.get("pandas"), "__version__", "0")
    return int(version.split(".", 1)[0]) >= 3


def _taker_for(kind: type) -> Callable[[Any], Captured]:
    library = kind.__module__.partition(".")[0]
    if is_sparse_type(kind):  # one of scipy's formats is a dict
        return _take_sparse
    if issubclass(kind, dict):
        return _take_feed if issubclass(kind, Feed) else _take_mapping
    if issubclass(kind, (list, tuple)):
        return _take_sized
    if library == "pandas" and kind.__name__ in ("DataFrame", "Series"):
        return _take_frame
    if library in ("polars", "pyarrow"):
        return _take_columns
    if is_tensor_type(kind):
        return _take_tensor
    if all(hasattr(kind, name) for name in ("nbytes", "ndim", "copy", "dtype", "__array_interface__")):
        return _take_array if hasattr(kind, "__len__") else _take_atom
    return _take_atom

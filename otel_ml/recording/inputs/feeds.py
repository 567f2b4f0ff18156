"""Named inputs of array models, such as the feed of an ONNX session: a dict from the input's name to an array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.arrays import plain, read_array
from otel_ml.recording.inputs.batches import ColumnBatch, RowsOnly, Unread, distinct
from otel_ml.recording.inputs.tensors import array_of, is_tensor, rows_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_ml.recording.inputs.batches import Batch, Naming

WIDEST: Final = 256
"""One of several inputs that is wider is a vector, not so many columns."""


class Feed(dict[str, Any]):
    """A dict of arrays whose owner may fill them anew as soon as the call is over: the queue copies them."""


def is_feed(mapping: Mapping[Any, Any]) -> bool:
    """Whether a dict is a feed: it says so, or holds tensors, or nothing but arrays with columns of their own.

    Columns beside a matrix of as many rows are a table with a column of vectors.
    """
    has_tensor = isinstance(mapping, Feed)
    columns: set[int] = set()
    matrices: set[int] = set()
    for value in mapping.values():
        if isinstance(value, np.ndarray):
            if value.ndim:
                (columns if value.ndim == 1 else matrices).add(len(value))
        elif isinstance(value, Unread) or is_tensor(value):
            has_tensor = True
        else:
            return False
    return has_tensor or bool(matrices and columns.isdisjoint(matrices))


def read_feed(feed: Mapping[Any, Any], naming: Naming) -> Batch:
    """Inputs of shape (n,) or (n, 1) are columns of that name; (n, k) is k columns; of higher rank, opaque.

    The k columns of the only input are called what the model calls its columns; those of one among several
    "<input>.0", "<input>.1", …
    """
    arrays: dict[str, Any] = {}
    votes: dict[int, int] = {}
    for name, value in feed.items():
        rows = len(value) if isinstance(value, Unread) else rows_in(value)
        array = array_of(value) if is_tensor(value) else value
        arrays[str(name)] = Unread(rows) if array is None else array
        # A matrix is about the rows; a vector may be a setting, and what has no axis is one.
        rank = 2 if array is None or isinstance(array, Unread) else min(2, array.ndim)
        votes[rows] = votes.get(rows, 0) + (0, 1, len(feed) + 1)[rank]
    length = max(votes, key=lambda rows: (votes[rows], rows), default=0)
    arrays = {name: array for name, array in arrays.items() if _has_rows(array) and len(array) == length}
    if not arrays:
        return RowsOnly(length)
    if len(arrays) == 1:
        ((name, only),) = arrays.items()
        if isinstance(only, np.ndarray) and only.ndim == 2 and only.shape[1] > 1:
            return read_array(only, naming)
    columns: list[tuple[str, Any]] = []
    for name, array in arrays.items():
        columns += _columns(name, array)
    names = distinct(tuple(name for name, _ in columns))
    return ColumnBatch({name: column for name, (_, column) in zip(names, columns, strict=True)}, length)


def _has_rows(array: Any) -> bool:
    return isinstance(array, Unread) or array.ndim > 0


def _columns(name: str, array: Any) -> list[tuple[str, Any]]:
    if isinstance(array, Unread) or array.ndim > 2:
        # A column of images with a last axis of one stays one of images.
        return [(name, Unread(len(array)))]
    if array.ndim == 2 and 1 < array.shape[1] <= WIDEST:
        return [(f"{name}.{index}", plain(array[:, index])) for index in range(array.shape[1])]
    return [(name, plain(array))]

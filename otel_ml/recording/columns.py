"""From whatever a model was given to one of a few shapes: rows, a matrix, columns, or sparse rows.

Containers are recognised by what they look like, never by importing their library: recording must not load pandas
into a process that does without. How each family is read stands in `inputs`, one file a family.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.arrays import read_array
from otel_ml.recording.inputs.arrow_tables import exported, read_arrow, read_arrow_array
from otel_ml.recording.inputs.batches import (
    Batch,
    ColumnBatch,
    MatrixBatch,
    Names,
    Naming,
    RowBatch,
    RowsOnly,
    SparseBatch,
    UnreadableInputError,
)
from otel_ml.recording.inputs.feeds import is_feed, read_feed
from otel_ml.recording.inputs.model_containers import read_model_container, source_of
from otel_ml.recording.inputs.pandas_frames import read_pandas
from otel_ml.recording.inputs.polars_frames import read_polars, read_polars_series
from otel_ml.recording.inputs.rows import SCALARS, as_row, looks_like_column, read_mapping, read_sequence
from otel_ml.recording.inputs.served_requests import is_envelope, is_tensor_request, opened, read_tensor_request
from otel_ml.recording.inputs.sparse import is_sparse, read_sparse
from otel_ml.recording.inputs.tensors import array_of, is_tensor, rows_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "Batch",
    "ColumnBatch",
    "MatrixBatch",
    "Names",
    "RowBatch",
    "RowsOnly",
    "SparseBatch",
    "UnreadableInputError",
    "are_rows",
    "batch_of",
    "is_row",
    "looks_like_column",
]


_NO_COLUMN: Final = frozenset((float, int, bool))


def batch_of(container: Any, names: Callable[[int], Names], explicit: Names | None = None) -> Batch:
    """`container` as a batch.

    Args:
        container: Input or output of a model.
        names: Gives names for a width, for containers that have none of their own.
        explicit: Names that win over the container's own.

    Raises:
        UnreadableInputError: Nothing here can read it.
    """
    return _read(container, Naming(names, explicit))


def are_rows(features: Sequence[Mapping[Any, Any]]) -> bool:
    """Whether all of some dicts are rows; see `is_row`."""
    # One that holds a number or a truth value can be nothing else, and 50 ns each tell.
    try:
        first = map(itemgetter(next(iter(features[0]))), features)
        if _NO_COLUMN.issuperset(map(type, first)):
            return True
    except (KeyError, StopIteration):  # the others have no such column, or the first has none
        pass
    return all(map(is_row, features))


def is_row(features: Mapping[Any, Any]) -> bool:
    """Whether a dict is one row, rather than columns, a feed, or the body of a request around any of these."""
    # Asked for each row, so by its first value: that is a scalar in nearly all, and a number in nothing else.
    kind: type | None = None
    first: Any = None
    for first in features.values():
        kind = type(first)
        break
    if kind in _NO_COLUMN or kind is None:
        return True
    if kind is str:
        return not is_envelope(features)
    return not looks_like_column(first) and not is_envelope(features) and not is_feed(features)


def _read(container: Any, naming: Naming) -> Batch:
    if isinstance(container, dict) and not is_sparse(container):  # one of scipy's formats is a dict
        return _read_dict(container, naming)
    if isinstance(container, np.ndarray):
        return read_array(container, naming)
    if isinstance(container, (list, tuple)) and not hasattr(container, "_fields"):
        return read_sequence(container, naming)
    if isinstance(container, (*SCALARS, np.generic)):
        return RowBatch([{naming.positional(1)[0]: container}])
    if isinstance(container, (RowsOnly, ColumnBatch)):  # read already, by who knows what its columns mean
        return container
    return _read_by_library(container, naming)


def _read_by_library(container: Any, naming: Naming) -> Batch:
    kind = type(container)
    library = kind.__module__.partition(".")[0]
    if library == "pandas":
        return read_pandas(container, naming)
    if library == "polars":
        if hasattr(kind, "get_columns"):
            return read_polars(container, naming)
        if hasattr(kind, "to_list"):
            return read_polars_series(container, naming)
        raise _unreadable(container)
    if library == "pyarrow" and hasattr(kind, "schema") and hasattr(kind, "num_rows"):
        return read_arrow(container, naming)
    if library == "pyarrow" and hasattr(kind, "to_pylist"):
        return read_arrow_array(container, naming)
    if library == "narwhals" and hasattr(kind, "to_native"):
        return _read(container.to_native(), naming)
    if is_sparse(container):
        return read_sparse(container, naming.positional)
    if is_tensor(container):
        array = array_of(container)
        return RowsOnly(rows_in(container)) if array is None else read_array(array, naming)
    return _read_by_looks(container, naming)


def _read_by_looks(container: Any, naming: Naming) -> Batch:
    if is_tensor_request(container):
        return read_feed(read_tensor_request(container), naming)
    if (source := source_of(container)) is not None:
        return _read(source, naming)
    if (batch := read_model_container(container, naming)) is not None:
        return batch
    if (exchanged := exported(container)) is not None:
        return _read_by_library(exchanged, naming)
    if (row := as_row(container)) is not None:
        if set(row) == {"root"}:  # a pydantic model that is but a list or a dict
            return _read(row["root"], naming)
        return _read_dict(row, naming)
    if hasattr(type(container), "__array__"):
        return read_array(np.asarray(container), naming)
    raise _unreadable(container)


def _read_dict(mapping: Mapping[Any, Any], naming: Naming) -> Batch:
    if is_envelope(mapping):
        inner = opened(mapping)
        if isinstance(inner, dict):
            return read_feed(inner, naming) if is_feed(inner) else read_mapping(inner)
        return read_sequence(inner, naming)
    return read_feed(mapping, naming) if is_feed(mapping) else read_mapping(mapping)


def _unreadable(container: Any) -> UnreadableInputError:
    kind = type(container)
    return UnreadableInputError(f"{kind.__module__}.{kind.__qualname__}")

"""From whatever a model was given to one of three shapes: rows, a matrix, or columns.

Containers are recognised by what they look like, never by importing their library: recording must not load pandas
into a process that does without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Names: TypeAlias = "tuple[str, ...]"

_SMALL_FRAME = 16
"""Up to so many rows a frame is read as rows of objects: one call instead of one per column (41 against 200 µs)."""
_SCALARS = (str, bytes, int, float, bool, type(None))
_VALUES_A_STEP = 16_384
"""Values of a matrix that are summarised in one go: 0.25 ms at 15 ns a value."""
_OBJECTS_A_STEP = 4_096


class UnreadableInputError(Exception):
    """A container that none of the readers knows."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows as mappings from column to value."""

    rows: Sequence[Mapping[Any, Any]]

    def __len__(self) -> int:
        return len(self.rows)

    def pieces(self) -> Iterator[RowBatch]:
        """The same in pieces that are quickly summarised."""
        width = max(1, len(self.rows[0])) if self.rows else 1
        step = max(1, _OBJECTS_A_STEP // width)
        for start in range(0, len(self.rows), step):
            yield RowBatch(self.rows[start : start + step])


@dataclass(frozen=True, slots=True)
class MatrixBatch:
    """Numbers or truth values, shape (rows, columns)."""

    names: Names
    values: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.values)

    def pieces(self) -> Iterator[MatrixBatch]:
        """The same in pieces that are quickly summarised."""
        step = max(1, _VALUES_A_STEP // max(1, len(self.names)))
        for start in range(0, len(self.values), step):
            yield MatrixBatch(self.names, self.values[start : start + step])


@dataclass(frozen=True, slots=True)
class ColumnBatch:
    """Columns of one length, each an array or a list."""

    columns: Mapping[str, Any]
    length: int

    def __len__(self) -> int:
        return self.length

    def pieces(self) -> Iterator[ColumnBatch]:
        """The same in pieces that are quickly summarised."""
        step = max(1, _OBJECTS_A_STEP // max(1, len(self.columns)))
        for start in range(0, self.length, step):
            yield ColumnBatch(
                {name: column[start : start + step] for name, column in self.columns.items()},
                min(step, self.length - start),
            )


Batch: TypeAlias = "RowBatch | MatrixBatch | ColumnBatch"


def batch_of(container: Any, names: Callable[[int], Names]) -> Batch:
    """`container` as a batch.

    Args:
        container: Input or output of a model.
        names: Gives names for a width, for containers that have none of their own.

    Raises:
        UnreadableInputError: Nothing here can read it.
    """
    kind = type(container)
    if kind is dict:
        return _from_mapping(container)
    if isinstance(container, np.ndarray):
        return _from_array(container, names)
    if isinstance(container, (list, tuple)) and not hasattr(container, "_fields"):
        return _from_sequence(container, names)
    library = kind.__module__.partition(".")[0]
    if library == "pandas":
        return _from_pandas(container, names)
    if library == "polars" and hasattr(container, "get_columns"):
        return _from_polars(container)
    if library == "pyarrow" and hasattr(container, "column_names"):
        return _from_arrow(container)
    if library == "pyarrow" and hasattr(container, "to_pylist"):
        return _from_sequence(container.to_pylist(), names)
    if library == "polars" and hasattr(container, "to_list"):
        return _from_sequence(container.to_list(), names)
    if hasattr(container, "tocsr") and hasattr(container, "toarray"):
        return _from_array(container.toarray(), names)
    if isinstance(container, (*_SCALARS, np.generic)):
        return RowBatch([{names(1)[0]: container}])
    if (row := _as_row(container)) is not None:
        return _from_mapping(row)
    if hasattr(container, "__array__"):
        return _from_array(np.asarray(container), names)
    raise UnreadableInputError(f"{kind.__module__}.{kind.__qualname__}")


def looks_like_column(value: Any) -> bool:
    """Whether a dict that holds this may be a dict of columns, rather than a row."""
    # Asked of the class: an instance may answer to any name, or fail.
    return isinstance(value, (list, tuple, np.ndarray)) or hasattr(type(value), "to_numpy")


def _from_mapping(mapping: Mapping[Any, Any]) -> Batch:
    """One row, or columns when every value is a list or array of one length."""
    first = next(iter(mapping.values()), None)
    if looks_like_column(first):
        lengths = {len(value) if looks_like_column(value) else 0 for value in mapping.values()}
        if len(lengths) == 1 and (length := lengths.pop()):
            return ColumnBatch({str(name): _plain(value) for name, value in mapping.items()}, length)
    return RowBatch([mapping])


def _from_array(array: np.ndarray[Any, Any], names: Callable[[int], Names]) -> Batch:
    if array.dtype.names is not None:
        flat = array.reshape(-1)
        return ColumnBatch({name: _plain(flat[name]) for name in array.dtype.names}, len(flat))
    if array.ndim < 2:
        # One row, as in a list of numbers; but n values of the only column there is, if the model says so.
        column = array.ndim == 1 and len(array) != 1 and len(names(1)) == 1 and names(len(array)) == names(1)
        array = array.reshape(-1, 1) if column else array.reshape(1, -1)
    if array.ndim > 2:
        raise UnreadableInputError(f"array of {array.ndim} dimensions")
    labels = names(array.shape[1])
    if array.dtype.kind in "fiub":
        return MatrixBatch(labels, array)
    return ColumnBatch({name: _plain(array[:, index]) for index, name in enumerate(labels)}, len(array))


def _from_sequence(sequence: Sequence[Any], names: Callable[[int], Names]) -> Batch:
    if not sequence:
        return RowBatch([])
    first = sequence[0]
    if isinstance(first, dict):
        return RowBatch([row if isinstance(row, dict) else {} for row in sequence])
    if isinstance(first, np.ndarray):
        return _from_array(np.stack(sequence), names)
    if isinstance(first, (list, tuple)) and not hasattr(first, "_fields"):
        labels = names(len(first))
        return RowBatch([dict(zip(labels, row, strict=False)) for row in sequence])
    if isinstance(first, (*_SCALARS, np.generic)):
        return RowBatch([dict(zip(names(len(sequence)), sequence, strict=False))])
    rows = [_as_row(item) for item in sequence]
    if rows[0] is None:
        return RowBatch([dict(zip(names(len(sequence)), sequence, strict=False))])
    return RowBatch([row or {} for row in rows])


def _from_pandas(frame: Any, names: Callable[[int], Names]) -> Batch:
    columns = getattr(frame, "columns", None)
    if columns is None:  # a Series is one row of a frame: its index holds the names
        index = getattr(frame, "index", None)
        if index is None:
            return _from_sequence(list(frame), names)
        return RowBatch([dict(zip(map(str, index), frame.tolist(), strict=True))])
    labels = tuple(map(str, columns))
    if len(frame) <= _SMALL_FRAME:
        values = frame.to_numpy()
        if values.dtype.kind in "fiub":
            return MatrixBatch(labels, values)
        return RowBatch([dict(zip(labels, row, strict=True)) for row in values.tolist()])
    series = [column for _, column in frame.items()]
    return ColumnBatch(dict(zip(labels, map(_pandas_column, series), strict=True)), len(frame))


def _pandas_column(series: Any) -> Any:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _plain(series.to_numpy())
    # Extension types: nullable numbers become doubles with NaN, the rest lists of Python objects.
    kind = getattr(dtype, "kind", "O")
    if kind in "fiu":
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.tolist()


def _from_polars(frame: Any) -> Batch:
    columns = {series.name: _polars_column(series) for series in frame.get_columns()}
    return ColumnBatch(columns, frame.height)


def _polars_column(series: Any) -> Any:
    return series.to_numpy() if series.dtype.is_numeric() and not series.dtype.is_decimal() else series.to_list()


def _from_arrow(table: Any) -> Batch:
    columns = {str(name): _arrow_column(column) for name, column in zip(table.column_names, table.columns, strict=True)}
    return ColumnBatch(columns, table.num_rows)


def _arrow_column(column: Any) -> Any:
    if str(column.type) in ("double", "float") or (str(column.type).lstrip("u").startswith("int")):
        # A chunked column has no zero-copy switch; a plain array refuses to copy unless told.
        return column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)
    return column.to_pylist()


def _as_row(item: Any) -> dict[str, Any] | None:
    """A pydantic model, dataclass, named tuple or mapping as a dict, one level deep."""
    if isinstance(item, dict):
        return item
    kind = type(item)
    if hasattr(kind, "model_fields"):
        return dict(item.__dict__)
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(item, name, None) for name in kind.__dataclass_fields__}
    if hasattr(kind, "_fields") and hasattr(kind, "_asdict"):
        named: dict[str, Any] = item._asdict()
        return named
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):
        return {key: item[key] for key in item.keys()}  # noqa: SIM118 - not every mapping iterates over its keys
    return None


def _plain(column: Any) -> Any:
    """Numbers and truth values as an array, everything else as a list of Python objects."""
    if isinstance(column, (list, tuple)):
        return column
    array = column if isinstance(column, np.ndarray) else np.asarray(column)
    if array.ndim == 1 and array.dtype.kind in "fiub":
        return array
    return list(array) if array.ndim > 1 or array.dtype.kind in "mM" else array.tolist()

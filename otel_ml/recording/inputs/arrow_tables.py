"""pyarrow tables, record batches and arrays, and whatever else hands out Arrow data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.arrays import plain
from otel_ml.recording.inputs.batches import ColumnBatch
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from otel_ml.recording.inputs.batches import Batch, Naming

_LAZY: Final = frozenset(("duckdb", "ibis"))
"""Libraries whose tables are queries: asking for the data would run one."""
_NUMBER_TYPES: Final = frozenset(
    ("double", "float", "halffloat", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
)


def read_arrow(table: Any, naming: Naming) -> Batch:
    """A table or record batch; columns of structs become one column per field, one level deep."""
    columns: list[tuple[str, Any]] = []
    for name, column in zip(table.schema.names, table.columns, strict=True):
        columns += _parts(str(name), column)
    return _batch(columns, table.num_rows, naming)


def read_arrow_array(array: Any, naming: Naming) -> Batch:
    """An array is one column; one of structs is a table."""
    fields = _parts("", array)
    if fields[0][0]:
        return _batch([part for name, column in fields for part in _parts(name[1:], column)], len(array), naming)
    column, kind = arrow_column(array)
    (name,) = naming.positional(1)[:1] or ("f0",)
    return ColumnBatch({name: column}, len(array), {} if kind is None else {name: kind})


def exported(container: Any) -> Any:
    """What a container of any other library exports as Arrow data, if pyarrow is there to take it; else None.

    A reader is left alone: reading it would take its rows away from the model.
    """
    arrow = sys.modules.get("pyarrow")
    kind = type(container)
    if arrow is None or "Reader" in kind.__name__ or "Stream" in kind.__name__:
        return None
    if kind.__module__.partition(".")[0] in _LAZY:
        return None
    if hasattr(kind, "__arrow_c_stream__"):
        return arrow.table(container)
    if hasattr(kind, "__arrow_c_array__"):
        array = arrow.array(container)
        return arrow.RecordBatch.from_struct_array(array) if str(array.type).startswith("struct") else array
    return None


def arrow_column(column: Any) -> tuple[Any, FeatureKind | None]:
    """An array, chunked or not, as a column, and its kind where the type declares it."""
    type_ = str(column.type)
    if type_ in _NUMBER_TYPES:
        return _to_numpy(column), None
    if type_.startswith(("timestamp", "date")):
        # Through Python no time before year 1 and no nanosecond would pass.
        return _to_numpy(column).astype("datetime64[us]"), None
    if type_.startswith("dictionary"):
        return column.to_pylist(), FeatureKind.CATEGORICAL
    if type_.startswith("fixed_size_list") and not column.null_count:
        return _vectors(column), None
    return column.to_pylist(), FeatureKind.BOOLEAN if type_ == "bool" else None


def _batch(columns: list[tuple[str, Any]], rows: int, naming: Naming) -> Batch:
    names = naming.labels([name for name, _ in columns])
    read = [arrow_column(column) for _, column in columns]
    return ColumnBatch(
        {name: column for name, (column, _) in zip(names, read, strict=True)},
        rows,
        {name: kind for name, (_, kind) in zip(names, read, strict=True) if kind is not None},
    )


def _parts(name: str, column: Any) -> list[tuple[str, Any]]:
    if not str(column.type).startswith("struct"):
        return [(name, column)]
    whole = column.combine_chunks() if hasattr(column, "chunks") else column
    if hasattr(whole, "chunks"):  # of no rows, or of several chunks too large for one
        return [(name, column)]
    inner = [whole.type.field(index).name for index in range(whole.type.num_fields)]
    return [(f"{name}.{field}", part) for field, part in zip(inner, whole.flatten(), strict=True)]


def _to_numpy(column: Any) -> np.ndarray[Any, Any]:
    # A chunked column has no zero-copy switch; a plain array refuses to copy unless told.
    array: np.ndarray[Any, Any] = (
        column.to_numpy() if hasattr(column, "chunks") else column.to_numpy(zero_copy_only=False)
    )
    return array


def _vectors(column: Any) -> Any:
    width = column.type.list_size
    chunks = column.chunks if hasattr(column, "chunks") else [column]
    if str(column.type.value_type) not in _NUMBER_TYPES or not width or not chunks:
        return column.to_pylist()
    return plain(np.concatenate([_to_numpy(chunk.flatten()).reshape(-1, width) for chunk in chunks]))

"""pandas 2 and 3: frames, series, and columns of every dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.arrays import plain
from otel_ml.recording.inputs.arrow_tables import arrow_column
from otel_ml.recording.inputs.batches import ColumnBatch, MatrixBatch, RowBatch
from otel_ml.recording.inputs.sparse import read_sparse
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from otel_ml.recording.inputs.batches import Batch, Kinds, Names, Naming

_WIDE: Final = 64
"""More columns may all be sparse; to ask takes 50 µs, and fewer may as well be made dense, one at a time."""
_PLAIN: Final = frozenset((float, int, bool, str, type(None)))
_NARROW: Final = 64
"""Rows of more columns wait as frames. A row costs the request 13 µs at 25 numbers and 58 at 256 (29 and 138 in pandas
3), a copy of its frame 18 and 11 (19 and 19)."""
_SMALL: Final = 16
"""Up to so many rows a frame is read as rows of objects: one call instead of one per column (41 against 200 µs)."""


def read_pandas(frame: Any, naming: Naming) -> Batch:
    """A frame; a series that is a row of one, its index holding the names; or a column."""
    columns = getattr(frame, "columns", None)
    if columns is None:
        return _read_series(frame, naming)
    if len(columns) > _WIDE and (batch := _read_sparse(frame, naming)) is not None:
        return batch
    names = naming.labels(columns.tolist())
    if len(frame) <= _SMALL:
        values = frame.to_numpy()
        if values.dtype.kind in "fiub":
            return MatrixBatch(names, values)
        if values.dtype.kind == "O":
            rows = [dict(zip(names, row, strict=True)) for row in values.tolist()]
            return RowBatch(rows, lambda: _declared(frame, names))
    read = [pandas_column(series) for _, series in frame.items()]
    return ColumnBatch(
        {name: column for name, (column, _) in zip(names, read, strict=True)},
        len(frame),
        {name: kind for name, (_, kind) in zip(names, read, strict=True) if kind is not None},
    )


def plain_row(frame: Any) -> dict[str, Any] | None:
    """The only row of a frame, where it is numbers, truth values and text under names; None where that takes more care.

    Read from what pandas keeps the columns in: 25 of them cost some 25 µs in all with pandas 2, but 230 by a copy and
    by `to_numpy`, which first looks for a type that all have in common.
    """
    if frame.shape[1] > _NARROW:
        return None
    names = frame.columns.tolist()
    row: dict[str, Any] = dict.fromkeys(names)
    if len(row) != len(names) or set(map(type, names)) != {str}:
        return None
    for block in frame._mgr.blocks:  # noqa: SLF001 - no public way is as quick; the caller knows another
        values = block.values
        if type(values) is np.ndarray:
            if values.dtype.kind not in "fiubO":
                return None
            for place, value in zip(block.mgr_locs.as_array.tolist(), values.tolist(), strict=True):
                row[names[place]] = value[0]
        elif values.dtype.name in ("str", "string"):
            stored = values.__arrow_array__()[0].as_py() if hasattr(values, "__arrow_array__") else values[0]
            row[names[block.mgr_locs.as_array[0]]] = stored
        else:
            return None
    return row if _PLAIN.issuperset(map(type, row.values())) else None


def pandas_column(series: Any) -> tuple[Any, FeatureKind | None]:
    """A series or index as a column, and its kind where the dtype declares it."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return plain(series.to_numpy()), None
    if hasattr(dtype, "categories") and hasattr(dtype, "ordered"):
        # Numbers that were made categories are codes.
        return series.tolist(), FeatureKind.CATEGORICAL
    if hasattr(dtype, "pyarrow_dtype"):
        return arrow_column(series.array.__arrow_array__())
    kind = getattr(dtype, "kind", "O")
    if kind in "fiu":  # nullable numbers become doubles with NaN
        return series.to_numpy(dtype=np.float64, na_value=np.nan), None
    if kind == "M":  # with a time zone
        return series.to_numpy(dtype="datetime64[us]"), None
    return series.tolist(), None


def _read_series(series: Any, naming: Naming) -> Batch:
    index = getattr(series, "index", None)
    if index is not None and len(index) and all(isinstance(label, (str, tuple)) for label in index[:1]):
        return RowBatch([dict(zip(naming.labels(index.tolist()), series.tolist(), strict=True))])
    column, kind = pandas_column(series)
    own = getattr(series, "name", None)
    name = naming.labels([own])[0] if isinstance(own, str) else (naming.positional(1) or ("f0",))[0]
    return ColumnBatch({name: column}, len(series), {} if kind is None else {name: kind})


def _declared(frame: Any, names: Names) -> Kinds:
    return {
        name: FeatureKind.CATEGORICAL
        for name, dtype in zip(names, frame.dtypes, strict=True)
        if hasattr(dtype, "categories") and hasattr(dtype, "ordered")
    }


def _is_sparse(dtype: Any) -> bool:
    return type(dtype).__name__ == "SparseDtype"


def _read_sparse(frame: Any, naming: Naming) -> Batch | None:
    """A frame of nothing but sparse columns of numbers whose gaps are zeros; None for any other."""
    dtypes = frame.dtypes
    if not _is_sparse(dtypes.iloc[0]):
        return None
    if not all(_is_sparse(dtype) and dtype.kind in "fiub" and dtype.fill_value == 0 for dtype in set(dtypes)):
        return None
    names = naming.labels(frame.columns.tolist())
    return read_sparse(frame.sparse.to_coo(), lambda _: names)

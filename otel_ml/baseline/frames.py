"""Training data that is in memory, of whichever library; none of them is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from otel_ml.baseline.columns import ArrayColumn, Column, NumberColumn, ObjectColumn, UnreadColumn
from otel_ml.baseline.suggestion import unknown
from otel_ml.baseline.values import MIN_DIMENSIONS
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureKind


@dataclass(frozen=True, slots=True)
class Table:
    """Columns of one length.

    Attributes:
        source: What to call it in messages.
    """

    source: str
    rows: int
    columns: Mapping[str, Column]

    @classmethod
    def of(cls, source: str, rows: int, columns: Iterable[tuple[str, Column]]) -> Table:
        """A table of named columns.

        Raises:
            BaselineError: Two have the same name.
        """
        named: dict[str, Column] = {}
        for name, column in columns:
            if name in named:
                raise BaselineError(f"{source}: two columns are called {name!r}")
            named[name] = column
        return cls(source, rows, named)

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises:
            BaselineError: There is none; says which one may have been meant.
        """
        if name not in self.columns:
            raise BaselineError(f"{self.source}: {unknown('column', name, list(self.columns))}")
        return self.columns[name]


def frame_table(data: Any, names: Sequence[str] | None = None) -> Table:
    """Data in memory as a table.

    Args:
        data: A pandas or polars frame, an Arrow table or record batch, a structured or two-dimensional array, or a
            mapping from column name to values.
        names: Columns of a two-dimensional array.

    Raises:
        BaselineError: It is none of these, or its columns are not of one length or not of different names.
    """
    source = type(data).__name__
    library = type(data).__module__.partition(".")[0]
    if isinstance(data, Mapping):
        return _mapping_table(source, data)
    if isinstance(data, np.ndarray):
        return _array_table(data, names)
    if library == "pyarrow" and hasattr(data, "schema") and hasattr(data, "columns"):
        arrays = zip(data.schema.names, data.columns, strict=True)
        return Table.of(source, data.num_rows, [(name, values_column(values, source)) for name, values in arrays])
    if library == "polars" and hasattr(data, "get_columns"):
        return Table.of(source, data.height, [(series.name, _polars_column(series)) for series in data.get_columns()])
    if library == "pandas" and hasattr(data, "columns"):
        return Table.of(source, len(data), [(str(name), _pandas_column(series)) for name, series in data.items()])
    if library == "polars" and hasattr(data, "collect"):
        return frame_table(data.collect(), names)
    raise BaselineError(
        f"{type(data).__module__}.{source}: cannot be read as a table (expected a pandas or polars frame, an Arrow"
        " table, a two-dimensional or structured array, a dict of columns, or the path of a Parquet or CSV file)"
    )


def _mapping_table(source: str, data: Mapping[Any, Any]) -> Table:
    columns = [(str(name), values_column(values, f"{source}: column {name!r}")) for name, values in data.items()]
    lengths = [len(values) for values in data.values()]
    for (name, _), rows in zip(columns, lengths, strict=True):
        if rows != lengths[0]:
            raise BaselineError(
                f"{source}: column {name!r} has {rows} rows (column {columns[0][0]!r} has {lengths[0]})"
            )
    return Table.of(source, lengths[0] if lengths else 0, columns)


def values_column(values: Any, source: str) -> Column:
    """Values of any library as a column: one-dimensional, or a matrix that has a vector in each row."""
    library = type(values).__module__.partition(".")[0]
    if library == "pandas" and hasattr(values, "iloc"):
        return _pandas_column(values)
    if library == "polars" and hasattr(values, "to_numpy"):
        return _polars_column(values)
    if library == "pyarrow" and hasattr(values, "type") and hasattr(values, "to_pylist"):
        return _arrow_column(values)
    if isinstance(values, (list, tuple)):
        return ObjectColumn(len(values), lambda start, stop: values[start:stop])
    if hasattr(values, "__array__"):
        array = np.asarray(values)
        if array.ndim == 1:
            return _array_column(array)
        if array.ndim == 2 and array.dtype.kind in "fiu" and array.shape[1] >= MIN_DIMENSIONS:
            return ArrayColumn(FeatureKind.EMBEDDING, lambda: array)
    raise BaselineError(
        f"{source}: {type(values).__name__} is no column (expected a list, a one-dimensional array, or a matrix with a"
        " vector in each row)"
    )


def _array_table(array: npt.NDArray[Any], names: Sequence[str] | None) -> Table:
    if array.dtype.names is not None:
        flat = array.reshape(-1)
        return Table.of("array", len(flat), [(name, _array_column(flat[name])) for name in array.dtype.names])
    if array.ndim != 2:
        raise BaselineError(f"array of shape {array.shape}: expected (rows, columns)")
    if names is not None and len(names) != array.shape[1]:
        raise BaselineError(
            f"array of shape {array.shape}: has {array.shape[1]} columns, not {len(names)} as in features="
        )
    # Recording gives the columns of a nameless matrix the same names.
    labels = [f"f{index}" for index in range(array.shape[1])] if names is None else list(map(str, names))
    return Table.of(
        "array", len(array), [(label, _array_column(array[:, index])) for index, label in enumerate(labels)]
    )


def _array_column(array: npt.NDArray[Any]) -> Column:
    if array.dtype.kind in "fiub":
        return NumberColumn.of(array)
    if array.dtype.kind == "M":
        return ArrayColumn(FeatureKind.DATETIME, lambda: array)
    if array.dtype.kind == "m":
        return UnreadColumn(lambda: int(np.isnat(array).sum()))
    return ObjectColumn(len(array), lambda start, stop: array[start:stop].tolist())


def _pandas_column(series: Any) -> Column:
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _array_column(series.to_numpy())
    if hasattr(dtype, "pyarrow_dtype"):
        return _arrow_column(series.array.__arrow_array__())
    kind = getattr(dtype, "kind", "O")
    if kind in "fiu" and not hasattr(dtype, "categories"):
        return NumberColumn(FeatureKind.NUMERIC, lambda: series.to_numpy(dtype=np.float64, na_value=np.nan))
    if kind == "M":
        return ArrayColumn(FeatureKind.DATETIME, lambda: series.to_numpy(dtype="M8[ns]"))
    if kind == "m":
        return UnreadColumn(lambda: int(series.isna().sum()))

    def read(start: int, stop: int) -> Sequence[Any]:
        values: list[Any] = series.iloc[start:stop].tolist()
        return values

    def count() -> Mapping[Any, int]:
        counts: dict[Any, int] = series.value_counts(sort=False, dropna=False).to_dict()
        # Declared categories that nobody has are counted too.
        return {value: count for value, count in counts.items() if count}

    # Of the types left only these two promise text, or codes for it.
    if hasattr(dtype, "categories") or hasattr(dtype, "storage"):
        return ObjectColumn(len(series), read, FeatureKind.CATEGORICAL, count)
    return ObjectColumn(len(series), read)


def _arrow_column(values: Any) -> Column:
    from otel_ml.baseline.arrow import array_column  # noqa: PLC0415 - pyarrow is here if its arrays are

    return array_column(values)


def _polars_column(series: Any) -> Column:
    dtype = series.dtype
    if dtype.is_numeric() and not dtype.is_decimal():
        return NumberColumn(FeatureKind.NUMERIC, series.to_numpy)
    if str(dtype).partition("(")[0] in {"Date", "Datetime"}:
        return ArrayColumn(FeatureKind.DATETIME, series.to_numpy)
    holds_vectors = dtype.is_nested() and hasattr(dtype, "inner") and dtype.inner.is_numeric()
    if dtype.is_temporal() or (dtype.is_nested() and not holds_vectors):
        return UnreadColumn(series.null_count)

    def read(start: int, stop: int) -> Sequence[Any]:
        values: list[Any] = series.slice(start, stop - start).to_list()
        return values

    if holds_vectors:
        return ObjectColumn(len(series), read, FeatureKind.EMBEDDING)

    def count() -> Mapping[Any, int]:
        return dict(series.value_counts().iter_rows())

    if hasattr(dtype, "categories") or str(dtype) in {"String", "Categorical", "Enum"}:
        return ObjectColumn(len(series), read, FeatureKind.CATEGORICAL, count)
    return ObjectColumn(len(series), read, None if str(dtype) != "Boolean" else FeatureKind.BOOLEAN, count)

"""polars frames and series; a lazy frame stays what it is, for reading it would run the query again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from otel_ml.recording.inputs.arrays import plain
from otel_ml.recording.inputs.batches import ColumnBatch
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from otel_ml.recording.inputs.batches import Batch, Naming


def read_polars(frame: Any, naming: Naming) -> Batch:
    """A frame; columns of structs become one column per field, one level deep."""
    series = [part for column in frame.get_columns() for part in _parts(column)]
    names = naming.labels([part.name for part in series])
    read = [polars_column(part) for part in series]
    return ColumnBatch(
        {name: column for name, (column, _) in zip(names, read, strict=True)},
        frame.height,
        {name: kind for name, (_, kind) in zip(names, read, strict=True) if kind is not None},
    )


def read_polars_series(series: Any, naming: Naming) -> Batch:
    """A series is one column."""
    column, kind = polars_column(series)
    name = series.name or (naming.positional(1) or ("f0",))[0]
    return ColumnBatch({name: column}, len(series), {} if kind is None else {name: kind})


def polars_column(series: Any) -> tuple[Any, FeatureKind | None]:
    """A series as a column, and its kind where the dtype declares it."""
    dtype = series.dtype
    if dtype.is_numeric():
        if dtype.is_decimal() or "128" in str(dtype):
            return np.array([np.nan if value is None else float(value) for value in series.to_list()]), None
        return series.to_numpy(), None
    if hasattr(dtype, "time_zone") or str(dtype) == "Date":
        return series.to_numpy().astype("datetime64[us]"), None
    if str(dtype).startswith("Array") and not series.has_nulls():
        return plain(series.to_numpy()), None
    if str(dtype) in {"Enum", "Categorical"} or hasattr(dtype, "categories"):
        return series.to_list(), FeatureKind.CATEGORICAL
    return series.to_list(), FeatureKind.BOOLEAN if str(dtype) == "Boolean" else None


def _parts(series: Any) -> list[Any]:
    if not str(series.dtype).startswith("Struct"):
        return [series]
    return [field.alias(f"{series.name}.{field.name}") for field in series.struct.unnest().get_columns()]

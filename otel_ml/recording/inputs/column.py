"""One column of a dict of columns, of whichever library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml.recording.inputs.arrays import plain
from otel_ml.recording.inputs.arrow_tables import arrow_column
from otel_ml.recording.inputs.batches import Unread
from otel_ml.recording.inputs.pandas_frames import pandas_column
from otel_ml.recording.inputs.polars_frames import polars_column
from otel_ml.recording.inputs.tensors import array_of, is_tensor

if TYPE_CHECKING:
    from otel_ml.sketch.feature import FeatureKind


def read_column(values: Any) -> tuple[Any, FeatureKind | None]:
    """Values as a column of a `ColumnBatch`, and their kind where their type declares it."""
    library = type(values).__module__.partition(".")[0]
    if library == "pandas" and hasattr(values, "dtype"):
        return pandas_column(values)
    if library == "polars" and hasattr(values, "to_list"):
        return polars_column(values)
    if library == "pyarrow" and hasattr(values, "to_pylist"):
        return arrow_column(values)
    if is_tensor(values):
        array = array_of(values)
        return (Unread(len(values)) if array is None else plain(array)), None
    return plain(values), None

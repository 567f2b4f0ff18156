"""Containers that boosting libraries make of an input: XGBoost's DMatrix, CatBoost's Pool, LightGBM's Dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.arrays import read_array
from otel_ml.recording.inputs.batches import MatrixBatch, RowsOnly

if TYPE_CHECKING:
    from otel_ml.recording.inputs.batches import Batch, Naming

_LARGEST: Final = 4 * 1024 * 1024
"""Values of a pool that are copied out of it, which is the only way to see them."""


def read_model_container(container: Any, naming: Naming) -> Batch | None:
    """Such a container as a batch, or None if this is none.

    A DMatrix is counted only: what it holds may be quantised by now, and copying it out is meant for tests.
    """
    # Asked of the class: an instance may answer to any name, or fail.
    kind = type(container)
    if hasattr(kind, "get_features") and hasattr(kind, "num_row"):
        return _read_pool(container, naming)
    for count in ("num_row", "num_data"):
        if hasattr(kind, count):
            return RowsOnly(int(getattr(container, count)()))
    return None


def source_of(container: Any) -> Any:
    """What a LightGBM Dataset was made of, if it kept it; else None."""
    kind = type(container)
    if not (hasattr(kind, "num_data") and hasattr(kind, "get_feature_name")):
        return None
    source = getattr(container, "data", None)
    return None if isinstance(source, (str, bytes)) or hasattr(type(source), "__fspath__") else source


def _read_pool(pool: Any, naming: Naming) -> Batch:
    rows = int(pool.num_row())
    if rows * int(pool.num_col()) > _LARGEST:
        return RowsOnly(rows)
    try:
        values = np.asarray(pool.get_features(), dtype=np.float64)
    except Exception:  # it has categories or texts, or is quantised
        return RowsOnly(rows)
    if values.ndim != 2:
        return RowsOnly(rows)
    own = pool.get_feature_names()
    # A pool calls columns without names by their positions.
    if own and list(own) != [str(index) for index in range(len(own))]:
        return MatrixBatch(naming.labels(list(own)), values)
    return read_array(values, naming)

"""scipy's sparse matrices and arrays, which are never made dense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml.recording.inputs.batches import SparseBatch, UnreadableInputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_ml.recording.inputs.batches import Batch, Names


def is_sparse(container: Any) -> bool:
    """Whether this is a sparse matrix or array of any format."""
    return is_sparse_type(type(container))


def is_sparse_type(kind: type) -> bool:
    """The same of its class, which is asked because an instance may answer to any name, or fail."""
    return hasattr(kind, "tocsr") and hasattr(kind, "nnz")


def read_sparse(matrix: Any, names: Callable[[int], Names]) -> Batch:
    """A sparse matrix by rows; a sparse array of one dimension is a row."""
    if len(matrix.shape) == 1:
        matrix = matrix.reshape(1, -1)
    if len(matrix.shape) != 2:
        raise UnreadableInputError(f"sparse array of {len(matrix.shape)} dimensions")
    rows = matrix.tocsr()
    if not rows.has_canonical_format:
        if rows is matrix:
            rows = rows.copy()  # what belongs to the caller stays as it is
        rows.sum_duplicates()
    if rows.dtype.kind not in "fiub":
        raise UnreadableInputError(f"sparse matrix of {rows.dtype}")
    return SparseBatch(names(rows.shape[1]), rows.indptr, rows.indices, rows.data)

"""Rows as Python objects: dicts, dataclasses, pydantic and attrs models, named tuples, and lists of any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.inputs.arrays import is_column, plain, read_array, text
from otel_ml.recording.inputs.batches import ColumnBatch, RowBatch, RowsOnly, UnreadableInputError
from otel_ml.recording.inputs.column import read_column
from otel_ml.recording.inputs.tensors import array_of, is_tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_ml.recording.inputs.batches import Batch, Naming

SCALARS: Final = (str, bytes, int, float, bool, type(None))


def looks_like_column(value: Any) -> bool:
    """Whether a dict that holds this may be a dict of columns, rather than a row."""
    # Asked of the class: an instance may answer to any name, or fail.
    return isinstance(value, (list, tuple, np.ndarray)) or hasattr(type(value), "to_numpy")


def read_mapping(mapping: Mapping[Any, Any]) -> Batch:
    """One row; or columns, when every value is a list or array and all are of one length.

    So a row of nothing but vectors of one length is taken for columns: give it as a list of one row.
    """
    length = _common_length(mapping)
    if not length:
        return RowBatch([mapping])
    columns: dict[str, Any] = {}
    declared = {}
    for name, values in mapping.items():
        column, kind = read_column(values)
        columns[str(name)] = column
        if kind is not None:
            declared[str(name)] = kind
    return ColumnBatch(columns, length, declared)


def read_sequence(sequence: Sequence[Any], naming: Naming) -> Batch:
    """A list or tuple of rows of any kind; of bare values, one row of them."""
    if not len(sequence):
        return RowBatch([])
    first = sequence[0]
    if isinstance(first, dict):
        return RowBatch([row if isinstance(row, dict) else {} for row in sequence])
    if isinstance(first, (*SCALARS, np.generic)):
        if is_column(sequence, naming):
            (name,) = naming.positional(1)[:1] or ("f0",)
            return ColumnBatch({name: list(map(text, sequence))}, len(sequence))
        return RowBatch([dict(zip(naming.positional(len(sequence)), map(text, sequence), strict=False))])
    if is_tensor(first) or isinstance(first, np.ndarray):
        return _read_arrays(sequence, naming)
    if isinstance(first, (list, tuple)) and not hasattr(first, "_fields"):
        labels = naming.positional(len(first))
        return RowBatch([dict(zip(labels, row, strict=False)) if _is_listing(row) else {} for row in sequence])
    fields = _fields_of(type(first))
    if fields is None:
        return RowBatch([dict(zip(naming.positional(len(sequence)), sequence, strict=False))])
    return RowBatch([as_row(row) or {} for row in sequence])


def as_row(item: Any) -> Mapping[Any, Any] | None:
    """A mapping, dataclass, named tuple, or model of pydantic, attrs or msgspec as a dict, one level deep."""
    if isinstance(item, dict):
        return item
    fields = _fields_of(type(item))
    return None if fields is None else fields(item)


def nested_row(value: Any) -> Mapping[Any, Any] | None:
    """What is inside a column that holds rows of its own, None where it holds anything else."""
    if type(value) in SCALARS or isinstance(value, (np.generic, np.ndarray)):
        return None
    try:
        return as_row(value)
    except Exception:  # of the user's own class
        return None


def flattened(rows: Sequence[Mapping[Any, Any]], nested: set[Any]) -> list[dict[Any, Any]]:
    """Rows in which the columns `nested` are replaced by what they hold, as "outer.inner"."""
    flat = []
    for row in rows:
        whole = {name: value for name, value in row.items() if name not in nested}
        for outer in nested:
            if (inner := nested_row(row.get(outer))) is not None:
                whole.update({f"{outer}.{name}": value for name, value in inner.items()})
        flat.append(whole)
    return flat


def _common_length(mapping: Mapping[Any, Any]) -> int:
    """The length that all values have; 0 when they have none, or several."""
    common = 0
    for value in mapping.values():
        if not looks_like_column(value):
            return 0
        try:
            length = len(value)
        except Exception:
            return 0
        if not length or (common and length != common):
            return 0
        common = length
    return common


def _is_listing(row: Any) -> bool:
    return isinstance(row, (list, tuple, np.ndarray))


def _read_arrays(sequence: Sequence[Any], naming: Naming) -> Batch:
    """Arrays or tensors, one a row."""
    arrays = [item if isinstance(item, np.ndarray) else array_of(item) for item in sequence]
    if any(array is None for array in arrays):
        return RowsOnly(len(sequence))
    rows = [array for array in arrays if array is not None]
    if len({array.shape for array in rows}) == 1:
        stacked = np.stack(rows)
        # One row each, or a single column of values without dimensions.
        return read_array(stacked if stacked.ndim > 1 else stacked.reshape(-1, 1), naming)
    if any(array.ndim > 1 for array in rows):
        raise UnreadableInputError(f"{len(rows)} arrays of several shapes")
    labels = naming.positional(max(array.size for array in rows))
    return RowBatch([dict(zip(labels, plain(array.reshape(-1)), strict=False)) for array in rows])


def _fields_of(kind: type) -> Callable[[Any], Mapping[Any, Any]] | None:
    """What makes a dict of an instance of a class; asked of the class, for an instance may answer to any name."""
    if issubclass(kind, dict):
        return dict
    if hasattr(kind, "model_fields"):  # pydantic 2
        return _of_pydantic
    if hasattr(kind, "__fields__") and hasattr(kind, "__validators__"):  # pydantic 1
        return lambda item: dict(item.__dict__)
    if hasattr(kind, "__dataclass_fields__"):
        return lambda item: {name: getattr(item, name, None) for name in kind.__dataclass_fields__}
    if hasattr(kind, "__attrs_attrs__"):
        return lambda item: {field.name: getattr(item, field.name, None) for field in kind.__attrs_attrs__}
    if hasattr(kind, "__struct_fields__"):  # msgspec
        return lambda item: {name: getattr(item, name, None) for name in kind.__struct_fields__}
    if hasattr(kind, "_fields") and hasattr(kind, "_asdict"):
        return lambda item: item._asdict()
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):
        return lambda item: {key: item[key] for key in item.keys()}  # noqa: SIM118 - not every mapping iterates keys
    return None


def _of_pydantic(item: Any) -> Mapping[Any, Any]:
    extra = getattr(item, "__pydantic_extra__", None)
    return {**item.__dict__, **extra} if extra else dict(item.__dict__)

"""Finding a model's predictions and scores, as columns of the training data or beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from otel_ml.baseline.frames import Table, frame_table, values_column
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureKey, FeatureRole

if TYPE_CHECKING:
    import numpy.typing as npt

    from otel_ml.baseline.columns import Column


@dataclass(frozen=True, slots=True, eq=False)
class Selected:
    """One column to summarise.

    Attributes:
        known_as: The column's name in the training data; None when it came beside them.
    """

    key: FeatureKey
    column: Column
    known_as: str | None = None


def output_columns(role: FeatureRole, given: Any, table: Table) -> list[Selected]:
    """All columns of one role, called as recording calls them: the only one after its role, several by their names.

    Args:
        role: Predictions or scores.
        given: Name or names of columns of `table`, values, or a mapping from output name to either.
        table: The training data.

    Raises:
        BaselineError: There is no such column, or the values are not one per row.
    """
    if given is None:
        return []
    if isinstance(given, Mapping):
        return [_named(role, str(name), value, table) for name, value in given.items()]
    if isinstance(given, str):
        return [_named(role, role.value, given, table)]
    if _are_names(given, table):
        return [_named(role, role.value if len(given) == 1 else name, name, table) for name in given]
    shape = getattr(given, "shape", ())
    if len(shape) != 2 and not (isinstance(given, (list, tuple)) and given and isinstance(given[0], (list, tuple))):
        return [_named(role, role.value, given, table)]
    if not hasattr(given, "shape"):
        given = np.asarray(given)
    names: tuple[str, ...] | None = None
    if isinstance(given, np.ndarray):
        if role is FeatureRole.SCORE and _are_two_probabilities(given):
            # Of two classes recording keeps the second: the other one is one minus this.
            return [_named(role, role.value, given[:, 1], table)]
        names = tuple(map(str, range(given.shape[1])))
    outputs = frame_table(given, names)
    _check_rows(role, outputs.rows, table)
    columns = outputs.columns
    return [
        Selected(FeatureKey(role, role.value if len(columns) == 1 else name), column)
        for name, column in columns.items()
    ]


def _are_names(given: Any, table: Table) -> bool:
    """Whether a list of strings names columns, rather than being the predictions themselves."""
    if not isinstance(given, (list, tuple)) or not all(isinstance(name, str) for name in given):
        return False
    return len(given) != table.rows or all(name in table.columns for name in given)


def _are_two_probabilities(matrix: npt.NDArray[Any]) -> bool:
    return (
        matrix.shape[1] == 2
        and matrix.dtype.kind == "f"
        and bool((matrix >= 0.0).all())
        and np.allclose(matrix.sum(axis=1), 1.0, atol=1e-4)
    )


def _named(role: FeatureRole, name: str, value: Any, table: Table) -> Selected:
    if isinstance(value, str):
        return Selected(FeatureKey(role, name), table.column(value), value)
    column = values_column(value, f"{role.value}s")
    _check_rows(role, len(value), table)
    return Selected(FeatureKey(role, name), column)


def _check_rows(role: FeatureRole, rows: int, table: Table) -> None:
    if rows != table.rows:
        raise BaselineError(f"{role.value}s: {rows} rows ({table.source} has {table.rows})")

"""The few shapes every input is brought into before it is summarised, and what its columns are called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from otel_ml.sketch.feature import FeatureKind

Names: TypeAlias = "tuple[str, ...]"
Kinds: TypeAlias = "Mapping[str, FeatureKind]"

_VALUES_A_STEP: Final = 16_384
"""Values of a matrix that are summarised in one go: 0.25 ms at 15 ns a value."""
_OBJECTS_A_STEP: Final = 4_096


class UnreadableInputError(Exception):
    """A container that none of the readers knows."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows as mappings from column to value.

    Attributes:
        declared: Gives the kinds that the types of the columns declare; asked only when there are new columns.
    """

    rows: Sequence[Mapping[Any, Any]]
    declared: Callable[[], Kinds] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def pieces(self) -> Iterator[RowBatch]:
        """The same in pieces that are quickly summarised."""
        width = max(1, len(self.rows[0])) if self.rows else 1
        step = max(1, _OBJECTS_A_STEP // width)
        for start in range(0, len(self.rows), step):
            yield RowBatch(self.rows[start : start + step], self.declared)


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
    """Columns of one length: each a list, an array of numbers or points in time, a matrix of vectors, or `Unread`.

    Attributes:
        declared: Kinds that the types of columns declare, where values alone do not show them.
    """

    columns: Mapping[str, Any]
    length: int
    declared: Kinds = field(default_factory=dict)

    def __len__(self) -> int:
        return self.length

    def pieces(self) -> Iterator[ColumnBatch]:
        """The same in pieces that are quickly summarised."""
        step = max(1, _OBJECTS_A_STEP // max(1, len(self.columns)))
        for start in range(0, self.length, step):
            yield ColumnBatch(
                {name: column[start : start + step] for name, column in self.columns.items()},
                min(step, self.length - start),
                self.declared,
            )


@dataclass(frozen=True, slots=True, eq=False)
class SparseBatch:
    """Rows of numbers that are mostly zero, in compressed form: what is not stored is zero.

    Attributes:
        starts: (rows + 1,) where the entries of each row begin.
        columns: (entries,) the column of each entry; no row has two of one column.
        values: (entries,) numbers or truth values.
    """

    names: Names
    starts: np.ndarray[Any, Any]
    columns: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def pieces(self) -> Iterator[SparseBatch]:
        """The same in pieces that are quickly summarised: as many whole rows as have not too many entries."""
        row = 0
        while row < len(self):
            first = int(self.starts[row])
            last = int(self.starts.searchsorted(first + _VALUES_A_STEP, side="right")) - 1
            # A row of more entries than that is a piece of its own.
            last = min(max(last, row + 1), len(self))
            stop = int(self.starts[last])
            yield SparseBatch(
                self.names, self.starts[row : last + 1] - first, self.columns[first:stop], self.values[first:stop]
            )
            row = last


@dataclass(frozen=True, slots=True)
class RowsOnly:
    """So many rows of something that is not looked into, such as a tensor on an accelerator."""

    length: int

    def __len__(self) -> int:
        return self.length

    def pieces(self) -> Iterator[RowsOnly]:
        """None, for there is nothing to summarise."""
        return iter(())


Batch: TypeAlias = "RowBatch | MatrixBatch | ColumnBatch | SparseBatch | RowsOnly"


@dataclass(frozen=True, slots=True)
class Unread:
    """A column that is there but not looked into, such as images: it is opaque, with nothing missing."""

    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, rows: slice) -> Unread:
        return Unread(len(range(*rows.indices(self.length))))

    def __iter__(self) -> Iterator[Any]:
        """One value a row that is of no kind."""
        return iter([self] * self.length)


Values: TypeAlias = "Sequence[Any] | np.ndarray[Any, Any] | Unread"
"""A column: Python objects, an array of one dimension, a matrix of vectors, or something that is not looked into."""


@dataclass(frozen=True, slots=True)
class Naming:
    """What columns are called.

    Attributes:
        positional: Names for a number of columns that have none: the model's own, else f0, f1, …
        explicit: Names the user gave with the input; they win over those of the input.
    """

    positional: Callable[[int], Names]
    explicit: Names | None = None

    def labels(self, own: Sequence[Any]) -> Names:
        """The names of columns that the input calls `own`, each a different one."""
        explicit = self.explicit
        # The same names in another order are no other names: the input knows best which column is which.
        if explicit is not None and len(explicit) == len(own) and set(explicit) != set(own):
            return distinct(explicit)
        if len(own) and isinstance(own[0], int) and list(own) == list(range(len(own))):
            return self.positional(len(own))
        if set(map(type, own)) != {str}:
            own = [column_name(label) for label in own]
        return distinct(tuple(own))


def column_name(label: Any) -> str:
    """A column's label as a name; the levels of a hierarchical one are joined by dots."""
    return ".".join(map(str, label)) if isinstance(label, tuple) else str(label)


def distinct(names: Names) -> Names:
    """The same names, the second of two equal ones with ".1" behind it, and so on."""
    if len(set(names)) == len(names):
        return names
    taken = set(names)
    seen: dict[str, int] = {}
    result = []
    for name in names:
        number = seen.get(name)
        if number is None:
            seen[name] = 1
            result.append(name)
            continue
        while f"{name}.{number}" in taken:
            number += 1
        seen[name] = number + 1
        taken.add(f"{name}.{number}")
        result.append(f"{name}.{number}")
    return tuple(result)

"""A uniform sample of rows that adds up: merged from a thousand parts, it is what one process would have drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.sketch import FloatArray

MAX_ROWS: Final = 2_000
MAX_COLUMNS: Final = 100
EVERY_ROW: Final = (1 << 64) - 1
"""Threshold of a sample that no row was left out of; priorities are below."""

_TEXT_BYTES: Final = 3
"""Around each string on the wire."""

PriorityArray: TypeAlias = npt.NDArray[np.uint64]
ObjectArray: TypeAlias = npt.NDArray[np.object_]


class SampledColumn(NamedTuple):
    """Which column of the rows, and how its values were read: replicas may read one differently."""

    name: str
    is_numeric: bool


@dataclass(frozen=True, slots=True, eq=False)
class RowSample:
    """The rows with the smallest of all random priorities, each 64 bits, drawn once for each row wherever it was seen.

    The sample holds every row with a priority below `threshold` and no other, so that each row is in it with the same
    probability. Merging keeps the rows below the smaller of the two thresholds: a replica that could keep few of many
    rows lowers the share of all others' rows to its own, where keeping everything would count it too little. The order
    and the grouping of merges make no difference.

    Source: bottom-k samples, Cohen & Kaplan, "Summarizing data using bottom-k sketches" (PODC 2007); sampling by random
    priorities as in Duffield, Lund & Thorup, "Priority sampling for estimation of arbitrary subset sums" (JACM 2007),
    here with equal weights.

    Attributes:
        priorities: (rows,) increasing, each below the threshold.
        threshold: At most `EVERY_ROW`, which says that no row was left out.
        columns: At most `MAX_COLUMNS`, those whose names come first, in that order. Numbers are (rows,) doubles, finite
            or NaN where missing; truth values and categories are (rows,) strings, None where missing.
    """

    priorities: PriorityArray
    threshold: int
    columns: Mapping[SampledColumn, FloatArray | ObjectArray]

    @classmethod
    def of(
        cls,
        priorities: npt.ArrayLike,
        columns: Mapping[SampledColumn, Any],
        *,
        threshold: int = EVERY_ROW,
        max_rows: int = MAX_ROWS,
    ) -> RowSample:
        """The sample that rows in any order are, as far as it has room for them.

        Args:
            priorities: One a row, below `EVERY_ROW`.
            columns: One value a row in each; infinite numbers count as missing.
            threshold: Rows of this priority and above were left out already.
            max_rows: Beyond, those with the largest priorities are left out.
        """
        order = np.asarray(priorities, np.uint64)
        arrays = {column: _array(column, values, len(order)) for column, values in columns.items()}
        return _kept(order, min(threshold, EVERY_ROW), arrays, max_rows)

    def __len__(self) -> int:
        return len(self.priorities)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RowSample)
            and self.threshold == other.threshold
            and np.array_equal(self.priorities, other.priorities)
            and list(self.columns) == list(other.columns)
            and all(
                np.array_equal(values, other.columns[column], equal_nan=column.is_numeric)
                for column, values in self.columns.items()
            )
        )

    __hash__ = None  # type: ignore[assignment]  # holds arrays

    def merged(self, other: RowSample, *, max_rows: int = MAX_ROWS) -> RowSample:
        """The sample of all rows that either was drawn from; a column that one of them lacks is missing from its rows.

        Args:
            max_rows: As many are kept at most; the same in all merges, or their order makes a difference.
        """
        mine, its = len(self), len(other)
        columns: dict[SampledColumn, Any] = {}
        for column in self.columns.keys() | other.columns.keys():
            parts = [
                sample.columns[column] if column in sample.columns else _absent(column, rows)
                for sample, rows in ((self, mine), (other, its))
            ]
            columns[column] = np.concatenate(parts)
        priorities = np.concatenate([self.priorities, other.priorities])
        return _kept(priorities, min(self.threshold, other.threshold), columns, max_rows)

    def within(self, size: int) -> RowSample:
        """The same with as many rows left out as it takes to be no larger than `size` bytes on the wire."""
        rows = len(self)
        while rows and (needed := self._size(rows)) > size:
            rows = min(rows - 1, int(rows * size / needed))
        return self if rows == len(self) else _first(self, rows)

    def _size(self, rows: int) -> int:
        """Bytes that the first `rows` rows take on the wire, or a few more."""
        size = sum(len(column.name.encode()) + _TEXT_BYTES for column in self.columns)
        texts: set[str] = set()
        for column, values in self.columns.items():
            # A place among at most 200,000 texts takes three bytes.
            size += rows * (8 if column.is_numeric else 3)
            if not column.is_numeric:
                texts.update(value for value in values[:rows].tolist() if value is not None)
        return size + 8 * rows + sum(len(text.encode()) + _TEXT_BYTES for text in texts)


def merge_all(samples: Iterable[RowSample], *, max_rows: int = MAX_ROWS) -> RowSample | None:
    """All samples as one; None of none."""
    merged: RowSample | None = None
    for sample in samples:
        merged = sample if merged is None else merged.merged(sample, max_rows=max_rows)
    return merged


def _kept(
    priorities: PriorityArray, threshold: int, columns: Mapping[SampledColumn, FloatArray | ObjectArray], max_rows: int
) -> RowSample:
    """Rows below the threshold, at most so many, in order; columns whose names come first."""
    columns = {column: columns[column] for column in sorted(columns)[:MAX_COLUMNS]}
    places = np.flatnonzero(priorities < np.uint64(threshold))
    places = places[np.argsort(priorities[places], kind="stable")]
    ordered = priorities[places]
    if len(ordered) > 1 and (ordered[1:] == ordered[:-1]).any():
        # Once in 10^13 samples of 2,000 rows. What they hold decides then, for nothing else is there in any order.
        rows = {place: _row(columns, place) for place in places.tolist()}
        places = np.array(sorted(rows, key=lambda place: (int(priorities[place]), rows[place])), np.intp)
        ordered = priorities[places]
    if len(ordered) > max_rows:
        threshold = int(ordered[max_rows])
        # Of rows with one priority, all or none are below the threshold.
        places = places[: int(np.searchsorted(ordered, np.uint64(threshold)))]
    return RowSample(priorities[places], threshold, {column: values[places] for column, values in columns.items()})


def _first(sample: RowSample, rows: int) -> RowSample:
    threshold = int(sample.priorities[rows])
    rows = int(np.searchsorted(sample.priorities, np.uint64(threshold)))
    columns = {column: values[:rows] for column, values in sample.columns.items()}
    return RowSample(sample.priorities[:rows], threshold, columns)


def _row(columns: Mapping[SampledColumn, FloatArray | ObjectArray], place: int) -> tuple[str, ...]:
    return tuple(repr(values[place]) for values in columns.values())


def _array(column: SampledColumn, values: Sequence[Any], rows: int) -> FloatArray | ObjectArray:
    if column.is_numeric:
        numbers: FloatArray = np.array(values, np.float64).reshape(rows)
        numbers[np.isinf(numbers)] = np.nan
        return numbers
    texts: ObjectArray = np.empty(rows, object)
    texts[:] = values
    return texts


def _absent(column: SampledColumn, rows: int) -> FloatArray | ObjectArray:
    return np.full(rows, np.nan) if column.is_numeric else np.full(rows, None, object)

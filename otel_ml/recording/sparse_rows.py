"""Sparse rows on their way into columns: what is stored is handed over in bulk, what is not is counted.

A row of a hundred thousand columns with fifty entries costs as much as fifty values. Entries are collected, and sorted
by column once there are many, for then a column is visited once for all of its values; zeros are added by their number.
"""

from __future__ import annotations

import math
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.numeric import positions
from otel_ml.sketch.exact import distinct_counts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_ml.recording.inputs.batches import Names, SparseBatch
    from otel_ml.recording.numeric import IndexArray, NumericGroup
    from otel_ml.recording.object_column import ObjectColumn
    from otel_ml.sketch.sketch import CountArray, FloatArray

_HELD: Final = 256 * 1024
"""Entries that wait: 2.5 MB. Visiting a column costs 20 µs, however few of its values there are."""
_STEP_S: Final = 0.15e-3


class SparseRows:
    """Collects entries of rows with the same columns.

    Args:
        names: Of the rows' columns.
        groups: Numeric columns; those that the rows lack are missing in them.
        others: Columns of other kinds, likewise.
    """

    def __init__(self, names: Names, groups: Sequence[NumericGroup], others: Sequence[ObjectColumn]) -> None:
        self.names = names
        self._groups = tuple(groups)
        self._others = tuple(others)
        # Columns are numbered as they stand in the groups, one group after the other, and then in the others.
        self._numeric = [(group, index) for group in groups for index in range(len(group.keys))]
        mine = [label for group in groups for label in group.labels] + [str(column.source) for column in others]
        self.columns = len(mine)
        """How many columns there are here; more by now, and these are outdated."""
        places = positions(mine, names)
        self._present = places >= 0
        self._number_of: IndexArray = np.full(len(names), -1, np.intp)
        self._number_of[places[self._present]] = np.flatnonzero(self._present)
        self._stored: CountArray = np.zeros(len(mine), np.int64)
        self._rows = 0
        self._is_boolean = False
        # A stable sort of 16 bits takes numpy two passes; of more, ten times as long.
        self._dtype: type[np.integer[Any]] = np.uint16 if len(mine) <= 1 << 16 else np.int64
        self._columns: list[np.ndarray[Any, Any]] = []
        self._values: list[FloatArray] = []
        self._held = 0

    def take(self, batch: SparseBatch) -> Iterator[None]:
        """Add rows, in steps."""
        numbers = self._number_of[batch.columns]
        is_ours = numbers >= 0
        self._rows += len(batch)
        self._is_boolean = batch.values.dtype.kind == "b"
        with np.errstate(over="ignore"):
            self._values.append(batch.values[is_ours].astype(np.float64))
        self._columns.append(numbers[is_ours].astype(self._dtype))
        self._held += len(self._columns[-1])
        if self._held >= _HELD:
            yield from self._settle()

    def finish(self) -> Iterator[None]:
        """Hand all of it over, zeros included, in steps: before a drain, and before rows with other columns."""
        if not self._rows:
            return
        yield from self._settle()
        rows, self._rows = self._rows, 0
        stored, self._stored = self._stored, np.zeros_like(self._stored)
        for group in self._groups:
            group.add_rows(rows)
        until = perf_counter() + _STEP_S
        for number, (present, count) in enumerate(zip(self._present.tolist(), stored.tolist(), strict=True)):
            self._repeat(number, 0.0 if present else math.nan, rows - count)
            if perf_counter() >= until:
                yield
                until = perf_counter() + _STEP_S

    def _settle(self) -> Iterator[None]:
        """Hand over what is stored."""
        if not self._held:
            return
        columns, values = np.concatenate(self._columns), np.concatenate(self._values)
        self._columns, self._values, self._held = [], [], 0
        yield
        order = columns.argsort(kind="stable")
        columns, values = columns[order], values[order]
        self._stored += np.bincount(columns, minlength=len(self._stored))
        ends = np.append(np.flatnonzero(columns[1:] != columns[:-1]) + 1, len(columns)).tolist()
        yield
        until = perf_counter() + _STEP_S
        start = 0
        for end in ends:
            self._add(int(columns[start]), values[start:end])
            start = end
            if perf_counter() >= until:
                yield
                until = perf_counter() + _STEP_S

    def _add(self, number: int, values: FloatArray) -> None:
        if number < len(self._numeric):
            group, index = self._numeric[number]
            group.take_sparse(index, values)
            return
        finite = np.isfinite(values)
        for value, count in zip(*(part.tolist() for part in distinct_counts(np.sort(values[finite]))), strict=True):
            self._repeat(number, value, count)
        for value in values[~finite].tolist():
            self._repeat(number, value, 1)

    def _repeat(self, number: int, value: float, count: int) -> None:
        if not count:
            return
        if number < len(self._numeric):
            group, index = self._numeric[number]
            group.repeat(index, value, count)
        elif math.isnan(value):
            self._others[number - len(self._numeric)].missing(count)
        else:
            self._others[number - len(self._numeric)].repeat(bool(value) if self._is_boolean else value, count)

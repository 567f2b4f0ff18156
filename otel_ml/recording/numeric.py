"""Numeric columns of rows, matrices and frames on their way into one `NumericBlock`."""

from __future__ import annotations

import math
import struct
from array import array
from itertools import starmap
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from otel_ml.recording.values import number_of
from otel_ml.sketch.block import NumericBlock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from otel_ml.recording.inputs.batches import MatrixBatch
    from otel_ml.sketch.bins import BinLayout
    from otel_ml.sketch.block import NumericColumn
    from otel_ml.sketch.feature import FeatureKey
    from otel_ml.sketch.sketch import CountArray, FloatArray


Observer: TypeAlias = "Callable[[tuple[FeatureKey, ...], np.ndarray[Any, Any], CountArray | None], None]"
IndexArray: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.intp]]"


class NumericGroup:
    """Numeric columns that came up together, and the quickest way from a row to their values.

    Args:
        keys: The columns.
        sources: Their keys in a row, in the same order.
        layouts: Bins cut from the baseline, where there is one.
    """

    __slots__ = (
        "_block",
        "_indexes",
        "_pack",
        "_places",
        "_read",
        "keys",
        "labels",
        "met_odd_rows",
        "observe",
        "sources",
        "together",
    )

    def __init__(self, keys: Sequence[FeatureKey], sources: Sequence[Any], layouts: Sequence[BinLayout | None]) -> None:
        self.keys = tuple(keys)
        self.sources = tuple(sources)
        self.labels = tuple(map(str, sources))
        """What the columns are called in matrices and frames: their names, but not cut short."""
        self.met_odd_rows = False
        """Whether the last rows had values that are no numbers, or lacked some."""
        self.observe: Observer | None = None
        """Is shown all rows that come, before they are taken."""
        self.together: Callable[[np.ndarray[Any, Any]], Iterator[None]] | None = None
        """Takes all rows as well, to look at several columns at once."""
        self._block = NumericBlock(self.keys, layouts)
        self._places = {source: index for index, source in enumerate(self.sources)}
        self._pack = struct.Struct(f"{len(self.keys)}d").pack
        if len(self.sources) == 1:
            only = itemgetter(self.sources[0])
            self._read: Any = lambda row: (only(row),)
        else:
            self._read = itemgetter(*self.sources)
        self._indexes: tuple[tuple[str, ...], IndexArray | None] | None = None

    def take_rows(self, rows: Sequence[Mapping[Any, Any]]) -> Iterator[None]:
        """Add rows: 190 ns each for 14 columns while every value is a number, by value for the rows where not."""
        pack, read = self._pack, self._read
        try:
            # struct takes floats, ints, bools, Decimals and numpy scalars, and refuses None, text and 10**400: it is
            # the type check as well as the conversion.
            packed = b"".join(starmap(pack, map(read, rows)))
        except Exception:
            self.met_odd_rows = True
            return self._take(*self._odd_rows(rows))
        self.met_odd_rows = False
        return self._take(np.frombuffer(packed).reshape(len(rows), len(self.keys)))

    def take_matrix(self, batch: MatrixBatch) -> Iterator[None]:
        """Add a matrix; columns of ours that it lacks are missing."""
        indexes = self._indexes_in(batch.names)
        if indexes is None:
            return self._take(batch.values)
        present = indexes >= 0
        if present.all():
            return self._take(batch.values.take(indexes, axis=1))
        matrix = np.full((len(batch.values), len(self.keys)), np.nan)
        with np.errstate(over="ignore"):
            matrix[:, present] = batch.values.take(indexes[present], axis=1)
        return self._take(matrix)

    def take_columns(self, columns: Mapping[str, Any], rows: int) -> Iterator[None]:
        """Add columns of `rows` values each; those of ours that are absent are missing."""
        matrix = np.full((rows, len(self.keys)), np.nan)
        mismatched = np.zeros(len(self.keys), np.int64)
        for index, label in enumerate(self.labels):
            column = columns.get(label)
            if column is not None:
                mismatched[index] = _fill(matrix[:, index], column)
        return self._take(matrix, mismatched)

    def take_sparse(self, column: int, values: FloatArray) -> None:
        """Add some values of one column; `repeat` gives the rest of the rows theirs, and `add_rows` counts them."""
        self._block.add_values(column, values)

    def repeat(self, column: int, value: float, count: int) -> None:
        """Add the same value many times to one column; NaN stands for missing."""
        self._block.add_repeated(column, value, count)

    def add_rows(self, count: int) -> None:
        """Count rows whose values came column by column."""
        self._block.add_rows(count)

    def settle(self) -> Iterator[None]:
        """Work off what the block has only buffered yet, as before a drain."""
        self._block.seal()
        while self._block.step():
            yield

    def drain(self) -> Iterator[NumericColumn]:
        """What was added since the last time, each column finished when it is asked for."""
        return self._block.drain_lazily()

    def _take(self, matrix: FloatArray, mismatched: CountArray | None = None) -> Iterator[None]:
        """Hand rows to the block; a step every 0.25 ms of its work, none while it only copies."""
        if self.observe is not None:
            self.observe(self.keys, matrix, mismatched)
        if self.together is not None:
            yield from self.together(matrix)
        taken = self._block.fill(matrix, mismatched)
        while True:
            while self._block.step():
                yield
            if taken >= len(matrix):
                return
            yield
            taken += self._block.fill(matrix[taken:])

    def _indexes_in(self, names: tuple[str, ...]) -> IndexArray | None:
        """Where our columns stand in a matrix of these columns, -1 where not at all; None when they are the same."""
        if self._indexes is None or self._indexes[0] is not names:
            self._indexes = (names, None if self.labels == names else positions(self.labels, names))
        return self._indexes[1]

    def _odd_rows(self, rows: Sequence[Mapping[Any, Any]]) -> tuple[FloatArray, CountArray]:
        matrix = np.empty((len(rows), len(self.keys)))
        mismatched: CountArray = np.zeros(len(self.keys), np.int64)
        pack, read = self._pack, self._read
        for target, row in zip(matrix, rows, strict=True):
            try:
                target[:] = np.frombuffer(pack(*read(row)))
            except Exception:
                self._read_odd_row(row, target, mismatched)
        return matrix, mismatched

    def _read_odd_row(self, row: Mapping[Any, Any], target: FloatArray, mismatched: CountArray) -> None:
        # Through the row and not through the columns: of a thousand columns a ragged row has perhaps one.
        target[:] = math.nan
        for source, value in row.items():
            index = self._places.get(source)
            if index is not None:
                number = number_of(value)
                if number is None:
                    mismatched[index] += 1
                else:
                    target[index] = number


def positions(mine: Sequence[str], names: Sequence[str]) -> IndexArray:
    """Where each of `mine` stands among `names`; -1 where not at all."""
    known = {name: index for index, name in enumerate(names)}
    return np.array([known.get(name, -1) for name in mine], np.intp)


def _fill(target: FloatArray, column: Any) -> int:
    """Write a column of numbers into `target`; returns how many values were of another kind."""
    if isinstance(column, np.ndarray) and column.ndim == 1 and column.dtype.kind in "fiub":
        target[:] = column
        return 0
    try:
        target[:] = np.frombuffer(array("d", column))
    except Exception:
        mismatched = 0
        for index, value in enumerate(column):
            number = number_of(value)
            if number is None:
                mismatched += 1
                number = math.nan
            target[index] = number
        return mismatched
    return 0

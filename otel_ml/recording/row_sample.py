"""Draws a few rows of a model's input in each interval, where the user wants rows to leave the process.

Every row draws a random priority, a block of them at a time; only rows whose priority is among the smallest are looked
at, which after the first few are hardly any.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from otel_ml.recording.guard import warn_once
from otel_ml.recording.inputs.batches import ColumnBatch, MatrixBatch, RowBatch, SparseBatch, Unread
from otel_ml.recording.values import boolean_of, category_of, number_of
from otel_ml.sketch.categories import NAME_LENGTH
from otel_ml.sketch.feature import FeatureKind, FeatureRole
from otel_ml.sketch.row_sample import EVERY_ROW, MAX_COLUMNS, RowSample, SampledColumn
from otel_ml.sketch.text import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from otel_ml.config import Settings
    from otel_ml.recording.column_set import DrainedColumn
    from otel_ml.recording.inputs.batches import Batch

SNAPSHOT_BYTES: Final = 64 * 1024
"""Of a sample in a snapshot: some 300 rows of 25 numbers."""

_BLOCK: Final = 2_048
"""Priorities that are drawn at once: 3 ns each, where drawing them batch by batch takes 4 µs a batch."""
_MAX_READ: Final = 1_000
"""Columns of a row that are read; only `MAX_COLUMNS` leave, but not all kinds of columns do."""
_VALUES_A_STEP: Final = 1_024
"""Values that are read in one go."""
_NAME_LENGTH: Final = 256
_SAMPLED: Final = frozenset((FeatureKind.NUMERIC, FeatureKind.BOOLEAN, FeatureKind.CATEGORICAL))
_PLAIN: Final = frozenset((float, bool, type(None)))


class _Row(NamedTuple):
    """A row as far as it may leave: rows of the same columns share their names."""

    priority: int
    names: tuple[str, ...]
    values: Sequence[Any]


class RowSampler:
    """Draws rows of one model, as many in each interval as fit.

    Args:
        size: Rows of an interval; fewer where they would take more than `SNAPSHOT_BYTES`.
        admits: Whether a column may leave, by its name.
    """

    def __init__(self, size: int, admits: Callable[[str], bool]) -> None:
        self._size = size
        self._admits = admits
        self._generator = np.random.default_rng()
        self._threshold = EVERY_ROW
        self._rows: list[_Row] = []
        self._width = 1
        # Rows of the block that have drawn already, and what is ahead: place and priority, the nearest last.
        self._drawn = _BLOCK
        self._ahead: list[tuple[int, int]] = []
        self._shapes: dict[tuple[Any, ...], tuple[tuple[str, ...], list[bool]]] = {}

    def take(
        self, batch: Batch, flat: Callable[[Sequence[Mapping[Any, Any]]], Sequence[Mapping[Any, Any]]]
    ) -> Iterator[None]:
        """Let each row of a batch draw, and read those that are in, in steps.

        Args:
            flat: Replaces columns that hold rows of their own by what they hold.
        """
        drawn = self._draw(len(batch))
        step = max(1, _VALUES_A_STEP // _width(batch))
        for start in range(0, len(drawn), step):
            if start:
                yield
            # What was drawn before the last pruning may be too late now.
            some = [row for row in drawn[start : start + step] if row[1] < self._threshold]
            rows = self._read(batch, [place for place, _ in some], flat)
            for (_, priority), (names, values) in zip(some, rows, strict=True):
                self._width = max(self._width, len(names))
                self._rows.append(_Row(priority, names, values))
            if len(self._rows) >= 2 * self._room:
                self._prune()

    def drain(self, columns: Sequence[DrainedColumn], into: list[RowSample]) -> Iterator[None]:
        """Append the sample of the rows since the last time, if there were any, in steps.

        Args:
            columns: What the rows' columns turned out to be; others, and such as hold texts or vectors, are left out.
        """
        self._prune()
        rows, threshold = self._rows, self._threshold
        self._rows, self._threshold, self._drawn, self._width = [], EVERY_ROW, _BLOCK, 1
        self._ahead.clear()
        self._shapes.clear()
        kinds = {
            column.summary.key.name: column.summary.kind
            for column in columns
            if column.summary.key.role is FeatureRole.FEATURE and column.summary.kind in _SAMPLED
        }
        sampled = sorted(SampledColumn(name, kind is FeatureKind.NUMERIC) for name, kind in kinds.items())
        del sampled[MAX_COLUMNS:]
        if not rows or not sampled:
            return
        places = {names: {name: place for place, name in enumerate(names)} for names in {row.names for row in rows}}
        found: dict[SampledColumn, Any] = {}
        for column in sampled:
            read = _READERS[kinds[column.name]]
            found[column] = [
                read(None if (place := places[row.names].get(column.name)) is None else row.values[place])
                for row in rows
            ]
            yield
        priorities = [row.priority for row in rows]
        into.append(RowSample.of(priorities, found, threshold=threshold).within(SNAPSHOT_BYTES))

    @property
    def _room(self) -> int:
        # More would be let go after all: each value takes a few bytes, a number eight.
        return max(1, min(self._size, SNAPSHOT_BYTES // (2 * min(self._width, MAX_COLUMNS))))

    def _draw(self, rows: int) -> list[tuple[int, int]]:
        """Place and priority of those among the next `rows` rows that may be in the sample."""
        drawn: list[tuple[int, int]] = []
        begun = 0
        while begun < rows:
            if self._drawn == _BLOCK:
                block = self._generator.integers(EVERY_ROW, size=_BLOCK, dtype=np.uint64)
                places = np.flatnonzero(block < np.uint64(self._threshold))[::-1]
                self._ahead = list(zip(places.tolist(), block[places].tolist(), strict=True))
                self._drawn = 0
            stop = min(_BLOCK, self._drawn + rows - begun)
            ahead = self._ahead
            while ahead and ahead[-1][0] < stop:
                place, priority = ahead.pop()
                if priority < self._threshold:
                    drawn.append((begun + place - self._drawn, priority))
            begun += stop - self._drawn
            self._drawn = stop
        return drawn

    def _prune(self) -> None:
        """Keep the rows there is room for, and let no row in any more that would not be among them."""
        room = self._room
        self._rows.sort(key=_PRIORITY)
        if len(self._rows) > room:
            self._threshold = self._rows[room].priority
            del self._rows[room:]

    def _read(
        self,
        batch: Batch,
        places: list[int],
        flat: Callable[[Sequence[Mapping[Any, Any]]], Sequence[Mapping[Any, Any]]],
    ) -> Iterable[tuple[tuple[str, ...], Sequence[Any]]]:
        """Names and values of some rows."""
        if isinstance(batch, RowBatch):
            for row in flat([batch.rows[place] for place in places]):
                names, chosen = self._shape(tuple(row))
                yield names, list(map(_plain, compress(row.values(), chosen)))
        elif isinstance(batch, MatrixBatch):
            names, chosen = self._shape(batch.names)
            for values in batch.values[places].tolist():
                yield names, list(compress(values, chosen))
        elif isinstance(batch, SparseBatch):
            yield from self._read_sparse(batch, places)
        elif isinstance(batch, ColumnBatch):
            names, chosen = self._shape(tuple(batch.columns))
            columns = [_values(column, places) for column in compress(batch.columns.values(), chosen)]
            yield from (
                ((names, values) for values in zip(*columns, strict=True)) if columns else [((), ())] * len(places)
            )

    def _read_sparse(self, batch: SparseBatch, places: list[int]) -> Iterable[tuple[tuple[str, ...], Sequence[Any]]]:
        names, chosen = self._shape(batch.names)
        for place in places:
            entries = slice(int(batch.starts[place]), int(batch.starts[place + 1]))
            row = np.zeros(len(batch.names), batch.values.dtype)
            row[batch.columns[entries]] = batch.values[entries]
            yield names, row[chosen].tolist()

    def _shape(self, sources: tuple[Any, ...]) -> tuple[tuple[str, ...], list[bool]]:
        """The names of the columns that are read, and which they are."""
        found = self._shapes.get(sources)
        if found is None:
            names = [bounded(str(source), _NAME_LENGTH) for source in sources]
            admitted = [self._admits(str(source)) for source in sources]
            if sum(admitted) > _MAX_READ:
                last = sorted(compress(names, admitted))[_MAX_READ - 1]
                admitted = [is_in and name <= last for name, is_in in zip(names, admitted, strict=True)]
            if len(self._shapes) >= _BLOCK:  # of rows that have hardly two columns in common
                self._shapes.clear()
            found = self._shapes[sources] = (tuple(compress(names, admitted)), admitted)
        return found


_PRIORITY: Final = itemgetter(0)


def _width(batch: Batch) -> int:
    """Columns of a row, or of the first one; at least 1."""
    if isinstance(batch, RowBatch):
        return max(1, len(batch.rows[0]))
    if isinstance(batch, ColumnBatch):
        return max(1, len(batch.columns))
    return max(1, len(batch.names)) if isinstance(batch, (MatrixBatch, SparseBatch)) else 1


def _values(column: Any, places: list[int]) -> list[Any]:
    """A column's values at some places; nothing where it holds no single values."""
    if isinstance(column, np.ndarray):
        is_single = column.ndim == 1 and column.dtype.kind in "fiubOU"
        return list(map(_plain, column[places].tolist())) if is_single else [None] * len(places)
    if isinstance(column, Unread):
        return [None] * len(places)
    return [_plain(column[place]) for place in places]


def _plain(value: Any) -> Any:
    """What is kept of a value until it is known what its column holds: no long text, and nobody's object."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, str):
        # One character more, so that what is longer than a category's name is cut where all others are.
        return value[: NAME_LENGTH + 1]
    if type(value) is int:
        return value if -(1 << 63) <= value < 1 << 63 else number_of(value)
    if isinstance(value, np.bool_):
        return bool(value)
    number = number_of(value)
    return category_of(value) if number is None else number


def _number(value: Any) -> float:
    number = number_of(value)
    return math.nan if number is None else number


def _category(value: Any) -> str | None:
    return None if value is None or value != value else category_of(value)  # noqa: PLR0124 - NaN, which is missing


def _truth(value: Any) -> str | None:
    truth = boolean_of(value)
    return None if truth is None else str(truth)


_READERS: Final[Mapping[FeatureKind, Callable[[Any], float | str | None]]] = {
    FeatureKind.NUMERIC: _number,
    FeatureKind.CATEGORICAL: _category,
    FeatureKind.BOOLEAN: _truth,
}


def renamed_categories(sample: RowSample, rename: Callable[[str, str], str]) -> RowSample:
    """The same rows, with their categories under the names that may leave.

    Args:
        rename: Gives the new name, by the column's name and the old one; it is asked once for each.
    """
    columns = dict(sample.columns)
    for column, values in sample.columns.items():
        if not column.is_numeric:
            new = {text: None if text is None else rename(column.name, text) for text in set(values.tolist())}
            columns[column] = np.array([new[text] for text in values.tolist()], object)
    return replace(sample, columns=columns)


def sampled_rows(settings: Settings) -> int:
    """How many rows of an interval may leave."""
    if settings.sample_rows and not settings.sample_values:
        warn_once("sample rows", "no rows are sampled (sample_rows), for no values may leave (sample_values)")
        return 0
    return settings.sample_rows

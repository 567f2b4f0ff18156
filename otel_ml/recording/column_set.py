"""All columns on one side of a model: discovered once, then filled batch by batch."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from otel_ml.recording.columns import ColumnBatch, MatrixBatch, RowBatch
from otel_ml.recording.counted import CountedColumn
from otel_ml.recording.numeric import NumericGroup
from otel_ml.recording.values import is_missing, kind_of
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary
from otel_ml.sketch.text import bounded

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

    from otel_ml.baseline import Baseline
    from otel_ml.recording.columns import Batch
    from otel_ml.sketch.exponential import ExponentialHistogram

_NAME_LENGTH = 256


@dataclass(frozen=True, slots=True)
class DrainedColumn:
    """What one column adds to a snapshot; numeric ones bring all their values as a histogram for the metric too."""

    summary: FeatureSummary
    histogram: ExponentialHistogram | None = None


class ColumnSet:
    """Summaries of all columns of one role.

    Args:
        role: Which side of the model.
        baseline: Pins kinds and bins of the columns it knows, and expects those of role FEATURE in every row.
        max_columns: Columns beyond are counted in `overflow_rows` and otherwise ignored.
        kind: Kind of every column the baseline does not know; None infers it from the first batch.
    """

    def __init__(
        self, role: FeatureRole, *, baseline: Baseline | None, max_columns: int, kind: FeatureKind | None = None
    ) -> None:
        self.role = role
        self.kind = kind
        self.rows = 0
        """Rows since the last drain."""
        self.overflow_rows = 0
        """Rows since the last drain that had columns beyond the limit."""
        self._baseline = baseline
        self._max_columns = max_columns
        self._known: dict[Any, FeatureKind | None] = {}
        self._groups: list[NumericGroup] = []
        self._counted: list[tuple[CountedColumn, Any]] = []
        self._opaque: dict[Any, tuple[FeatureKey, Counters]] = {}
        self._undecided: set[Any] = set()
        self._names: tuple[str, ...] | None = None
        if baseline is not None and role is FeatureRole.FEATURE:
            self._add({key.name: baseline.kind(key) for key in baseline.features if key.role is role})

    def __len__(self) -> int:
        return len(self._known)

    def take(self, batch: Batch) -> Iterator[None]:
        """Add a batch of rows, in steps of at most about 0.25 ms."""
        if not len(batch):
            return iter(())
        self.rows += len(batch)
        if isinstance(batch, RowBatch):
            return self._take_rows(batch.rows)
        if isinstance(batch, MatrixBatch):
            return self._take_matrix(batch)
        return self._take_columns(batch)

    def drain(self, into: list[DrainedColumn]) -> Iterator[None]:
        """Append what was added since the last time, in steps; columns known only by their absence are left out."""
        if not self.rows:
            return
        for group in self._groups:
            yield from group.settle()
        self.rows = 0
        for group in self._groups:
            for column in group.drain():
                into.append(DrainedColumn(column.summary, column.histogram))
                yield
        for counted, _ in self._counted:
            into.append(DrainedColumn(counted.drain()))
            yield
        for source, (key, counters) in self._opaque.items():
            into.append(DrainedColumn(FeatureSummary(key, OpaqueSummary(), counters)))
            self._opaque[source] = (key, Counters())

    def _take_rows(self, rows: Sequence[Mapping[Any, Any]]) -> Iterator[None]:
        known = self._known
        # As many keys as expected in all rows together, and none of the expected ones absent: then there is no other.
        as_many = bool(known) and sum(map(len, rows)) == len(rows) * len(known)
        if not as_many or self._undecided:
            self._discover(rows)
        groups, counted, opaque = len(self._groups), len(self._counted), len(self._opaque)
        is_odd = yield from self._feed(rows, self._groups, self._counted, self._opaque)
        if is_odd and as_many:
            self._discover(rows)
            new = dict(itertools.islice(self._opaque.items(), opaque, None))
            yield from self._feed(rows, self._groups[groups:], self._counted[counted:], new)

    def _feed(
        self,
        rows: Sequence[Mapping[Any, Any]],
        groups: Iterable[NumericGroup],
        counted: Iterable[tuple[CountedColumn, Any]],
        opaque: Mapping[Any, tuple[FeatureKey, Counters]],
    ) -> Generator[None, None, bool]:
        """Fill columns from rows; returns whether any value was not as expected."""
        is_odd = False
        for group in groups:
            yield from group.take_rows(rows)
            is_odd |= group.met_odd_rows
        for column, read in counted:
            try:
                values = list(map(read, rows))
            except Exception:
                is_odd = True
                values = [row.get(column.source) for row in rows]
            column.update(values)
        for source, (_, counters) in opaque.items():
            counters.rows += len(rows)
            counters.missing += sum(is_missing(row.get(source)) for row in rows)
        return is_odd

    def _discover(self, rows: Sequence[Mapping[Any, Any]]) -> None:
        known = self._known
        new: dict[Any, None] = {}
        unseen = 0
        for row in rows:
            if not known.keys() >= row.keys():
                unseen += 1
                if len(known) + len(new) < self._max_columns:
                    new.update(dict.fromkeys(source for source in row if source not in known))
        candidates = [*self._undecided, *new]
        if not candidates:
            self.overflow_rows += unseen
            return
        if len(known) + len(new) > self._max_columns:
            candidates = candidates[: max(0, self._max_columns - len(known)) + len(self._undecided)]
        self._add({source: self._kind(source, (row.get(source) for row in rows)) for source in candidates})
        if len(candidates) < len(self._undecided) + len(new) or unseen:
            self.overflow_rows += sum(not known.keys() >= row.keys() for row in rows)

    def _take_matrix(self, batch: MatrixBatch) -> Iterator[None]:
        if batch.names is not self._names:
            boolean = batch.values.dtype.kind == "b"
            inferred = FeatureKind.BOOLEAN if boolean else FeatureKind.NUMERIC
            self._admit(batch.names, {name: inferred for name in batch.names if self._is_open(name)}, len(batch))
        for group in self._groups:
            yield from group.take_matrix(batch)
        if self._counted or self._opaque:
            positions = {name: index for index, name in enumerate(batch.names)}
            columns = {
                column.key.name: batch.values[:, positions[column.key.name]].tolist()
                for column, _ in self._counted
                if column.key.name in positions
            }
            self._count_columns(columns, len(batch))
            self._count_opaque({name: batch.values[:, index] for name, index in positions.items()}, len(batch))

    def _take_columns(self, batch: ColumnBatch) -> Iterator[None]:
        names = tuple(batch.columns)
        if names != self._names or self._undecided:
            kinds = {name: _kind_of_column(batch.columns[name]) for name in names if self._is_open(name)}
            self._admit(names, kinds, len(batch))
        for group in self._groups:
            yield from group.take_columns(batch.columns, len(batch))
        columns = {
            column.key.name: batch.columns[column.key.name]
            for column, _ in self._counted
            if column.key.name in batch.columns
        }
        self._count_columns(
            {name: column.tolist() if hasattr(column, "tolist") else column for name, column in columns.items()},
            len(batch),
        )
        self._count_opaque(batch.columns, len(batch))

    def _count_columns(self, columns: Mapping[str, Any], rows: int) -> None:
        for column, _ in self._counted:
            values = columns.get(column.key.name)
            if values is None:
                column.missing(rows)
            else:
                column.update(values)

    def _count_opaque(self, columns: Mapping[str, Any], rows: int) -> None:
        for key, counters in self._opaque.values():
            counters.rows += rows
            column = columns.get(key.name)
            counters.missing += rows if column is None else sum(map(is_missing, column))

    def _is_open(self, name: str) -> bool:
        return name not in self._known or name in self._undecided

    def _admit(self, names: tuple[str, ...], inferred: Mapping[str, FeatureKind | None], rows: int) -> None:
        """Take in the columns of a matrix or frame, once per set of names."""
        room = self._max_columns - len(self._known)
        new: dict[Any, FeatureKind | None] = {}
        for name, kind in inferred.items():
            if name not in self._known:
                if room <= 0:
                    continue
                room -= 1
            new[name] = self._pinned(name) or kind
        self._add(new)
        if any(name not in self._known for name in names):
            self.overflow_rows += rows
            self._names = None  # so that the next batch is counted as well
        else:
            self._names = names

    def _kind(self, source: Any, values: Iterable[Any]) -> FeatureKind | None:
        return self._pinned(str(source)) or kind_of(values)

    def _pinned(self, name: str) -> FeatureKind | None:
        if self._baseline is not None and (kind := self._baseline.kind(FeatureKey(self.role, name))) is not None:
            return kind
        return self.kind

    def _add(self, kinds: Mapping[Any, FeatureKind | None]) -> None:
        numeric: list[tuple[FeatureKey, Any]] = []
        for source, kind in kinds.items():
            key = FeatureKey(self.role, bounded(str(source), _NAME_LENGTH))
            self._known[source] = kind
            if kind is None:
                self._undecided.add(source)
                continue
            self._undecided.discard(source)
            if kind is FeatureKind.NUMERIC:
                numeric.append((key, source))
            elif kind is FeatureKind.OPAQUE:
                self._opaque[source] = (key, Counters())
            else:
                self._counted.append((CountedColumn(key, kind, source), itemgetter(source)))
        if numeric:
            keys, sources = zip(*numeric, strict=True)
            layouts = [self._baseline.layout(key) if self._baseline is not None else None for key in keys]
            self._groups.append(NumericGroup(keys, sources, layouts))


def _kind_of_column(column: Any) -> FeatureKind | None:
    kind = getattr(getattr(column, "dtype", None), "kind", None)
    if kind == "b":
        return FeatureKind.BOOLEAN
    return FeatureKind.NUMERIC if kind is not None and kind in "fiu" else kind_of(column)

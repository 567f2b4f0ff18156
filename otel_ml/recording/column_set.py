"""All columns on one side of a model: discovered once, then filled batch by batch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from otel_ml.recording.counted import CountedColumn
from otel_ml.recording.inputs.batches import ColumnBatch, MatrixBatch, RowBatch, RowsOnly, SparseBatch, Unread
from otel_ml.recording.inputs.rows import flattened, nested_row
from otel_ml.recording.numeric import NumericGroup
from otel_ml.recording.object_column import object_column
from otel_ml.recording.privacy import names_of
from otel_ml.recording.sparse_rows import SparseRows
from otel_ml.recording.values import kind_of
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.text import bounded

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence

    from otel_ml.baseline import Baseline
    from otel_ml.recording.exemplars import ExemplarFinder
    from otel_ml.recording.inputs.batches import Batch, Kinds
    from otel_ml.recording.joint import JointColumn
    from otel_ml.recording.object_column import ObjectColumn
    from otel_ml.recording.privacy import PrivacyPolicy
    from otel_ml.sketch.exponential import ExponentialHistogram
    from otel_ml.sketch.summary import FeatureSummary

_NAME_LENGTH = 256
_MAX_GROUPS = 32
"""Groups of numeric columns that come up within one interval; each is a pass over the rows. Columns that come up after
those are let go and counted, until the interval ends and all groups become one."""


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
        privacy: Which columns may be summarised at all.
        finder: Is shown all values, to find requests worth a look.
        counts_words: Whether hashed words of texts are counted, where `privacy` does not say otherwise.
        joint: Is given the numeric columns that the baseline looks at together.
    """

    def __init__(
        self,
        role: FeatureRole,
        *,
        baseline: Baseline | None,
        max_columns: int,
        kind: FeatureKind | None = None,
        privacy: PrivacyPolicy | None = None,
        finder: ExemplarFinder | None = None,
        counts_words: bool = True,
        joint: JointColumn | None = None,
    ) -> None:
        self.role = role
        self.kind = kind
        self.rows = 0
        """Rows since the last drain."""
        self.overflow_rows = 0
        """Rows since the last drain that had columns beyond the limit."""
        self.timestamp_s = 0.0
        """When the rows that are added were inferred, in seconds since 1970; 0 stands for now."""
        self._baseline = baseline
        self._max_columns = max_columns
        self._privacy = privacy
        self._finder = finder
        self._joint = joint
        self._counts_words = counts_words
        # Names of hashed columns are not to be compared with values as they come.
        self._named = {
            key: names for key, names in names_of(baseline).items() if privacy is None or not privacy.hashes(key.name)
        }
        self._known: dict[Any, FeatureKind | None] = {}
        self._keys: set[FeatureKey] = set()
        self._groups: list[NumericGroup] = []
        self._others: list[tuple[ObjectColumn, Any]] = []
        self._undecided: set[Any] = set()
        self._nested: set[Any] = set()
        self._names: tuple[str, ...] | None = None
        self._is_too_wide = False
        self._sparse: SparseRows | None = None
        if baseline is not None and role is FeatureRole.FEATURE:
            self._add({key.name: baseline.kind(key) for key in baseline.features if key.role is role})

    def __len__(self) -> int:
        return len(self._known)

    def flat(self, rows: Sequence[Mapping[Any, Any]]) -> Sequence[Mapping[Any, Any]]:
        """Rows as they are summarised: columns that hold rows of their own are replaced by what they hold."""
        return flattened(rows, self._nested) if self._nested else rows

    def take(self, batch: Batch) -> Iterator[None]:
        """Add a batch of rows, in steps of at most about 0.25 ms."""
        if not len(batch) or isinstance(batch, RowsOnly):
            return iter(())
        self.rows += len(batch)
        if isinstance(batch, RowBatch):
            return self._take_rows(batch)
        if isinstance(batch, MatrixBatch):
            return self._take_matrix(batch)
        if isinstance(batch, SparseBatch):
            return self._take_sparse(batch)
        return self._take_columns(batch)

    def drain(self, into: list[DrainedColumn]) -> Iterator[None]:
        """Append what was added since the last time, in steps; columns known only by their absence are left out."""
        if not self.rows:
            return
        if self._sparse is not None:
            yield from self._sparse.finish()
        for group in self._groups:
            yield from group.settle()
        self.rows = 0
        for group in self._groups:
            for column in group.drain():
                into.append(DrainedColumn(column.summary, column.histogram))
                yield
        self._regroup()
        if self._joint is not None and (together := self._joint.drain()) is not None:
            into.append(DrainedColumn(together))
            yield
        for place, (other, read) in enumerate(self._others):
            into.append(DrainedColumn(other.drain()))
            if isinstance(other, CountedColumn) and other.is_text and self._pinned(other.key.name) is None:
                # From the next interval on: within one, a column is of one kind.
                self._known[other.source] = FeatureKind.TEXT
                self._others[place] = (self._object_column(other.key, FeatureKind.TEXT, other.source), read)
                self._sparse = None
            yield

    def _take_rows(self, batch: RowBatch) -> Iterator[None]:
        known, rows = self._known, batch.rows
        if self._nested:
            rows = flattened(rows, self._nested)
        # As many keys as expected in all rows together, and none of the expected ones absent: then there is no other.
        as_many = bool(known) and sum(map(len, rows)) == len(rows) * len(known)
        if not as_many or self._undecided:
            rows = self._discover(rows, batch.declared)
        groups, others = len(self._groups), len(self._others)
        is_odd = yield from self._feed(rows, self._groups, self._others)
        if is_odd and as_many:
            rows = self._discover(rows, batch.declared)
            yield from self._feed(rows, self._groups[groups:], self._others[others:])

    def _feed(
        self,
        rows: Sequence[Mapping[Any, Any]],
        groups: Iterable[NumericGroup],
        others: Iterable[tuple[ObjectColumn, Any]],
    ) -> Generator[None, None, bool]:
        """Fill columns from rows; returns whether any value was not as expected."""
        is_odd = False
        for group in groups:
            yield from group.take_rows(rows)
            is_odd |= group.met_odd_rows
        for column, read in others:
            try:
                values = list(map(read, rows))
            except Exception:
                is_odd = True
                values = [row.get(column.source) for row in rows]
            self._show(column.key, values)
            yield from column.update(values)
        return is_odd

    def _discover(
        self, rows: Sequence[Mapping[Any, Any]], declared: Callable[[], Kinds] | None
    ) -> Sequence[Mapping[Any, Any]]:
        """Take in the columns of rows that are new; returns the rows, flattened where a column holds rows itself."""
        known = self._known
        candidates, unseen = self._candidates(rows)
        nested = [source for source in candidates if self._is_nested(source, rows)]
        if nested:
            for source in nested[: max(0, self._max_columns - len(self._nested))]:
                self._nested.add(source)
                known.pop(source, None)
                self._undecided.discard(source)
            rows = flattened(rows, set(nested))
            candidates, unseen = self._candidates(rows)
        if candidates:
            kinds = declared() if declared is not None else {}
            self._add(
                {
                    source: self._pinned(str(source)) or kinds.get(source) or kind_of(row.get(source) for row in rows)
                    for source in candidates
                }
            )
        if unseen:
            self.overflow_rows += sum(not known.keys() >= row.keys() for row in rows)
        return rows

    def _candidates(self, rows: Sequence[Mapping[Any, Any]]) -> tuple[list[Any], int]:
        """Keys whose kind is to be found out, as many as there is room for; and the rows with a key not known yet."""
        known = self._known
        room = self._max_columns - len(known) if len(self._groups) < _MAX_GROUPS else 0
        new: dict[Any, None] = {}
        unseen = 0
        for row in rows:
            if not known.keys() >= row.keys():
                unseen += 1
                if len(new) < room:
                    new.update(dict.fromkeys(source for source in row if source not in known))
        return [*self._undecided, *list(new)[: max(0, room)]], unseen

    def _is_nested(self, source: Any, rows: Sequence[Mapping[Any, Any]]) -> bool:
        """Whether the first value there is holds a row of its own; what is inside of one is not looked into."""
        if self._pinned(str(source)) is not None or any(str(source).startswith(f"{outer}.") for outer in self._nested):
            return False
        value = next((row[source] for row in rows if row.get(source) is not None), None)
        return bool(value is not None and nested_row(value))

    def _take_matrix(self, batch: MatrixBatch) -> Iterator[None]:
        self._expect(batch.names, batch.values.dtype.kind, len(batch))
        for group in self._groups:
            yield from group.take_matrix(batch)
        if self._others:
            places = {name: index for index, name in enumerate(batch.names)}
            for column, _ in self._others:
                place = places.get(str(column.source))
                if place is None:
                    column.missing(len(batch))
                else:
                    self._show(column.key, batch.values[:, place])
                    yield from column.update(batch.values[:, place])

    def _take_sparse(self, batch: SparseBatch) -> Iterator[None]:
        self._expect(batch.names, batch.values.dtype.kind, len(batch))
        if self._sparse is None or self._sparse.names is not batch.names or len(self._keys) != self._sparse.columns:
            if self._sparse is not None:
                yield from self._sparse.finish()
            self._sparse = SparseRows(batch.names, self._groups, [column for column, _ in self._others])
        yield from self._sparse.take(batch)

    def _take_columns(self, batch: ColumnBatch) -> Iterator[None]:
        names, columns = tuple(batch.columns), batch.columns
        if names != self._names or self._undecided:
            self._admit(
                names,
                {
                    name: batch.declared.get(name) or _kind_of_column(columns[name])
                    for name in names
                    if self._is_open(name)
                },
            )
        self.overflow_rows += len(batch) * self._is_too_wide
        for group in self._groups:
            yield from group.take_columns(columns, len(batch))
        for column, _ in self._others:
            values = columns.get(str(column.source))
            if values is None:
                column.missing(len(batch))
            else:
                self._show(column.key, values)
                yield from column.update(values)

    def _show(self, key: FeatureKey, values: Any) -> None:
        if self._finder is not None and self._finder.is_looking:
            self._finder.objects(key, values, self._named.get(key))

    def _expect(self, names: tuple[str, ...], dtype_kind: str, rows: int) -> None:
        """Make sure that the columns of a matrix are known, as far as there is room."""
        if names is not self._names:
            inferred = FeatureKind.BOOLEAN if dtype_kind == "b" else FeatureKind.NUMERIC
            self._admit(names, {name: inferred for name in names if self._is_open(name)})
        self.overflow_rows += rows * self._is_too_wide

    def _is_open(self, name: str) -> bool:
        return name not in self._known or name in self._undecided

    def _admit(self, names: tuple[str, ...], inferred: Mapping[str, FeatureKind | None]) -> None:
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
        self._is_too_wide = any(name not in self._known for name in names)
        self._names = names

    def _pinned(self, name: str) -> FeatureKind | None:
        if self._baseline is not None and (kind := self._baseline.kind(FeatureKey(self.role, name))) is not None:
            return kind
        return self.kind

    def _add(self, kinds: Mapping[Any, FeatureKind | None]) -> None:
        numeric: list[tuple[FeatureKey, Any]] = []
        for source, kind in kinds.items():
            self._known[source] = kind
            if self._privacy is not None and not self._privacy.admits(str(source)):
                self._known[source] = FeatureKind.OPAQUE  # known, so that nobody asks again; and without a column
                self._undecided.discard(source)
                continue
            if kind is None:
                self._undecided.add(source)
                continue
            self._undecided.discard(source)
            key = FeatureKey(self.role, bounded(str(source), _NAME_LENGTH))
            if key in self._keys:  # 1 and "1" in rows, or names that are the same as far as names are kept
                continue
            self._keys.add(key)
            if kind is FeatureKind.NUMERIC:
                numeric.append((key, source))
            else:
                self._others.append((self._object_column(key, kind, source), itemgetter(source)))
        if numeric:
            keys, sources = zip(*numeric, strict=True)
            self._groups.append(self._group(keys, sources))

    def _group(self, keys: Sequence[FeatureKey], sources: Sequence[Any]) -> NumericGroup:
        layouts = [self._baseline.layout(key) if self._baseline is not None else None for key in keys]
        group = NumericGroup(keys, sources, layouts)
        if self._finder is not None:
            group.observe = self._finder.numbers
        if self._joint is not None:
            group.together = self._joint.part_of(group.labels)
        return group

    def _regroup(self) -> None:
        """Make one group of all, now that they are empty: columns that came up one after the other cost a pass each."""
        if len(self._groups) > 1:
            keys = [key for group in self._groups for key in group.keys]
            sources = [source for group in self._groups for source in group.sources]
            self._groups = [self._group(keys, sources)]
            self._sparse = None

    def _object_column(self, key: FeatureKey, kind: FeatureKind, source: Any) -> ObjectColumn:
        privacy = self._privacy
        counts_words = self._counts_words and (
            privacy is None or (privacy.counts_words and not privacy.hashes(key.name))
        )
        now = lambda: self.timestamp_s or time.time()  # noqa: E731  # too small for a name
        return object_column(key, kind, source, self._baseline, now, counts_words=counts_words)


def _kind_of_column(column: Any) -> FeatureKind | None:
    if isinstance(column, Unread):
        return FeatureKind.OPAQUE
    kind = getattr(getattr(column, "dtype", None), "kind", "O")
    if kind in "fiu":
        return FeatureKind.NUMERIC if column.ndim == 1 else FeatureKind.EMBEDDING
    if kind in "bM":
        return FeatureKind.BOOLEAN if kind == "b" else FeatureKind.DATETIME
    return kind_of(column)

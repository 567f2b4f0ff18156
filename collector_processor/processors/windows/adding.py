"""Adding a snapshot to a window, column by column or matrix by matrix, within bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from collector_processor.processors.copies import copied_columns, copied_summary
from collector_processor.processors.windows.overflow import OVERFLOW_COLUMN, OVERFLOW_MODEL, is_mixed
from collector_processor.processors.windows.seats import Seats
from collector_processor.processors.windows.settings import LimitSettings
from collector_processor.processors.windows.window import Window
from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.calls import LARGEST_BYTES, CallSummary
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind
from otel_ml.sketch.row_sample import RowSample
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary, numbers_of

BlockT = TypeVar("BlockT", BinnedColumns, SketchedColumns)

# Sets of columns that come as matrices in one window: replicas of one version mostly send the same.
_MAX_BLOCKS: Final = 8
# Sets of packages that are told apart in one window: a rolling update has two.
_MAX_DIGESTS: Final = 8
# What a column can grow to in a window, in bytes, about; of histograms and quantiles, of 256 categories.
_SKETCHED_BYTES: Final = 6_000
_COLUMN_BYTES: Final = {
    FeatureKind.NUMERIC: _SKETCHED_BYTES,
    FeatureKind.CATEGORICAL: 20_000,
    FeatureKind.TEXT: 12_000,
    FeatureKind.DATETIME: 12_000,
}
_SMALL_BYTES: Final = 500


class Adding:
    """Adds snapshots to windows.

    Args:
        claim: Whether a window may take so many bytes more; if so, they are its own.

    Attributes:
        features_dropped: Columns that were not merged, by reason, since the counter was last emptied.
    """

    def __init__(self, limits: LimitSettings, claim: Callable[[Window, int], bool]) -> None:
        self._limits = limits
        self._claim = claim
        # What is to be merged into what, by the identity of the latter; None where it is done at once.
        self._waiting: dict[int, tuple[BinnedColumns, list[BinnedColumns]]] | None = None
        self.features_dropped: Counter[str] = Counter()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Merge matrices of the same columns all at once when the block ends; until then windows do not have them."""
        waiting = self._waiting = {}
        try:
            yield
        finally:
            self._waiting = None
            for present, others in waiting.values():
                present.merge(*others)

    def add(self, window: Window, columns: Seats[FeatureKey], snapshot: Snapshot, *, is_shared: bool = False) -> None:
        """Add a snapshot.

        Args:
            columns: Those of the model that may be told apart.
            is_shared: The snapshot is added to other windows, too: this one may not grow in its summaries.
        """
        window.rows += snapshot.rows
        window.dropped_rows += snapshot.dropped_rows
        window.snapshots += 1
        if snapshot.calls is not None and snapshot.segment is None:
            if window.calls is None:
                # With or without room for it: it is small, and who has no room for columns wants to know how calls go.
                self._claim(window, LARGEST_BYTES)
            add_calls(window, snapshot.calls)
        if is_mixed(window.model):
            self._add_counters(window, snapshot)
            return
        if snapshot.packages_digest and (
            snapshot.packages_digest in window.producers or len(window.producers) < _MAX_DIGESTS
        ):
            heard = window.producers.setdefault(snapshot.packages_digest, set())
            if len(heard) < self._limits.producers:
                heard.add(snapshot.producer_id)
        if window.segment is None and snapshot.row_sample is not None:
            add_rows(window, snapshot.row_sample)
        for binned in snapshot.binned:
            present = _alike(window.binned, binned)
            if present is not None:
                self._merge(present, binned)
            elif _fits(window, binned.edges_hashes, binned.counts.shape[1]):
                self._add_block(window, columns, window.binned, binned, is_shared=is_shared)
            else:
                self.features_dropped["incompatible"] += len(binned.keys)
        for sketched in snapshot.sketched:
            known = _alike(window.sketched, sketched)
            if known is not None:
                known.merge(sketched)
            else:
                self._add_block(window, columns, window.sketched, sketched, is_shared=is_shared)
        for summary in snapshot.features if snapshot.unbinned is None else snapshot.unbinned:
            self._add_summary(window, columns, summary, is_shared=is_shared)

    def _merge(self, present: BinnedColumns, binned: BinnedColumns) -> None:
        if self._waiting is None:
            present.merge(binned)
        else:
            self._waiting.setdefault(id(present), (present, []))[1].append(binned)

    def _add_block(
        self, window: Window, columns: Seats[FeatureKey], blocks: list[BlockT], block: BlockT, *, is_shared: bool
    ) -> None:
        if (
            len(blocks) < _MAX_BLOCKS
            and window.features + len(block.keys) <= self._limits.features
            and all(columns.take(key, window.start_unix_nano) for key in block.keys)
            and self._claim(window, _size_of_block(block))
        ):
            # A copy: what was decoded may be a part of larger matrices, which would be kept as long as this part.
            blocks.append(copied_columns(block))
        else:
            for summary in block.summaries():
                self._add_summary(window, columns, summary, is_shared=is_shared)

    def _add_summary(
        self, window: Window, columns: Seats[FeatureKey], summary: FeatureSummary, *, is_shared: bool
    ) -> None:
        numbers = numbers_of(summary.content)
        if numbers is not None and not all(
            _fits(window, (edges_hash,), len(bins.counts)) for edges_hash, bins in numbers.bins.items()
        ):
            self.features_dropped["incompatible"] += 1
            return
        part = window.unbinned.get((summary.key, summary.kind))
        if part is not None:
            try:
                part.merge(summary)
            except IncompatibleSketchError:
                self.features_dropped["incompatible"] += 1
        elif window.features >= self._limits.features or not columns.take(summary.key, window.start_unix_nano):
            self._add_to_overflow(window, summary, "too_many_features")
        elif not self._claim(window, _size_of(summary)):
            self._add_to_overflow(window, summary, "memory")
        else:
            # What was decoded for us alone a window may grow in; but only one.
            window.unbinned[summary.key, summary.kind] = copied_summary(summary) if is_shared else summary

    def _add_to_overflow(self, window: Window, summary: FeatureSummary, reason: str) -> None:
        self.features_dropped[reason] += 1
        _count(window, OVERFLOW_COLUMN, summary.counters)

    def _add_counters(self, window: Window, snapshot: Snapshot) -> None:
        """Of different models, or versions of one, rows can be added up, and the gaps in columns of the same name."""
        if window.model == OVERFLOW_MODEL:
            return
        for summary in snapshot.features:
            is_known = (summary.key, FeatureKind.OPAQUE) in window.unbinned
            if is_known or (window.features < self._limits.features and self._claim(window, _SMALL_BYTES)):
                _count(window, summary.key, summary.counters)
            else:
                self._add_to_overflow(window, summary, "too_many_features")


def add_rows(window: Window, sample: RowSample) -> None:
    """Add some of the rows themselves."""
    window.row_sample = sample if window.row_sample is None else window.row_sample.merged(sample)


def add_calls(window: Window, calls: CallSummary) -> None:
    """Add calls, which stay as they are."""
    if window.calls is None:
        window.calls = CallSummary()
    window.calls.merge(calls)


def add_bin_counts(window: Window, parts: Iterable[FeatureSummary]) -> None:
    """Remember how many bins the edges cut that summaries were counted in."""
    for part in parts:
        numbers = numbers_of(part.content)
        for edges_hash, bins in {} if numbers is None else numbers.bins.items():
            window.bin_counts.setdefault(edges_hash, len(bins.counts))


def size_of(window: Window) -> int:
    """Bytes that the columns and calls of a window take, about, or can grow to."""
    of_columns = sum(map(_size_of_block, window.blocks)) + sum(map(_size_of, window.unbinned.values()))
    return of_columns + (0 if window.calls is None else LARGEST_BYTES)


def _count(window: Window, key: FeatureKey, counters: Counters) -> None:
    part = window.unbinned.get((key, FeatureKind.OPAQUE))
    if part is None:
        part = window.unbinned[key, FeatureKind.OPAQUE] = FeatureSummary(key, OpaqueSummary(), Counters())
    part.counters.merge(counters)


def _alike(blocks: list[BlockT], block: BlockT) -> BlockT | None:
    """That of the same columns, if it was there. What is the same fits as it did before."""
    if blocks:
        identity = block.identity
        for present in blocks:
            if present.identity == identity:
                return present
    return None


def _fits(window: Window, edges_hashes: Iterable[int], bins: int) -> bool:
    """Whether nobody said of these edges that they cut another number of bins."""
    return all(window.bin_counts.setdefault(edges_hash, bins) == bins for edges_hash in edges_hashes)


def _size_of_block(block: BinnedColumns | SketchedColumns) -> int:
    if isinstance(block, SketchedColumns):
        return _SKETCHED_BYTES * len(block.keys)
    return block.counts.nbytes + _SMALL_BYTES * len(block.keys)


def _size_of(summary: FeatureSummary) -> int:
    content = summary.content
    if isinstance(content, EmbeddingSummary):
        return _SKETCHED_BYTES + content.largest_bytes
    return _COLUMN_BYTES.get(summary.kind, _SMALL_BYTES)

"""Tumbling windows of event time, one series for each model and version, bounded in every direction.

A snapshot belongs to the window in which its interval starts. A window closes when the watermark passes its end: the
latest interval end seen for that model, plus the time that has passed since it was seen, less the lateness. So a
stream that falls silent still closes its windows, a replay of last year's traffic runs at its own speed, and a
producer whose clock runs ahead moves nobody else's watermark by more than is allowed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeVar

from pydantic import Field

from collector_processor.processors.copies import copied_columns, copied_summary
from collector_processor.settings import Duration, PositiveDuration, Settings
from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.feature import FeatureKey, FeatureKind, ModelKey
from otel_ml.sketch.row_sample import RowSample
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.snapshot import Segment, Snapshot
from otel_ml.sketch.summary import FeatureSummary, numbers_of

BlockT = TypeVar("BlockT", BinnedColumns, SketchedColumns)

_SECOND = 1_000_000_000
# Sets of columns that come as matrices in one window: replicas of one version mostly send the same.
_MAX_BLOCKS = 8
# Sets of packages that are told apart in one window: a rolling update has two.
_MAX_DIGESTS = 8


class Outcome(Enum):
    """What became of a snapshot that was new."""

    MERGED = "merged"
    LATE = "late"
    """Its window is closed."""
    FUTURE = "future"
    """It claims a time that lies too far ahead of the clock."""
    TOO_MANY_MODELS = "too_many_models"
    TOO_MANY_WINDOWS = "too_many_windows"
    TOO_MANY_SEGMENTS = "too_many_segments"
    REDUNDANT = "redundant"
    """A segment of the dimension by which deployments are told apart anyway: its rows are counted there already."""


class LimitSettings(Settings):
    """Bounds on memory; what lies beyond is counted and not merged.

    Attributes:
        models: Models, each version for itself.
        features: Columns of a model.
        open_windows: Windows of one model that wait for their end.
        segments: Segments of one window.
        producers: Processes whose sequence numbers are remembered.
    """

    models: int = Field(default=200, ge=1)
    features: int = Field(default=2000, ge=1)
    open_windows: int = Field(default=48, ge=1)
    segments: int = Field(default=200, ge=0)
    producers: int = Field(default=10_000, ge=1)


class WindowSettings(Settings):
    """When windows begin and end.

    Attributes:
        window: Length; windows begin at multiples of it since 1970, UTC.
        lateness: How long after its end a window still takes snapshots in.
        max_future: How far a producer's clock may run ahead of ours.
    """

    window: PositiveDuration = 300.0
    lateness: Duration = 30.0
    max_future: Duration = 600.0
    limits: LimitSettings = LimitSettings()


class Slot(NamedTuple):
    """Which of a model's open windows."""

    start_unix_nano: int
    segment: Segment | None = None


@dataclass(slots=True)
class Window:
    """What one model, or a segment of its rows, did between two points in time.

    Attributes:
        segment: The slice it is about; None for the whole.
        producers: Processes heard, by the digest of their packages; not kept over a restart.
        binned: Columns that came as counts in bins, by what they have in common.
        sketched: Columns that came as histograms, likewise.
        unbinned: Summaries of the others, by column and by the kind of value that was found there: replicas may read a
            column differently, and adding up must not depend on which came first.
        bin_counts: How many bins the edges of each hash cut: a snapshot that says otherwise cannot be added up.
        row_sample: Some of the rows of the whole, where servers send any.
        is_partial: Closed before its time, because the service stops.
    """

    model: ModelKey
    start_unix_nano: int
    end_unix_nano: int
    rows: int = 0
    dropped_rows: int = 0
    snapshots: int = 0
    binned: list[BinnedColumns] = field(default_factory=list)
    sketched: list[SketchedColumns] = field(default_factory=list)
    unbinned: dict[tuple[FeatureKey, FeatureKind], FeatureSummary] = field(default_factory=dict)
    bin_counts: dict[int, int] = field(default_factory=dict)
    is_partial: bool = False
    segment: Segment | None = None
    producers: dict[str, set[bytes]] = field(default_factory=dict)
    row_sample: RowSample | None = None

    @property
    def features(self) -> int:
        """How many columns it has, those counted twice that came in several ways."""
        return len(self.unbinned) + sum(len(block.keys) for block in self.blocks)

    @property
    def blocks(self) -> list[BinnedColumns | SketchedColumns]:
        """Columns that came as matrices."""
        return [*self.binned, *self.sketched]

    @property
    def parts(self) -> dict[tuple[FeatureKey, FeatureKind], FeatureSummary]:
        """All summaries by column and kind; the window's own stay as they are."""
        found = dict(self.unbinned)
        for block in self.blocks:
            for summary in block.summaries():
                other = found.get((summary.key, summary.kind))
                if other is not None:
                    summary.merge(other)
                found[summary.key, summary.kind] = summary
        return found


@dataclass(slots=True)
class Stream:
    """The open windows of one model, and how far its time has come.

    Attributes:
        latest_end_unix_nano: The latest interval end seen.
        closed_until_unix_nano: Where the last closed window ended.
        heard_s: When something was last merged, on the monotonic clock.
    """

    latest_end_unix_nano: int
    closed_until_unix_nano: int
    heard_s: float
    windows: dict[Slot, Window] = field(default_factory=dict)


class WindowStore:
    """Merges snapshots into windows and gives windows back once they are complete. Used from the event loop only.

    Args:
        deployments: Resource attribute that tells deployments of a model apart: a snapshot of the whole model goes into
            the segment of its deployment, too.

    Attributes:
        features_dropped: Columns that were not merged, by reason, since the counter was last emptied.
        streams: By model.
    """

    def __init__(
        self,
        settings: WindowSettings,
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        *,
        deployments: str | None = None,
    ) -> None:
        self._deployments = deployments
        self._length = round(settings.window * _SECOND)
        self._lateness = round(settings.lateness * _SECOND)
        self._max_future = round(settings.max_future * _SECOND)
        self._limits = settings.limits
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self.streams: dict[ModelKey, Stream] = {}
        self.features_dropped: Counter[str] = Counter()

    def merge(self, snapshot: Snapshot) -> Outcome:
        """Add a snapshot that was not added before to its window."""
        if snapshot.end_time_unix_nano > self._wall_clock_ns() + self._max_future:
            return Outcome.FUTURE
        deployment = self._deployment_of(snapshot)
        if deployment is not None and snapshot.segment is not None:
            return Outcome.REDUNDANT
        stream = self.streams.get(snapshot.model)
        start = snapshot.start_time_unix_nano - snapshot.start_time_unix_nano % self._length
        if stream is None:
            if not self._make_room():
                return Outcome.TOO_MANY_MODELS
            stream = Stream(snapshot.start_time_unix_nano, 0, self._clock())
            self.streams[snapshot.model] = stream
        slot = Slot(start, snapshot.segment)
        window = stream.windows.get(slot)
        if window is None:
            end = start + self._length
            if end <= stream.closed_until_unix_nano or end <= self._watermark(stream):
                return Outcome.LATE
            refused = self._refused(stream, slot)
            if refused is not None:
                return refused
            window = stream.windows[slot] = Window(snapshot.model, start, end, segment=snapshot.segment)
        self._add(window, snapshot)
        if deployment is not None:
            self._add_to_deployment(stream, window, deployment, snapshot)
        # Time does not run backwards when an older snapshot comes: only what is ahead of the watermark moves it.
        elapsed = round((self._clock() - stream.heard_s) * _SECOND)
        stream.latest_end_unix_nano = max(stream.latest_end_unix_nano + elapsed, snapshot.end_time_unix_nano)
        stream.heard_s = self._clock()
        return Outcome.MERGED

    def close_due(self) -> list[Window]:
        """The windows that the watermark has passed, oldest first; the store no longer has them."""
        due = [
            (stream, window)
            for stream in self.streams.values()
            for watermark in (self._watermark(stream),)
            for window in stream.windows.values()
            if window.end_unix_nano <= watermark
        ]
        return list(self._close(due))

    def close_all(self) -> list[Window]:
        """All open windows; those whose time had not come are marked as partial."""
        due = self.close_due()
        rest = [(stream, window) for stream in self.streams.values() for window in stream.windows.values()]
        for _, window in rest:
            window.is_partial = True
        return due + list(self._close(rest))

    def restore_stream(self, model: ModelKey, latest_end_unix_nano: int, closed_until_unix_nano: int) -> None:
        """Put back how far a model's time had come; the time in between did not pass for it."""
        self.streams[model] = Stream(latest_end_unix_nano, closed_until_unix_nano, self._clock())

    def restore_window(
        self,
        model: ModelKey,
        start_unix_nano: int,
        end_unix_nano: int,
        *,
        segment: Segment | None = None,
        parts: Iterable[FeatureSummary] = (),
        row_sample: RowSample | None = None,
        rows: int = 0,
        dropped_rows: int = 0,
        snapshots: int = 0,
    ) -> None:
        """Put back an open window, or add to one that was put back; of another length, it keeps its own bounds."""
        windows = self.streams[model].windows
        window = windows.setdefault(
            Slot(start_unix_nano, segment), Window(model, start_unix_nano, end_unix_nano, segment=segment)
        )
        window.rows += rows
        window.dropped_rows += dropped_rows
        window.snapshots += snapshots
        window.unbinned.update({(part.key, part.kind): part for part in parts})
        if row_sample is not None:
            _add_rows(window, row_sample)

    def _watermark(self, stream: Stream) -> int:
        elapsed = round((self._clock() - stream.heard_s) * _SECOND)
        return stream.latest_end_unix_nano + elapsed - self._lateness

    def _close(self, due: list[tuple[Stream, Window]]) -> Iterator[Window]:
        for stream, window in sorted(due, key=lambda pair: pair[1].end_unix_nano):
            del stream.windows[Slot(window.start_unix_nano, window.segment)]
            stream.closed_until_unix_nano = max(stream.closed_until_unix_nano, window.end_unix_nano)
            yield window

    def _refused(self, stream: Stream, slot: Slot) -> Outcome | None:
        """Why there is no room for one more window of a model; None if there is."""
        if slot.segment is None:
            whole = sum(other.segment is None for other in stream.windows)
            return Outcome.TOO_MANY_WINDOWS if whole >= self._limits.open_windows else None
        if (
            len({other.start_unix_nano for other in stream.windows} | {slot.start_unix_nano})
            > self._limits.open_windows
        ):
            return Outcome.TOO_MANY_WINDOWS
        beside = sum(
            other.start_unix_nano == slot.start_unix_nano and other.segment is not None for other in stream.windows
        )
        return Outcome.TOO_MANY_SEGMENTS if beside >= self._limits.segments else None

    def _make_room(self) -> bool:
        """Whether there is room for one more model, if need be by forgetting the one that was silent longest."""
        if len(self.streams) < self._limits.models:
            return True
        idle = [(stream.heard_s, model) for model, stream in self.streams.items() if not stream.windows]
        if not idle:
            return False
        del self.streams[min(idle)[1]]
        return True

    def _deployment_of(self, snapshot: Snapshot) -> Segment | None:
        """The segment of the deployment that it is from; None as well for other segments: they are not cut further."""
        value = None if self._deployments is None else snapshot.resource.get(self._deployments)
        if self._deployments is None or value is None:
            return None
        is_other = snapshot.segment is not None and snapshot.segment.dimension != self._deployments
        return None if is_other else Segment(self._deployments, value)

    def _add_to_deployment(self, stream: Stream, whole: Window, deployment: Segment, snapshot: Snapshot) -> None:
        """Add what was added to the whole to its deployment, too."""
        slot = Slot(whole.start_unix_nano, deployment)
        window = stream.windows.get(slot)
        if window is None:
            refused = self._refused(stream, slot)
            if refused is not None:
                self.features_dropped[refused.value] += len(snapshot.features)
                return
            window = Window(whole.model, whole.start_unix_nano, whole.end_unix_nano, segment=deployment)
            stream.windows[slot] = window
        # What cannot be added up here cannot be in the whole either, and was counted there.
        counted = self.features_dropped.copy()
        self._add(window, snapshot, is_shared=True)
        self.features_dropped = counted

    def _add(self, window: Window, snapshot: Snapshot, *, is_shared: bool = False) -> None:
        window.rows += snapshot.rows
        window.dropped_rows += snapshot.dropped_rows
        window.snapshots += 1
        if snapshot.packages_digest and (
            snapshot.packages_digest in window.producers or len(window.producers) < _MAX_DIGESTS
        ):
            heard = window.producers.setdefault(snapshot.packages_digest, set())
            if len(heard) < self._limits.producers:
                heard.add(snapshot.producer_id)
        if window.segment is None and snapshot.row_sample is not None:
            _add_rows(window, snapshot.row_sample)
        for binned in snapshot.binned:
            if _fits(window, binned.edges_hashes, binned.counts.shape[1]):
                self._add_block(window, window.binned, binned, is_shared=is_shared)
            else:
                self.features_dropped["incompatible"] += len(binned.keys)
        for sketched in snapshot.sketched:
            self._add_block(window, window.sketched, sketched, is_shared=is_shared)
        for summary in snapshot.features if snapshot.unbinned is None else snapshot.unbinned:
            self._add_summary(window, summary, is_shared=is_shared)

    def _add_block(self, window: Window, blocks: list[BlockT], block: BlockT, *, is_shared: bool) -> None:
        for present in blocks:
            if present.identity == block.identity:
                present.merge(block)
                return
        # The block was decoded for us alone, so a window may grow in it, and so may it in a summary; but only one.
        if len(blocks) < _MAX_BLOCKS and window.features + len(block.keys) <= self._limits.features:
            blocks.append(copied_columns(block) if is_shared else block)
        else:
            for summary in block.summaries():
                self._add_summary(window, summary, is_shared=is_shared)

    def _add_summary(self, window: Window, summary: FeatureSummary, *, is_shared: bool) -> None:
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
        elif window.features < self._limits.features:
            window.unbinned[summary.key, summary.kind] = copied_summary(summary) if is_shared else summary
        else:
            self.features_dropped["too_many_features"] += 1


def _add_rows(window: Window, sample: RowSample) -> None:
    window.row_sample = sample if window.row_sample is None else window.row_sample.merged(sample)


def _fits(window: Window, edges_hashes: Iterable[int], bins: int) -> bool:
    """Whether nobody said of these edges that they cut another number of bins."""
    return all(window.bin_counts.setdefault(edges_hash, bins) == bins for edges_hash in edges_hashes)

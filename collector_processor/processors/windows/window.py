"""One window, and the windows of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from collector_processor.processors.copies import copied_columns, copied_summary
from collector_processor.processors.windows.overflow import OVERFLOW_PART
from collector_processor.processors.windows.seats import Seats
from otel_ml.sketch.binned_columns import BinnedColumns
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.feature import FeatureKey, FeatureKind, ModelKey
from otel_ml.sketch.row_sample import RowSample
from otel_ml.sketch.sketched_columns import SketchedColumns
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.summary import FeatureSummary


class Outcome(Enum):
    """What became of a snapshot that was new."""

    MERGED = "merged"
    AMENDED = "amended"
    """Merged into a window that was evaluated, and will be again."""
    LATE = "late"
    """Its window is closed for good."""
    FUTURE = "future"
    """It claims a time that lies too far ahead of the clock."""
    TOO_MANY_WINDOWS = "too_many_windows"
    TOO_MANY_SEGMENTS = "too_many_segments"
    """Of more dimensions than there may be segments, or of a model that has no windows of its own."""
    REDUNDANT = "redundant"
    """A segment of the dimension by which deployments are told apart anyway: its rows are counted there already."""

    @property
    def is_merged(self) -> bool:
        """Whether its rows are in a window now."""
        return self in _MERGED


_MERGED = (Outcome.MERGED, Outcome.AMENDED)


class Slot(NamedTuple):
    """Which of a model's windows."""

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
        calls: How the calls of the model, or of a deployment, went, where servers say so.
        is_partial: Closed before its time, because the service stops.
        is_evaluated: It was given out.
        is_amended: Something was merged after that.
        revision: How many times it was, or will be, given out again.
        is_newest: No later window of the model was given out before it.
        is_shared: Somebody else reads it: it must not change any more.
        size: Bytes that its columns take, about.
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
    calls: CallSummary | None = None
    is_evaluated: bool = False
    is_amended: bool = False
    revision: int = 0
    is_newest: bool = True
    is_shared: bool = False
    size: int = 0

    @property
    def slot(self) -> Slot:
        """Which of its model's windows it is."""
        return Slot(self.start_unix_nano, self.segment)

    @property
    def features(self) -> int:
        """How many columns it has, those counted twice that came in several ways, and that of the overflow not."""
        own = len(self.unbinned) - (OVERFLOW_PART in self.unbinned)
        return own + sum(len(block.keys) for block in self.blocks)

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

    @property
    def progress(self) -> Mapping[str, int]:
        """What `WindowStore.restore_window` should be told beside the counts and columns, as JSON can hold it."""
        return {
            "is_evaluated": self.is_evaluated,
            "is_amended": self.is_amended,
            "revision": self.revision,
        }

    def copied(self) -> Window:
        """The same, which may grow while somebody reads this one."""
        return replace(
            self,
            binned=[copied_columns(block) for block in self.binned],
            sketched=[copied_columns(block) for block in self.sketched],
            unbinned={place: copied_summary(summary) for place, summary in self.unbinned.items()},
            bin_counts=dict(self.bin_counts),
            producers={digest: set(heard) for digest, heard in self.producers.items()},
            calls=None if self.calls is None else self.calls.copy(),
            is_shared=False,
        )


@dataclass(slots=True)
class Stream:
    """The windows of one model, and how far its time has come.

    Attributes:
        latest_end_unix_nano: The latest interval end seen.
        closed_until_unix_nano: Where the last window ended that is closed for good.
        heard_s: When something was last merged, on the monotonic clock.
        segments: Which may have windows of their own.
        columns: Likewise.
        windows: Those that are open, and those that were evaluated and may be amended.
        evaluated_until_unix_nano: Where the last window ended that was given out.
        due_unix_nano: At which watermark there is something to do.
        size: Bytes that all windows take, about.
    """

    latest_end_unix_nano: int
    closed_until_unix_nano: int
    heard_s: float
    segments: Seats[Segment]
    columns: Seats[FeatureKey]
    windows: dict[Slot, Window] = field(default_factory=dict)
    evaluated_until_unix_nano: int = 0
    due_unix_nano: int = 1 << 63
    size: int = 0

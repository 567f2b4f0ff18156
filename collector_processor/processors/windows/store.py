"""All windows: which one a snapshot goes into, and when each is given out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final

from collector_processor.processors.windows.adding import Adding, add_bin_counts, add_calls, add_rows, size_of
from collector_processor.processors.windows.changes import Changes
from collector_processor.processors.windows.overflow import is_mixed
from collector_processor.processors.windows.seating import Seating
from collector_processor.processors.windows.seats import Seats
from collector_processor.processors.windows.settings import WindowSettings
from collector_processor.processors.windows.window import Outcome, Slot, Stream, Window
from otel_ml.semconv import OTHER_LABEL
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.row_sample import RowSample
from otel_ml.sketch.snapshot import Segment, Snapshot
from otel_ml.sketch.summary import FeatureSummary

_SECOND: Final = 1_000_000_000
_MIB: Final = 1 << 20
_IDLE: Final = 5
"""Models without windows are remembered, so many times as there may be with some: what comes late is known as late."""
_REVISED_EVERY_S: Final = 60.0
"""How long late snapshots of a window are collected before it is given out again."""
_NEVER: Final = 1 << 63


class WindowStore:
    """Merges snapshots into windows and gives windows out once they are complete. Used from the event loop only.

    Args:
        deployments: Resource attribute that tells deployments of a model apart: a snapshot of the whole model goes into
            the segment of its deployment, too.

    Attributes:
        streams: By model.
        size: Bytes that the columns of all windows take, about.
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
        self._allowed = round(settings.allowed_lateness * _SECOND)
        self._max_future = round(settings.max_future * _SECOND)
        self._limits = settings.limits
        self._clock = clock
        self._wall_clock_ns = wall_clock_ns
        self.streams: dict[ModelKey, Stream] = {}
        self.size = 0
        self._adding = Adding(settings.limits, self._claim)
        self._seating = Seating(settings.limits)
        # Windows that were evaluated and may be amended, in the order of that.
        self._retained: dict[tuple[ModelKey, Slot], None] = {}
        # Those that were, with when they are to be given out again, and those that had to make room before that.
        self._amended: dict[tuple[ModelKey, Slot], float] = {}
        self._parting: list[Window] = []
        self._changed_streams: set[ModelKey] = set()
        self._changed_windows: set[tuple[ModelKey, Slot]] = set()

    @property
    def features_dropped(self) -> Counter[str]:
        """Columns that were not merged, by reason, since the counter was last emptied."""
        return self._adding.features_dropped

    @property
    def overflown(self) -> Counter[str]:
        """Snapshots that went into an overflow series, by reason, since the counter was last emptied."""
        return self._seating.overflown

    def merge(self, snapshot: Snapshot) -> Outcome:
        """Add a snapshot that was not added before to its window."""
        if self.is_ahead(snapshot):
            return Outcome.FUTURE
        deployment = self._deployment_of(snapshot)
        if deployment is not None and snapshot.segment is not None:
            return Outcome.REDUNDANT
        start = snapshot.start_time_unix_nano - snapshot.start_time_unix_nano % self._length
        slot = Slot(start, snapshot.segment)
        stream = self.streams.get(snapshot.model)
        window = None if stream is None else stream.windows.get(slot)
        if stream is None or window is None:
            found = self._find(snapshot, slot)
            if isinstance(found, Outcome):
                return found
            stream, window = found
        outcome = Outcome.AMENDED if window.is_evaluated else Outcome.MERGED
        window = self._ready(stream, window)
        self._adding.add(window, stream.columns, snapshot)
        if deployment is not None and not is_mixed(window.model):
            self._add_to_deployment(stream, window, deployment, snapshot)
        # Time does not run backwards when an older snapshot comes: only what is ahead of the watermark moves it.
        now = self._clock()
        elapsed = round((now - stream.heard_s) * _SECOND)
        stream.latest_end_unix_nano = max(stream.latest_end_unix_nano + elapsed, snapshot.end_time_unix_nano)
        stream.heard_s = now
        self._changed_streams.add(window.model)
        return outcome

    def together(self) -> AbstractContextManager[None]:
        """Within it, `merge` leaves the largest part of its work for its end, where all is done at once."""
        return self._adding.together()

    def is_ahead(self, snapshot: Snapshot) -> bool:
        """Whether it claims a time that lies too far ahead of the clock, and would move other people's watermark."""
        return snapshot.end_time_unix_nano > self._wall_clock_ns() + self._max_future

    def counted_as(self, model: ModelKey) -> ModelKey:
        """Under which model the rows stand that were merged last for this one."""
        return self._seating.counted_as(model)

    def close_due(self) -> list[Window]:
        """The windows that the watermark has passed, and revisions of those that were amended, oldest first.

        They do not change any more: what comes late goes into copies.
        """
        now = self._clock()
        given, self._parting = self._parting, []
        due: list[tuple[Stream, Window]] = []
        passed: list[Stream] = []
        for stream in self.streams.values():
            watermark = self._watermark(stream, now)
            if watermark >= stream.due_unix_nano:
                passed.append(stream)
                due += [(stream, window) for window in stream.windows.values() if self._due(window) <= watermark]
        for (model, slot), due_s in self._amended.items():
            stream = self.streams[model]
            window = stream.windows[slot]
            if due_s <= now and self._due(window) > self._watermark(stream, now):
                due.append((stream, window))
        given += self._give_out(due, now)
        for stream in passed:
            stream.due_unix_nano = min(map(self._due, stream.windows.values()), default=_NEVER)
        return given

    def close_all(self) -> list[Window]:
        """All windows that were not evaluated as they are; those whose time had not come are marked as partial."""
        given = self.close_due()
        rest = [(stream, window) for stream in self.streams.values() for window in stream.windows.values()]
        for _, window in rest:
            window.is_partial = window.is_partial or not window.is_evaluated
        given += self._give_out(
            [pair for pair in rest if pair[1].is_amended or not pair[1].is_evaluated], self._clock()
        )
        for model, slot in list(self._retained):
            self._remove(self.streams[model], self.streams[model].windows[slot])
        return given

    def take_changes(self) -> Changes:
        """What has changed since this was last asked; if it could not be written, all there is has to be next time."""
        changes = Changes(frozenset(self._changed_streams), frozenset(self._changed_windows))
        self._changed_streams.clear()
        self._changed_windows.clear()
        return changes

    def restore_stream(self, model: ModelKey, latest_end_unix_nano: int, closed_until_unix_nano: int) -> None:
        """Put back how far a model's time had come; the time in between did not pass for it."""
        self.streams[model] = self._new_stream(latest_end_unix_nano, closed_until_unix_nano)

    def restore_window(
        self,
        model: ModelKey,
        start_unix_nano: int,
        end_unix_nano: int,
        *,
        segment: Segment | None = None,
        parts: Iterable[FeatureSummary] = (),
        row_sample: RowSample | None = None,
        calls: CallSummary | None = None,
        rows: int = 0,
        dropped_rows: int = 0,
        snapshots: int = 0,
        is_evaluated: bool = False,
        is_amended: bool = False,
        revision: int = 0,
    ) -> None:
        """Put back a window, or add to one that was put back; of another length, it keeps its own bounds."""
        stream, slot = self.streams[model], Slot(start_unix_nano, segment)
        window = stream.windows.get(slot)
        if window is None:
            window = Window(model, start_unix_nano, end_unix_nano, segment=segment)
        window.rows += rows
        window.dropped_rows += dropped_rows
        window.snapshots += snapshots
        window.unbinned.update({(part.key, part.kind): part for part in parts})
        add_bin_counts(window, window.unbinned.values())
        if row_sample is not None:
            add_rows(window, row_sample)
        if calls is not None:
            add_calls(window, calls)
        self._put(stream, window)
        self._resize(stream, window, size_of(window) - window.size)
        for key, _ in window.unbinned:
            stream.columns.take(key, start_unix_nano)
        if segment is not None and segment.value != OTHER_LABEL:
            stream.segments.take(segment, start_unix_nano)
        if is_evaluated:
            window.is_evaluated, window.is_amended, window.revision = True, bool(is_amended), revision
            stream.evaluated_until_unix_nano = max(stream.evaluated_until_unix_nano, window.end_unix_nano)
            self._retained[model, slot] = None
            if is_amended:
                self._amended[model, slot] = self._clock() + _REVISED_EVERY_S

    def _watermark(self, stream: Stream, now: float) -> int:
        return stream.latest_end_unix_nano + round((now - stream.heard_s) * _SECOND) - self._lateness

    def _due(self, window: Window) -> int:
        """The watermark at which it is evaluated, or, if it was, is closed for good."""
        return window.end_unix_nano + self._allowed if window.is_evaluated else window.end_unix_nano

    def _is_late(self, stream: Stream, slot: Slot) -> bool:
        end = slot.start_unix_nano + self._length
        is_closed = end <= stream.closed_until_unix_nano
        return is_closed or end + self._allowed <= self._watermark(stream, self._clock())

    def _find(self, snapshot: Snapshot, slot: Slot) -> tuple[Stream, Window] | Outcome:
        """The window of a snapshot that has none yet: a new one, or one that holds what lies beyond a limit."""
        stream = self.streams.get(snapshot.model)
        if stream is not None and self._is_late(stream, slot):
            return Outcome.LATE
        model = self._seating.model(snapshot.model)
        if model != snapshot.model:
            if slot.segment is not None:
                # Its rows are those of the whole, which are there.
                return Outcome.TOO_MANY_SEGMENTS
            stream = self.streams.get(model)
            if stream is not None and slot not in stream.windows and self._is_late(stream, slot):
                return Outcome.LATE
        if stream is None:
            stream = self.streams[model] = self._new_stream(snapshot.start_time_unix_nano, 0)
            self._forget_idle()
        return self._window(stream, model, slot)

    def _window(self, stream: Stream, model: ModelKey, wanted: Slot) -> tuple[Stream, Window] | Outcome:
        """A model's window: a new one of its own, or that of the segments beyond the limit."""
        slot = self._seating.slot(stream, wanted)
        if slot is None:
            return Outcome.TOO_MANY_SEGMENTS
        window = stream.windows.get(slot)
        if window is None:
            if not self._has_room(stream, slot):
                return Outcome.TOO_MANY_WINDOWS
            window = Window(model, slot.start_unix_nano, slot.start_unix_nano + self._length, segment=slot.segment)
            self._put(stream, window)
            if window.end_unix_nano <= stream.evaluated_until_unix_nano:
                # Nobody was heard of it until now: what is late is collected, as it is for other windows of the time.
                window.is_evaluated = True
                self._retained[model, slot] = None
        return stream, window

    def _has_room(self, stream: Stream, slot: Slot) -> bool:
        """Whether there is room for one more window, if need be because the oldest can no longer be amended."""
        while True:
            is_whole = slot.segment is None
            starts = {other.start_unix_nano for other in stream.windows if other.segment is None or not is_whole}
            if slot.start_unix_nano in starts or len(starts) < self._limits.open_windows:
                return True
            evaluated = [window for window in stream.windows.values() if window.is_evaluated]
            oldest = min((window.start_unix_nano for window in evaluated), default=slot.start_unix_nano)
            if oldest >= slot.start_unix_nano:
                return False
            for window in evaluated:
                if window.start_unix_nano == oldest:
                    self._part_with(stream, window)

    def _claim(self, window: Window, size: int) -> bool:
        """Whether a window may take so many bytes more."""
        stream, budget = self.streams[window.model], self._limits.memory_mib * _MIB
        if self.size + size > budget:
            for model, slot in list(self._retained):
                if (model, slot) != (window.model, window.slot) and self.size + size > budget:
                    self._part_with(self.streams[model], self.streams[model].windows[slot])
        # Whoever has less than its share is not held up by those who have more: together they stay within twice that.
        if self.size + size > budget and stream.size + size > budget // max(1, len(self._seating.active)):
            return False
        self._resize(stream, window, size)
        return True

    def _resize(self, stream: Stream, window: Window, size: int) -> None:
        window.size += size
        stream.size += size
        self.size += size

    def _ready(self, stream: Stream, window: Window) -> Window:
        """The window, ready to grow."""
        place = window.model, window.slot
        if window.is_shared:
            window = stream.windows[window.slot] = window.copied()
        if window.is_evaluated and not window.is_amended:
            window.is_amended = True
            window.revision += 1
            self._amended[place] = self._clock() + _REVISED_EVERY_S
        self._changed_windows.add(place)
        return window

    def _give_out(self, due: Iterable[tuple[Stream, Window]], now: float) -> list[Window]:
        """Those of the windows that are news; what is closed for good is no longer here."""
        given = []
        for stream, window in sorted(due, key=lambda pair: pair[1].end_unix_nano):
            is_last = window.end_unix_nano + self._allowed <= self._watermark(stream, now)
            if window.is_amended or not window.is_evaluated:
                given.append(self._given(stream, window))
            if is_last:
                self._remove(stream, window)
            else:
                self._retained[window.model, window.slot] = None
        return given

    def _given(self, stream: Stream, window: Window) -> Window:
        window.is_newest = window.end_unix_nano >= stream.evaluated_until_unix_nano
        stream.evaluated_until_unix_nano = max(stream.evaluated_until_unix_nano, window.end_unix_nano)
        window.is_evaluated = window.is_shared = True
        window.is_amended = False
        self._amended.pop((window.model, window.slot), None)
        self._changed_windows.add((window.model, window.slot))
        return window

    def _part_with(self, stream: Stream, window: Window) -> None:
        """Let go a window that was evaluated, before its time; a last revision is given out with the next windows."""
        if window.is_amended:
            self._parting.append(self._given(stream, window))
        self._remove(stream, window)

    def _put(self, stream: Stream, window: Window) -> None:
        stream.windows[window.slot] = window
        stream.due_unix_nano = min(stream.due_unix_nano, self._due(window))
        self._seating.active.add(window.model)

    def _remove(self, stream: Stream, window: Window) -> None:
        place = window.model, window.slot
        del stream.windows[window.slot]
        self._retained.pop(place, None)
        self._amended.pop(place, None)
        self._resize(stream, window, -window.size)
        stream.closed_until_unix_nano = max(stream.closed_until_unix_nano, window.end_unix_nano)
        if not stream.windows:
            self._seating.active.discard(window.model)
        self._changed_windows.add(place)
        self._changed_streams.add(window.model)

    def _new_stream(self, latest_end_unix_nano: int, closed_until_unix_nano: int) -> Stream:
        return Stream(
            latest_end_unix_nano,
            closed_until_unix_nano,
            self._clock(),
            Seats(self._limits.segments, self._length),
            Seats(self._limits.features, self._length),
            evaluated_until_unix_nano=closed_until_unix_nano,
        )

    def _forget_idle(self) -> None:
        """Forget the model that was silent longest, where there are too many that have no windows."""
        if len(self.streams) > (1 + _IDLE) * self._limits.models + 1:
            idle = [(stream.heard_s, model) for model, stream in self.streams.items() if not stream.windows]
            silent = min(idle)[1]
            del self.streams[silent]
            self._changed_streams.add(silent)

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
            found = Outcome.LATE if self._is_late(stream, slot) else self._window(stream, whole.model, slot)
            if isinstance(found, Outcome):
                self.features_dropped[found.value] += len(snapshot.features)
                return
            _, window = found
        window = self._ready(stream, window)
        # What cannot be added up here cannot be in the whole either, and was counted there.
        counted = self.features_dropped.copy()
        self._adding.add(window, stream.columns, snapshot, is_shared=True)
        self._adding.features_dropped = counted

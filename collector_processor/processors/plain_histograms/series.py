"""What was counted of every series of data points: the memory that makes plain histograms count once.

OTLP delivers at least once, and batches overtake each other. A delta is known again by its interval. A cumulative point
counts as what it has more than the latest before it; an older one has nothing to add. Each start time is a series of
its own, so that a process that began anew, or a second one that looks the same, needs no guess at what was reset.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple, TypeAlias

from collector_processor.component import HistogramPoint
from collector_processor.processors.plain_histograms.counted import Values, difference

INTERVALS: Final = 64
"""Of deltas that are remembered one by one: retries reorder by a few."""


class Skipped(Enum):
    """Why a data point adds nothing."""

    EMPTY = "empty"
    """It counts no value."""
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"
    """Older than what is remembered, or a cumulative one that a later one overtook."""
    REFERENCE = "reference"
    """The first cumulative one of a series that began long ago: nobody knows how much of it was counted before."""
    RESET = "reset"
    """Less than before, though it began at the same time; later ones are compared with this one."""
    TOO_MANY_SERIES = "too_many_series"


class Increment(NamedTuple):
    """Values that came between two points in time."""

    start_unix_nano: int
    end_unix_nano: int
    values: Values


@dataclass(slots=True)
class Deltas:
    """The intervals of a series that were counted; all that ended by `forgotten_until` are taken for counted."""

    latest: int
    intervals: OrderedDict[tuple[int, int], None] = field(default_factory=OrderedDict)
    forgotten_until: int = 0


@dataclass(slots=True)
class Cumulative:
    """The latest state of a series."""

    latest: int
    values: Values


State: TypeAlias = Deltas | Cumulative


class SeriesMemory:
    """Remembers a bounded number of series.

    Args:
        limit: Beyond it a new series makes room for the one that was silent longest, if it was for `horizon_ns`; or
            else is not counted.
        horizon_ns: A cumulative series that began no longer before its first point is new, and counts as a whole.

    Attributes:
        forgotten_until: The latest point of all series that had to make room: what a series that nobody remembers says
            of the time before may have been counted.
        changed: Keys of what is no longer as it was when this was last emptied.
    """

    def __init__(self, limit: int, horizon_ns: int) -> None:
        self._limit = limit
        self._horizon = horizon_ns
        self._states: OrderedDict[bytes, State] = OrderedDict()
        self.forgotten_until = 0
        self.changed: set[bytes] = set()

    @property
    def states(self) -> Mapping[bytes, State]:
        """What is remembered, the least recently heard first."""
        return self._states

    def restore(self, states: Mapping[bytes, State], forgotten_until: int) -> None:
        """Remember what was kept."""
        self._states = OrderedDict(sorted(states.items(), key=lambda item: item[1].latest))
        self.forgotten_until = forgotten_until

    def add(self, point: HistogramPoint) -> Increment | Skipped:
        """What a data point adds to all that came before."""
        key = _key(point)
        state = self._states.get(key)
        if state is None and not self._make_room(point.time_unix_nano):
            return Skipped.TOO_MANY_SERIES
        found = self._cumulative(key, point, state) if point.is_cumulative else self._delta(key, point, state)
        if key in self._states:
            self._states.move_to_end(key)
            self.changed.add(key)
        if isinstance(found, Increment) and found.values.counts.count == 0:
            return Skipped.EMPTY
        return found

    def _delta(self, key: bytes, point: HistogramPoint, state: State | None) -> Increment | Skipped:
        start, end = point.start_time_unix_nano, point.time_unix_nano
        if not isinstance(state, Deltas):
            if end <= self.forgotten_until:
                return Skipped.TOO_OLD
            state = self._states[key] = Deltas(end)
        if (start, end) in state.intervals:
            return Skipped.DUPLICATE
        if end <= state.forgotten_until:
            return Skipped.TOO_OLD
        state.intervals[start, end] = None
        if len(state.intervals) > INTERVALS:
            oldest = min(state.intervals, key=lambda interval: interval[1])
            del state.intervals[oldest]
            state.forgotten_until = max(state.forgotten_until, oldest[1])
        state.latest = max(state.latest, end)
        # Who does not say since when it counts is taken to have counted just then.
        return Increment(min(start or end, end - 1), end, _values(point))

    def _cumulative(self, key: bytes, point: HistogramPoint, state: State | None) -> Increment | Skipped:
        start, end = point.start_time_unix_nano, point.time_unix_nano
        values = _values(point)
        if not isinstance(state, Cumulative):
            self._states[key] = Cumulative(end, values)
            is_new = start > self.forgotten_until and end - start <= self._horizon
            return Increment(min(start, end - 1), end, values) if is_new and start else Skipped.REFERENCE
        if end <= state.latest:
            return Skipped.DUPLICATE if end == state.latest else Skipped.TOO_OLD
        earlier, begin = state.values, state.latest
        state.latest, state.values = end, values
        added = difference(values, earlier)
        return Skipped.RESET if added is None else Increment(begin, end, added)

    def _make_room(self, now: int) -> bool:
        if len(self._states) < self._limit:
            return True
        key, silent = next(iter(self._states.items()))
        if silent.latest + self._horizon > now:
            return False
        del self._states[key]
        self.changed.add(key)
        self.forgotten_until = max(self.forgotten_until, silent.latest)
        return True


def _key(point: HistogramPoint) -> bytes:
    if not point.is_cumulative:
        return b"d" + point.series
    return b"c" + point.series + point.start_time_unix_nano.to_bytes(8, "big")


def _values(point: HistogramPoint) -> Values:
    return Values(point.counts, point.total, point.minimum, point.maximum)

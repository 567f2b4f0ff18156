"""The past windows of one model: one by one, and merged by the hour."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from collector_processor.processors.references.kept import KeptWindow
from collector_processor.processors.references.settings import HOUR
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment


class Subject(NamedTuple):
    """Whose windows: those of one version of a model, or of one segment of it."""

    model: ModelKey
    segment: Segment | None = None


@dataclass(slots=True)
class Series:
    """The windows of one subject, both by their start and in its order.

    Attributes:
        first_unix_nano: When the subject was first heard of.
        latest_unix_nano: Where its latest window ended.
        windows: One by one.
        hours: Merged; there are none where a window is an hour or longer.
        open_hours: Those that have windows, and are not merged yet.
    """

    first_unix_nano: int
    latest_unix_nano: int
    windows: dict[int, KeptWindow] = field(default_factory=dict)
    hours: dict[int, KeptWindow] = field(default_factory=dict)
    open_hours: set[int] = field(default_factory=set)

    def __iter__(self) -> Iterator[KeptWindow]:
        yield from self.windows.values()
        yield from self.hours.values()

    def __len__(self) -> int:
        return len(self.windows) + len(self.hours)

    @property
    def size(self) -> int:
        """How much memory it takes, in bytes, about."""
        return sum(kept.size for kept in self)

    @property
    def oldest(self) -> dict[int, KeptWindow]:
        """Where its oldest piece is, `windows` or `hours`; there has to be one."""
        return min((known for known in (self.windows, self.hours) if known), key=lambda known: next(iter(known)))

    def within(self, start: int, end: int) -> list[KeptWindow]:
        """Everything that lies within this time, oldest first, in as few pieces as there are."""
        hours = [hour for hour in self.hours.values() if start <= hour.start_unix_nano and hour.end_unix_nano <= end]
        merged = {hour.start_unix_nano for hour in hours}
        windows = [
            window
            for window in self.windows.values()
            if start <= window.start_unix_nano
            and window.end_unix_nano <= end
            and hour_of(window.start_unix_nano) not in merged
        ]
        return sorted(hours + windows, key=lambda kept: kept.start_unix_nano)

    def usual(self, start: int, end: int, margin: int) -> list[KeptWindow]:
        """What can stand for a time: its own windows, or else the hours it lies in; oldest first."""
        windows = [
            window
            for window in self.windows.values()
            if start - margin <= window.start_unix_nano and window.end_unix_nano <= end + margin
        ]
        if windows:
            return windows
        return [hour for hour in self.hours.values() if hour.start_unix_nano < end and start < hour.end_unix_nano]


def hour_of(at: int) -> int:
    """The start of the hour, in nanoseconds since 1970."""
    return at - at % HOUR

"""The windows of the past, for as long as a reference needs them.

A day of windows is kept one by one, for the same minutes of yesterday. What is older, or is always asked for in spans
of hours, is kept merged by the hour: a week of five-minute windows is 168 pieces rather than 2,016, and 24 hours are
merged from 24. Used by one thread at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from collector_processor.component import Store
from collector_processor.processors.references.kept import KeptWindow, Merged, merge
from collector_processor.processors.references.series import Series, Subject, hour_of
from collector_processor.processors.references.settings import (
    DAY,
    HOUR,
    LOOK_BACK_DAYS,
    SECOND,
    WEEK,
    ReferenceSettings,
)
from collector_processor.processors.windows import Window
from collector_processor.processors.windows.overflow import is_mixed
from otel_ml.sketch.feature import FeatureKey, ModelKey
from otel_ml.sketch.snapshot import Segment

SECTION: Final = "window_history"
_MIB: Final = 1 << 20


class WindowHistory:
    """Keeps closed windows, encoded, within bounds.

    Args:
        settings: What is to be compared, so what is to be kept.
        window_s: Length of a window, in seconds.

    Attributes:
        dropped: What was lost before its time since the counter was last emptied, by reason: "too_many_series",
            "too_many_windows", "memory", "corrupt", "incompatible".
        size: Memory that is taken, in bytes, about.
    """

    def __init__(self, settings: ReferenceSettings, window_s: float) -> None:
        self._limits = settings.history
        self._keeps_segments = settings.segments
        self._deployments = settings.stable.dimension
        self.length = round(window_s * SECOND)
        self._windows_for, self._hours_for = _retention(settings, self.length)
        self._longest = max(self._windows_for, self._hours_for) + 2 * HOUR
        self._series: dict[Subject, Series] = {}
        # Hours whose sections differ from what the store has, and those that it has.
        self._unwritten: set[tuple[Subject, int]] = set()
        self._stored: set[tuple[Subject, int]] = set()
        self.dropped: Counter[str] = Counter()
        self.size = 0

    def __len__(self) -> int:
        return sum(map(len, self._series.values()))

    def subjects(self) -> list[Subject]:
        """Who has windows here."""
        return list(self._series)

    def first_heard(self, subject: Subject) -> int | None:
        """When the subject's first window began, in nanoseconds since 1970; None if nothing is known of it."""
        series = self._series.get(subject)
        return None if series is None else series.first_unix_nano

    def remember(self, window: Window) -> None:
        """Keep a closed window; it stays as it is. One that is evaluated again takes its own place, drifted or not."""
        subject = Subject(window.model, window.segment)
        if not self._is_wanted(subject):
            return
        series = self._series.get(subject)
        if series is None:
            series = self._add(subject, window)
        known = series.windows.get(window.start_unix_nano)
        # A window that a restart cut in two: the larger part stands for it.
        if known is None or known.rows < window.rows or (window.revision and known.rows == window.rows):
            self._put(subject, series.windows, KeptWindow.of(window))
            series.open_hours.add(hour_of(window.start_unix_nano))
        is_new_hour = hour_of(window.end_unix_nano) > hour_of(series.latest_unix_nano)
        series.latest_unix_nano = max(series.latest_unix_nano, window.end_unix_nano)
        self._merge_hours(subject, series)
        self._expire(subject, series, series.latest_unix_nano)
        if is_new_hour:
            self._expire_versions(subject, series.latest_unix_nano)
        self._keep_bounds(subject, series)

    def mark_drifted(self, window: Window, columns: Iterable[FeatureKey]) -> None:
        """Remember which columns drifted in a window, so that they are no example to the next day."""
        subject, hour = Subject(window.model, window.segment), hour_of(window.start_unix_nano)
        series = self._series.get(subject)
        if series is None:
            return
        columns = frozenset(columns)
        for known, start in ((series.windows, window.start_unix_nano), (series.hours, hour)):
            if columns and start in known:
                known[start] = known[start].marked(columns)
                self._unwritten.add((subject, hour))

    def at(self, subject: Subject, start: int, end: int) -> KeptWindow | None:
        """The window of exactly this time."""
        series = self._series.get(subject)
        window = series.windows.get(start) if series else None
        return window if window is not None and window.end_unix_nano == end else None

    def within(self, subject: Subject, start: int, end: int) -> list[KeptWindow]:
        """Everything that lies within this time, oldest first, in as few pieces as there are."""
        series = self._series.get(subject)
        return series.within(start, end) if series else []

    def usual(self, subject: Subject, start: int, end: int, *, margin: int = 0) -> list[KeptWindow]:
        """What can stand for a time: its own windows, or else the hours it lies in; oldest first.

        Args:
            subject: Whose.
            start: In nanoseconds since 1970.
            end: Likewise.
            margin: How much time on either side windows are taken from too, in nanoseconds.
        """
        series = self._series.get(subject)
        return series.usual(start, end, margin) if series else []

    def merged(self, subject: Subject, windows: Iterable[KeptWindow]) -> Merged:
        """Windows of a subject together; those that cannot be read are forgotten and counted."""
        merged = merge(windows)
        series = self._series.get(subject)
        for corrupt in merged.corrupt:
            self.dropped["corrupt"] += 1
            for known in (series.windows, series.hours) if series else ():
                if known.get(corrupt.start_unix_nano) is corrupt:
                    self._drop(subject, known, corrupt.start_unix_nano)
        if series is not None and not series:
            del self._series[subject]
        if merged.incompatible:
            self.dropped["incompatible"] += merged.incompatible
        return merged

    def sections(self) -> dict[str, dict[str, bytes]]:
        """What changed since it was last `written`, for `Store.write`: one section an hour, and one that lists them."""
        if not self._unwritten:
            return {}
        changed = {_section(subject, hour): self._encode(subject, hour) for subject, hour in self._unwritten}
        changed[SECTION] = {
            json.dumps(subject): json.dumps(
                {"first": series.first_unix_nano, "hours": sorted({hour_of(kept.start_unix_nano) for kept in series})}
            ).encode()
            for subject, series in self._series.items()
        }
        return changed

    def written(self) -> None:
        """What `sections` last gave is safe; nothing may have been remembered in between."""
        self._stored |= self._unwritten
        self._unwritten.clear()
        kept = {(subject, hour_of(kept.start_unix_nano)) for subject, series in self._series.items() for kept in series}
        self._stored &= kept

    def restore(self, store: Store) -> None:
        """Remember what `sections` gave, of whichever settings; what cannot be read is counted and left out."""
        for key, value in store.read(SECTION).items():
            try:
                subject, first, hours = _parse(key, value)
            except (ValueError, TypeError, KeyError):
                self.dropped["corrupt"] += 1
                continue
            series = Series(first, first)
            self._stored |= {(subject, hour) for hour in hours}
            for hour in hours:
                self._restore_hour(subject, series, hour, store.read(_section(subject, hour)))
            is_too_many = len(self._series) >= self._limits.series
            if is_too_many:
                self.dropped["too_many_series"] += 1
            if not series or is_too_many or not self._is_wanted(subject):
                self.size -= series.size
                self._unwritten |= {(subject, hour) for hour in hours}
                continue
            self._series[subject] = series
            series.latest_unix_nano = max(kept.end_unix_nano for kept in series)
            series.open_hours = {hour_of(start) for start in series.windows} - set(series.hours)
            self._expire(subject, series, series.latest_unix_nano)
            self._keep_bounds(subject, series)

    def _restore_hour(self, subject: Subject, series: Series, hour: int, entries: Mapping[str, bytes]) -> None:
        for key, value in sorted(entries.items()):
            known = series.hours if key.startswith("hour/") else series.windows
            try:
                kept = KeptWindow.decode(value)
                if hour_of(kept.start_unix_nano) != hour:
                    raise ValueError("a window of another hour")  # noqa: TRY301 - dropped like other nonsense
            except ValueError:
                self.dropped["corrupt"] += 1
                self._unwritten.add((subject, hour))
                continue
            known[kept.start_unix_nano] = kept
            self.size += kept.size

    def _is_wanted(self, subject: Subject) -> bool:
        segment = subject.segment
        if is_mixed(subject.model):
            return False
        return segment is None or self._keeps_segments or segment.dimension == self._deployments

    def _add(self, subject: Subject, window: Window) -> Series:
        if len(self._series) >= self._limits.series:
            silent = min(self._series, key=lambda other: self._series[other].latest_unix_nano)
            self._forget(silent)
            self.dropped["too_many_series"] += 1
        series = self._series[subject] = Series(window.start_unix_nano, window.end_unix_nano)
        return series

    def _forget(self, subject: Subject) -> None:
        series = self._series.pop(subject)
        self.size -= series.size
        self._unwritten |= {(subject, hour_of(kept.start_unix_nano)) for kept in series}

    def _put(self, subject: Subject, known: dict[int, KeptWindow], kept: KeptWindow) -> None:
        start = kept.start_unix_nano
        is_in_order = not known or next(reversed(known)) <= start
        self.size += kept.size - (known[start].size if start in known else 0)
        known[start] = kept
        self._unwritten.add((subject, hour_of(start)))
        if not is_in_order:
            in_order = sorted(known.items())
            known.clear()
            known.update(in_order)

    def _drop(self, subject: Subject, known: dict[int, KeptWindow], start: int) -> None:
        self.size -= known.pop(start).size
        self._unwritten.add((subject, hour_of(start)))

    def _merge_hours(self, subject: Subject, series: Series) -> None:
        """Merge the windows of the hours that are over."""
        if self.length >= HOUR:
            series.open_hours.clear()
            return
        for hour in sorted(series.open_hours):
            if hour + HOUR > series.latest_unix_nano:
                continue
            series.open_hours.discard(hour)
            windows = [window for window in series.windows.values() if hour_of(window.start_unix_nano) == hour]
            merged = self.merged(subject, windows)
            # A late-comer may meet an hour whose other windows are gone.
            if merged.windows and merged.windows >= (series.hours[hour].windows if hour in series.hours else 0):
                self._put(subject, series.hours, merged.kept(hour, hour + HOUR))

    def _expire_versions(self, subject: Subject, now: int) -> None:
        """Let go what was kept of versions of the same model that are not served any more."""
        for other in [other for other in self._series if other.model.name == subject.model.name]:
            series = self._series[other]
            self._expire(other, series, now)
            if not series:
                del self._series[other]
        # Where nothing is ever written, what is gone need not be removed from anywhere.
        self._unwritten = {
            (other, hour)
            for other, hour in self._unwritten
            if (other, hour) in self._stored or hour + HOUR > now - self._longest or other.model != subject.model
        }

    def _expire(self, subject: Subject, series: Series, now: int) -> None:
        """Let go what no reference will ask for any more."""
        windows_from, hours_from = now - self._windows_for, now - self._hours_for
        for known, earliest in ((series.windows, windows_from), (series.hours, hours_from)):
            for start in [start for start, kept in known.items() if kept.end_unix_nano <= earliest]:
                self._drop(subject, known, start)
        series.open_hours = {hour for hour in series.open_hours if hour + HOUR > windows_from}

    def _keep_bounds(self, subject: Subject, series: Series) -> None:
        while len(series) > self._limits.windows:
            self._drop_oldest(subject)
            self.dropped["too_many_windows"] += 1
        while self.size > self._limits.memory_mib * _MIB and self._series:
            self._drop_oldest(min(self._series, key=self._oldest))
            self.dropped["memory"] += 1

    def _oldest(self, subject: Subject) -> int:
        return next(iter(self._series[subject].oldest))

    def _drop_oldest(self, subject: Subject) -> None:
        series = self._series[subject]
        self._drop(subject, series.oldest, self._oldest(subject))
        if not series:
            del self._series[subject]

    def _encode(self, subject: Subject, hour: int) -> dict[str, bytes]:
        series = self._series.get(subject)
        if series is None:
            return {}
        entries = {
            f"window/{window.start_unix_nano:020d}": window.encode()
            for window in series.windows.values()
            if hour_of(window.start_unix_nano) == hour
        }
        if hour in series.hours:
            entries[f"hour/{hour:020d}"] = series.hours[hour].encode()
        return entries


def _retention(settings: ReferenceSettings, window: int) -> tuple[int, int]:
    """For how long single windows, and hours, are needed after they ended."""
    # Other versions of the model may be some windows behind.
    single = 12 * window
    if settings.last_day:
        single = max(single, DAY + (settings.neighbours + 1) * window)
    spans = max(settings.trailing.nanoseconds(window), round(settings.rollup * SECOND))
    # The time before the first whole hour is made of windows.
    hourly = spans + HOUR if spans else 0
    days = LOOK_BACK_DAYS * DAY + (settings.neighbours + 1) * window if settings.last_day else 0
    hourly = max(hourly, days and days + HOUR, WEEK + HOUR if settings.last_week else 0)
    if window >= HOUR:
        longest = max(single, days, WEEK + window if settings.last_week else 0, spans + window)
        return longest, longest
    return max(single, 2 * HOUR), max(hourly, 2 * HOUR)


def _section(subject: Subject, hour: int) -> str:
    return f"{SECTION}/{json.dumps(subject)}/{hour}"


def _parse(key: str, value: bytes) -> tuple[Subject, int, list[int]]:
    """A subject, when it was first heard of, and its hours.

    Raises:
        ValueError, TypeError, KeyError: These are no such bytes.
    """
    (name, version), segment = json.loads(key)
    fields: Any = json.loads(value)
    first, hours = fields["first"], fields["hours"]
    texts = [name, version, *(segment or ())]
    if not all(isinstance(text, str) for text in texts) or not all(type(number) is int for number in (first, *hours)):
        raise ValueError("no list of hours")
    return Subject(ModelKey(name, version), Segment(*segment) if segment else None), first, sorted(hours)

"""The references of a window, each with its name, and with its reason where there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Final

from collector_processor.processors.columns import columns_of
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.kept import KeptWindow
from collector_processor.processors.references.series import Subject
from collector_processor.processors.references.settings import (
    BASELINE,
    DAY,
    LAST_DAY,
    LAST_WEEK,
    LOOK_BACK_DAYS,
    SECOND,
    STABLE,
    TRAILING,
    WEEK,
    ReferenceSettings,
)
from collector_processor.processors.references.stable import Deployment, stable_one
from collector_processor.processors.windows import Slot, Window, WindowStore
from collector_processor.processors.windows.overflow import is_mixed
from otel_ml.baseline import Baseline
from otel_ml.drift.comparison import distributions
from otel_ml.drift.quality import DataQuality, data_quality
from otel_ml.drift.windows import window_distributions
from otel_ml.semconv import OTHER_LABEL
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.distribution import Distribution
from otel_ml.sketch.feature import FeatureKey, FeatureKind, ModelKey
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.summary import FeatureSummary

# Of a longer time, so much must have been seen before it counts as that time.
_COVERED: Final = 0.5
# Half a day is all nights or all days; only in a whole one do they average out.
_ROLLED_UP: Final = 0.9
_NOBODY: Final = Subject(ModelKey(""))


@dataclass(frozen=True, slots=True)
class NamedReference:
    """What a window is compared with.

    Attributes:
        name: "baseline", "trailing", "last_day", "last_week" or "stable".
        description: Which one that is, for people.
        rows: Rows behind it.
        insufficient: Why there is nothing to compare with ("insufficient_data"); None where there is.
        columns: A summary of each column; empty where it is insufficient.
        layouts: Bins that baselines known here cut for each column, its own first.
        earlier: Columns whose summaries are of some days earlier, for they drifted at the time that this stands for.
        is_baseline: Whether every sketch holds all values; in windows, each value is in one.
    """

    name: str
    description: str
    rows: int = 0
    insufficient: str | None = None
    columns: Mapping[FeatureKey, FeatureSummary] = field(default_factory=dict)
    layouts: Mapping[FeatureKey, Sequence[BinLayout]] = field(default_factory=dict)
    earlier: frozenset[FeatureKey] = frozenset()
    is_baseline: bool = False

    def pair(self, current: FeatureSummary) -> tuple[Distribution, Distribution] | None:
        """The distributions of this reference and of a window's column that detectors should compare, if there are."""
        reference = self.columns.get(current.key)
        if reference is None:
            return None
        layouts = self.layouts.get(current.key, ())
        if self.is_baseline:
            return distributions(reference, current, next(iter(layouts), None))
        return window_distributions(reference, current, layouts)

    def quality(self, current: FeatureSummary) -> DataQuality | None:
        """How a column's data quality compares with this reference's; None where it does not know the column."""
        reference = self.columns.get(current.key)
        if reference is None:
            return None
        return data_quality(reference, current, next(iter(self.layouts.get(current.key, ())), None))


@dataclass(frozen=True, slots=True)
class Selection:
    """A reference that was found but not read yet: reading takes milliseconds, and may be done in another thread.

    Attributes:
        subject: Whose windows they are.
        windows: What is to be merged; empty where it is insufficient, and for a baseline.
        baselines: Whose bins the values may be counted in, that of the compared model first.
        kinds: How the compared window's columns are read.
        substitutes: Windows of earlier days, with the columns that are to be taken from them.
    """

    name: str
    description: str
    insufficient: str | None = None
    subject: Subject = _NOBODY
    windows: Sequence[KeptWindow] = ()
    baselines: Sequence[Baseline] = ()
    kinds: Mapping[FeatureKey, FeatureKind] = field(default_factory=dict)
    substitutes: Sequence[tuple[Sequence[KeptWindow], frozenset[FeatureKey]]] = ()


class NamedReferences:
    """Finds what a window is to be compared with.

    Args:
        settings: Which references there are.
        history: Where past windows are kept; the window itself should be remembered before it is compared, so that
            versions that close together find each other.
        baseline_of: The baseline of a model, if there is one.
        min_rows: Rows below which a reference tells nothing.
        open_windows: Where the windows are that have not closed yet, for versions whose clocks are a little behind.
    """

    def __init__(
        self,
        settings: ReferenceSettings,
        history: WindowHistory,
        baseline_of: Callable[[ModelKey], Baseline | None],
        min_rows: int,
        open_windows: WindowStore | None = None,
    ) -> None:
        self._settings = settings
        self._history = history
        self._baseline_of = baseline_of
        self._min_rows = min_rows
        self._open = open_windows

    def of(self, window: Window) -> list[NamedReference]:
        """All references that are configured, in order: `select` and `read` in one."""
        return [self.read(selection) for selection in self.select(window)]

    def select(self, window: Window) -> list[Selection]:
        """All references that are configured, in order, found but not read. Looks into open windows: same thread.

        A segment has them only where that is configured, and a deployment at least the stable one; versions that share
        an overflow series have none.
        """
        if is_mixed(window.model):
            return []
        finders: dict[str, Callable[[Window], Selection]] = {
            BASELINE: self._baseline,
            TRAILING: self._trailing,
            LAST_DAY: self._last_day,
            LAST_WEEK: self._last_week,
            STABLE: self._stable,
        }
        names = self._settings.names(self._history.length)
        if window.segment is not None and not self._settings.segments:
            names = (STABLE,) if STABLE in names and self._is_deployment(window.segment) else ()
        found = [finders[name](window) for name in names]
        if not any(selection.windows for selection in found):
            return found
        kinds = _kinds(window, self._baseline_of(window.model))
        return [replace(selection, kinds=kinds) for selection in found]

    def read(self, selection: Selection) -> NamedReference:
        """The reference that was found."""
        if selection.insufficient is not None:
            return NamedReference(selection.name, selection.description, insufficient=selection.insufficient)
        layouts = _layouts(selection.baselines)
        if selection.name == BASELINE:
            (baseline,) = selection.baselines
            return NamedReference(
                BASELINE,
                selection.description,
                baseline.rows,
                columns=baseline.features,
                layouts=layouts,
                is_baseline=True,
            )
        merged = self._history.merged(selection.subject, selection.windows)
        if merged.rows < self._min_rows:
            # Some could not be read.
            return NamedReference(
                selection.name, selection.description, merged.rows, insufficient=self._too_few(merged.rows)
            )
        columns = columns_of(merged.parts, merged.rows, selection.kinds)
        earlier = self._earlier_columns(selection)
        return NamedReference(
            selection.name,
            selection.description,
            merged.rows,
            columns={**columns, **earlier},
            layouts=layouts,
            earlier=frozenset(earlier),
        )

    def rollup(self, window: Window) -> Window | None:
        """The merged window that ends with this one, which should be remembered, when it is time to judge it.

        None between times, and where less than nine tenths of its length was seen. It is evaluated like any other
        window, but against the baseline only: seasons average out in it, and gradual drift adds up.
        """
        length, every = round(self._settings.rollup * SECOND), round(self._settings.rollup_every * SECOND)
        if not length or window.end_unix_nano // every == window.start_unix_nano // every:
            return None
        subject = Subject(window.model, window.segment)
        start = window.end_unix_nano - length
        merged = self._history.merged(subject, self._history.within(subject, start, window.end_unix_nano))
        if merged.covered < _ROLLED_UP * length:
            return None
        return Window(
            window.model, start, window.end_unix_nano, merged.rows, unbinned=merged.parts, segment=window.segment
        )

    def _baseline(self, window: Window) -> Selection:
        baseline = self._baseline_of(window.model)
        if baseline is None:
            return Selection(BASELINE, "none", "the model has no baseline")
        return Selection(BASELINE, f"{baseline.id[:8]}, {baseline.rows} rows", baselines=(baseline,))

    def _trailing(self, window: Window) -> Selection:
        length = self._settings.trailing.nanoseconds(self._history.length)
        start, end = window.start_unix_nano - length, window.start_unix_nano
        subject = Subject(window.model, window.segment)
        found = self._history.within(subject, start, end)
        covered = sum(kept.covered for kept in found) / length
        if covered < _COVERED:
            reason = f"of the time before, {covered:.0%} was seen (at least {_COVERED:.0%})"
            return Selection(TRAILING, _span(start, end), reason)
        return self._selected(TRAILING, _span(start, end), window, subject, found)

    def _last_day(self, window: Window) -> Selection:
        selection = self._same_time(LAST_DAY, window, self._usual(window, DAY))
        # Compared with an incident of yesterday, today would be unusual: the day before is the example then. But what
        # has been so for days is the usual.
        missing = frozenset(key for kept in selection.windows for key in kept.drifted)
        substitutes = []
        for days in range(2, LOOK_BACK_DAYS + 1):
            found = self._usual(window, days * DAY) if missing else []
            here = missing.difference(*(kept.drifted for kept in found)) if found else frozenset[FeatureKey]()
            if here:
                substitutes.append((found, here))
                missing -= here
        return replace(selection, substitutes=substitutes)

    def _last_week(self, window: Window) -> Selection:
        return self._same_time(LAST_WEEK, window, self._usual(window, WEEK))

    def _usual(self, window: Window, by: int) -> list[KeptWindow]:
        subject = Subject(window.model, window.segment)
        margin = self._settings.neighbours * self._history.length if by < WEEK else 0
        start, end = window.start_unix_nano - by, window.end_unix_nano - by
        return self._history.usual(subject, start, end, margin=margin)

    def _same_time(self, name: str, window: Window, found: Sequence[KeptWindow]) -> Selection:
        if not found:
            return Selection(name, "none", "no window of that time is kept")
        description = _span(found[0].start_unix_nano, found[-1].end_unix_nano)
        return self._selected(name, description, window, Subject(window.model, window.segment), found)

    def _earlier_columns(self, selection: Selection) -> dict[FeatureKey, FeatureSummary]:
        columns: dict[FeatureKey, FeatureSummary] = {}
        for windows, keys in selection.substitutes:
            merged = self._history.merged(selection.subject, windows)
            if merged.rows >= self._min_rows:
                found = columns_of(merged.parts, merged.rows, selection.kinds)
                columns |= {key: column for key, column in found.items() if key in keys}
        return columns

    def _stable(self, window: Window) -> Selection:
        own = Subject(window.model, window.segment)
        me = Deployment(own, self._first_heard(own, window), window)
        chosen = stable_one(self._settings.stable, me, self._others(own, window), self._min_rows)
        if isinstance(chosen, str):
            return Selection(STABLE, "none", chosen)
        description = f"{chosen.title} in the same window"
        return self._selected(STABLE, description, window, chosen.subject, [chosen.kept])

    def _selected(
        self, name: str, description: str, window: Window, subject: Subject, found: Sequence[KeptWindow]
    ) -> Selection:
        rows = sum(kept.rows for kept in found)
        baselines = [self._baseline_of(window.model), self._baseline_of(subject.model)]
        known = tuple(dict.fromkeys(baseline for baseline in baselines if baseline is not None))
        return Selection(
            name,
            description,
            None if rows >= self._min_rows else self._too_few(rows),
            subject,
            found,
            known,
        )

    def _others(self, own: Subject, window: Window) -> list[Deployment]:
        """The other deployments of the model, as far as they have a window of the same time."""
        subjects = dict.fromkeys(self._history.subjects())
        slot = Slot(window.start_unix_nano, window.segment)
        if self._open is not None and not self._is_deployment(own.segment):
            subjects |= dict.fromkeys(Subject(model, own.segment) for model in self._open.streams)
        others = []
        for subject in subjects:
            if not self._is_sibling(own, subject):
                continue
            found: KeptWindow | Window | None = self._history.at(subject, window.start_unix_nano, window.end_unix_nano)
            if found is None and self._open is not None and subject.model in self._open.streams:
                found = self._open.streams[subject.model].windows.get(slot._replace(segment=subject.segment))
            if found is not None:
                others.append(Deployment(subject, self._first_heard(subject, window), found))
        return others

    def _is_sibling(self, own: Subject, other: Subject) -> bool:
        if is_mixed(other.model) or (other.segment is not None and other.segment.value == OTHER_LABEL):
            return False
        if self._is_deployment(own.segment):
            return other.model == own.model and self._is_deployment(other.segment) and other.segment != own.segment
        return other.model.name == own.model.name and other.model != own.model and other.segment == own.segment

    def _is_deployment(self, segment: Segment | None) -> bool:
        return segment is not None and segment.dimension == self._settings.stable.dimension

    def _first_heard(self, subject: Subject, window: Window) -> int:
        first = self._history.first_heard(subject)
        return window.start_unix_nano if first is None else first

    def _too_few(self, rows: int) -> str:
        return f"{rows} rows (at least {self._min_rows})"


def _kinds(window: Window, baseline: Baseline | None) -> dict[FeatureKey, FeatureKind]:
    """How the window's columns are read: as the baseline has them, or as most of their rows were."""
    kinds = {key: column.kind for key, column in columns_of(window.parts, window.rows, {}).items()}
    if baseline is not None:
        kinds |= {key: column.kind for key, column in baseline.features.items()}
    return kinds


def _layouts(baselines: Sequence[Baseline]) -> dict[FeatureKey, list[BinLayout]]:
    layouts: dict[FeatureKey, list[BinLayout]] = {}
    for baseline in baselines:
        for key, layout in baseline.layouts.items():
            layouts.setdefault(key, []).append(layout)
    return layouts


def _span(start: int, end: int) -> str:
    first, last = (datetime.fromtimestamp(at / SECOND, timezone.utc) for at in (start, end))
    return f"{first:%Y-%m-%dT%H:%MZ} to {last:%Y-%m-%dT%H:%MZ}"

"""The slices of a model's rows, worst first: those that fire, then those that are unlike their own past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from collector_processor.console.buckets import heat_groups, heat_row, known_or_none
from collector_processor.console.page import SECOND, Content, NotFoundError, Page, Request
from collector_processor.history import Archive, Heat, Subject, WindowLine
from otel_ml.sketch.sketch import FloatArray

_ROWS: Final = 20
# As many of its latest windows are drawn, and are what a slice was like before.
_COURSE: Final = 48
# Fewer are no past to compare with.
_PAST: Final = 3
# Multiples of its threshold by which a score grew, from which on the slice is another than it was.
_CHANGED: Final = 0.5


def segments(request: Request) -> Content:
    """The segments of a version of a model: what stands out in each now and before, and how far its columns went when.

    Raises:
        NotFoundError: The model is not known, or sends no such dimension.
    """
    whole = request.subject()._replace(segment="")
    archive = request.archive
    everything, dimension, rows = request.text("rows"), request.text("dimension"), []
    if everything not in ("", "all"):
        raise NotFoundError(f"rows: {everything!r} is not known (all, or nothing for the first {_ROWS})")
    known = [other for other in archive.subjects(whole.model) if other.segment and other.version == whole.version]
    dimensions = _dimensions(known)
    if dimension and dimension not in dimensions:
        raise NotFoundError(
            f"dimension: {dimension!r} is not one of {whole.model!r} ({', '.join(dimensions) or 'none was sent'})"
        )
    wanted = [other for other in known if not dimension or _parts(other)[0] == dimension]
    firing = {alert.subject for alert in archive.firing(whole.model)}
    last = {subject: next(iter(archive.lines(subject, 0, request.until, 1)), None) for subject in wanted}
    of_all = _rows_of(archive, whole, {line.end_unix_nano for line in last.values() if line is not None})
    for subject, line in last.items():
        rows.append(_row(archive, subject, line, of_all, request, is_firing=subject in firing))
    rows.sort(key=_urgency)
    shown = rows if everything == "all" else rows[:_ROWS]
    return {
        "model": whole.model,
        "version": whole.version,
        "range": request.range,
        "dimension": dimension,
        "dimensions": [{"name": name, "values": count} for name, count in dimensions.items()],
        "known": len(rows),
        "windows_drawn": _COURSE,
        "segments": shown,
        "heat": _heat(archive, request, [whole._replace(segment=row["segment"]) for row in shown]),
        "hidden": len(rows) - len(shown),
    }


def _parts(subject: Subject) -> tuple[str, str]:
    dimension, _, value = subject.segment.partition("=")
    return dimension, value


def _dimensions(known: Sequence[Subject]) -> dict[str, int]:
    """How many values each has, by name."""
    found: dict[str, int] = {}
    for subject in known:
        name = _parts(subject)[0]
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def _rows_of(archive: Archive, whole: Subject, ends: Iterable[int]) -> dict[int, int]:
    """How many rows the windows had that ended at certain times."""
    return {end: line.rows for end in ends for line in archive.lines(whole, end, end + 1)}


def _row(
    archive: Archive,
    subject: Subject,
    line: WindowLine | None,
    of_all: Mapping[int, int],
    request: Request,
    *,
    is_firing: bool,
) -> dict[str, Any]:
    dimension, value = _parts(subject)
    end = line.end_unix_nano if line is not None else None
    total = None if end is None else of_all.get(end)
    since = 0 if line is None else _since(line)
    return {
        "segment": subject.segment,
        "dimension": dimension,
        "value": value,
        "is_firing": is_firing,
        "is_silent": end is None or end < request.since,
        "rows": None if line is None else line.rows,
        "share": line.rows / total if line is not None and total else None,
        "drifted": line.drifted if line is not None else 0,
        "compared": line.compared if line is not None else 0,
        "window_end": end,
        "age_s": None if end is None else (request.now - end) / SECOND,
        **_standing_out(None if end is None else archive.heat(subject, since, end + 1)),
    }


def _since(line: WindowLine) -> int:
    """After which moment its latest windows ended."""
    length = max(line.end_unix_nano - line.start_unix_nano, 1)
    return max(0, line.end_unix_nano - _COURSE * length + 1)


def _standing_out(heat: Heat | None) -> dict[str, Any]:
    """Of the last window the column to look at: that which changed most, or else is furthest from the baseline."""
    if heat is None or not heat.magnitudes.size or np.isnan(heat.magnitudes[:, -1]).all():
        return {"worst": None, "is_changed": False, "beyond": 0, "measured": 0, "course": []}
    magnitudes = heat.magnitudes[:, -1]
    usual = _usual(heat.magnitudes[:, :-1])
    changes = np.where(np.isnan(magnitudes - usual), -np.inf, magnitudes - usual)
    place = int(np.argmax(changes))
    is_changed = bool(changes[place] >= _CHANGED)
    if not is_changed:
        place = int(np.nanargmax(magnitudes))
    column, has_past = heat.columns[place], not np.isnan(usual[place])
    return {
        "worst": {
            "role": column.role,
            "name": column.name,
            "magnitude": float(magnitudes[place]),
            "usual": round(float(usual[place]), 3) if has_past else None,
            "change": round(float(magnitudes[place] - usual[place]), 3) if has_past else None,
        },
        "is_changed": is_changed,
        "beyond": int((magnitudes > 1.0).sum()),
        "measured": int((~np.isnan(magnitudes)).sum()),
        "course": known_or_none(heat.magnitudes[place]),
    }


def _usual(past: FloatArray) -> FloatArray:
    """(columns,) medians over windows; NaN for a column that was measured in too few."""
    count = (~np.isnan(past)).sum(axis=1)
    if past.shape[1] < _PAST:
        return np.full(len(past), np.nan)
    # What was not measured is sorted behind; `nanmedian` would ask for each column by itself.
    ordered, rows = np.sort(past, axis=1), np.arange(len(past))
    middle = (ordered[rows, np.maximum(count - 1, 0) // 2] + ordered[rows, count // 2 % past.shape[1]]) / 2
    found: FloatArray = np.where(count >= _PAST, middle, np.nan)
    return found


def _urgency(row: Mapping[str, Any]) -> tuple[bool, bool, float, float, str]:
    worst = row["worst"] or {"magnitude": 0.0}
    change = worst["change"] if row["is_changed"] else 0.0
    return row["is_silent"], not row["is_firing"], -change, -worst["magnitude"], row["segment"]


def _heat(archive: Archive, request: Request, subjects: Sequence[Subject]) -> dict[str, Any]:
    """For each segment and group of windows the magnitude of the worst column."""
    courses = [archive.course(subject, request.since, request.until) for subject in subjects]
    times = np.unique(np.concatenate([course.times for course in courses])) if courses else np.empty(0, np.int64)
    magnitudes = np.full((len(courses), len(times)), np.nan)
    flags = np.zeros((len(courses), len(times)), np.uint8)
    for place, course in enumerate(courses):
        where = np.searchsorted(times, course.times)
        magnitudes[place, where], flags[place, where] = course.magnitudes, course.flags
    groups = heat_groups(Heat(times, (), magnitudes, flags))
    return {
        "times": groups.ends,
        "windows": groups.windows,
        "rows": [{"segment": subject.segment, **heat_row(groups, place)} for place, subject in enumerate(subjects)],
    }


PAGE: Final = Page("/segments", "Segments", "segments.html", segments)

"""The slices of a model's rows, those that are furthest from the baseline first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from collector_processor.console.buckets import heat_groups
from collector_processor.console.page import SECOND, Content, NotFoundError, Page, Request
from collector_processor.history import Archive, Heat, Subject, WindowLine
from otel_ml.drawing.palette import level

_ROWS: Final = 20


def segments(request: Request) -> Content:
    """Every segment of a version of a model with its last window, and how far the worst of its columns went when.

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
        "segments": rows,
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
        **_worst(None if end is None else archive.heat(subject, end, end + 1)),
    }


def _worst(heat: Heat | None) -> dict[str, Any]:
    """The column that is furthest from the baseline in one window, and how many are beyond their threshold."""
    if heat is None or not heat.magnitudes.size or np.isnan(heat.magnitudes).all():
        return {"worst": None, "beyond": 0, "measured": 0}
    magnitudes = heat.magnitudes[:, -1]
    place = int(np.nanargmax(magnitudes))
    column = heat.columns[place]
    return {
        "worst": {
            "role": column.role,
            "name": column.name,
            "magnitude": float(magnitudes[place]),
            "level": level(float(magnitudes[place]), 1.0),
        },
        "beyond": int((magnitudes > 1.0).sum()),
        "measured": int((~np.isnan(magnitudes)).sum()),
    }


def _urgency(row: Mapping[str, Any]) -> tuple[bool, bool, float, str]:
    worst = row["worst"]
    return row["is_silent"], not row["is_firing"], -worst["magnitude"] if worst else 0.0, row["segment"]


def _heat(archive: Archive, request: Request, subjects: Sequence[Subject]) -> dict[str, Any]:
    """For each segment and group of windows the magnitude of the worst column."""
    courses = [archive.course(subject, request.since, request.until) for subject in subjects]
    times = np.unique(np.concatenate([course.times for course in courses])) if courses else np.empty(0, np.int64)
    magnitudes = np.full((len(courses), len(times)), np.nan)
    flags = np.zeros((len(courses), len(times)), np.uint8)
    for place, course in enumerate(courses):
        where = np.searchsorted(times, course.times)
        magnitudes[place, where], flags[place, where] = course.magnitudes, course.flags
    ends, largest, together = heat_groups(Heat(times, (), magnitudes, flags))
    return {
        "times": ends,
        "rows": [
            {
                "segment": subject.segment,
                "magnitudes": [None if np.isnan(value) else float(value) for value in values],
                "levels": [level(float(value), 1.0) for value in values],
                "flags": told.tolist(),
            }
            for subject, values, told in zip(subjects, largest, together, strict=True)
        ],
    }


PAGE: Final = Page("/segments", "Segments", "segments.html", segments)

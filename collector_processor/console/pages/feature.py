"""One column: how it was and is distributed, how far it drifted when, and which requests to look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from collector_processor.console.buckets import thinned
from collector_processor.console.column import (
    BAD_VALUES,
    JOINT,
    ROLES,
    findings_of,
    is_about,
    picture_of,
    spells,
    verdict,
)
from collector_processor.console.condition import alert_of
from collector_processor.console.page import SECOND, Content, NotFoundError, Page, Request
from collector_processor.history import AlertRecord, Archive, ColumnSeries, Subject, WindowLine

_TOLD: Final = 50
# Of all columns together, in which those of this one are looked for.
_ALERTS: Final = 5000
_ALWAYS: Final = 1 << 62
# How far to look for the window that follows, as multiples of its length.
_STEPS: Final = (4, 400, 10_000)


def feature(request: Request) -> Content:
    """Everything about a column of a version of a model, or of a slice of its rows.

    Raises:
        NotFoundError: The model has no such column.
    """
    subject = request.subject()
    role, name = request.text("role", "feature"), request.needed("feature")
    if role not in ROLES:
        raise NotFoundError(f"role: {role!r} is not known (one of {', '.join(ROLES)})")
    archive = request.archive
    series = archive.series(subject, role, name, request.since, request.until)
    is_here = series is not None
    # Out of sight is not unknown.
    series = series or archive.series(subject, role, name, 0, _ALWAYS)
    if series is None:
        raise NotFoundError(f"{role} {name!r}: no window of {_named(subject)} has it (see the model's page)")
    asked = archive.lines(subject, 0, request.until, 1)
    line = asked[-1] if asked else None
    shown = _shown(series) if is_here else None
    firing = [alert for alert in archive.firing(subject.model) if is_about(alert, subject, role, name)]
    told = [
        alert
        for alert in archive.alerts(request.since, request.until, subject.model, _ALERTS)
        if is_about(alert, subject, role, name)
    ]
    found = archive.details(subject, request.until)
    details: Mapping[str, Any] = found[1] if found is not None else {}
    findings = findings_of(details, role, name) if is_here else None
    window_end = None if shown is None else shown["end"]
    is_same = found is not None and found[0] == window_end
    state, why = _state(shown, findings if is_same else None, firing, subject)
    picture = archive.picture(subject, role, name, request.until) if is_here else None
    return {
        "model": subject.model,
        "version": subject.version,
        "segment": subject.segment,
        "role": role,
        "column": name,
        "kind": "" if role == JOINT else series.column.kind,
        "importance": series.column.importance,
        "state": state,
        "why": why,
        "range": request.range,
        "window": line and _window(line),
        "shown": shown,
        "is_older": line is not None and shown is not None and shown["end"] < line.end_unix_nano,
        "last": int(series.times[-1]),
        **_neighbours(archive, subject, line),
        "picture": picture_of(picture, window_end),
        "chart": _chart(series, request.live.clear_ratio) if is_here else None,
        "spells": spells(told, firing, request.since, request.until),
        "findings": findings,
        "findings_end": found[0] if found is not None and findings is not None else None,
        "firing": [alert_of(alert) for alert in firing],
        "told": [alert_of(alert) for alert in told][:_TOLD],
        "hidden": max(0, len(told) - _TOLD),
    }


def _shown(series: ColumnSeries) -> dict[str, Any]:
    """The last window of a series."""
    figures = series.figures[-1]
    score, threshold, log_q = (_told(figures[field]) for field in ("score", "threshold", "log_q"))
    return {
        "start": int(series.starts[-1]),
        "end": int(series.times[-1]),
        "score": score,
        "threshold": threshold,
        "magnitude": score / threshold if score is not None and threshold else score,
        "q_value": None if log_q is None else 10.0**log_q,
        "rows": int(figures["rows"]),
        "flags": int(figures["flags"]),
        "ratios": [
            {"kind": kind, "label": label, "ratio": ratio}
            for kind, label in BAD_VALUES.items()
            if (ratio := _told(figures[kind])) is not None
        ],
    }


def _told(value: np.floating[Any]) -> float | None:
    """A number in the digits in which it is kept; None where it is none."""
    return None if math.isnan(value) else float(str(value))


def _window(line: WindowLine) -> dict[str, Any]:
    return {
        "start": line.start_unix_nano,
        "end": line.end_unix_nano,
        "length_s": (line.end_unix_nano - line.start_unix_nano) / SECOND,
        "rows": line.rows,
        "outcome": line.outcome,
        "baseline": line.baseline_id,
    }


def _neighbours(archive: Archive, subject: Subject, line: WindowLine | None) -> dict[str, int | None]:
    """Ends of the windows before and after one."""
    if line is None:
        return {"previous": None, "next": None}
    before = archive.lines(subject, 0, line.end_unix_nano, 1)
    return {"previous": before[-1].end_unix_nano if before else None, "next": _after(archive, subject, line)}


def _after(archive: Archive, subject: Subject, line: WindowLine) -> int | None:
    length = max(line.end_unix_nano - line.start_unix_nano, 1)
    begin = line.end_unix_nano + 1
    for steps in _STEPS:
        if later := archive.lines(subject, begin, begin + steps * length):
            return later[0].end_unix_nano
    return None


def _chart(series: ColumnSeries, clear_ratio: float) -> dict[str, Any]:
    """Drift over time with the thresholds at which alerts begin and end, and bad values, if there ever were any."""
    found = thinned(series, list(BAD_VALUES))
    thresholds = found["thresholds"]
    return {
        "times": found["times"],
        "windows": len(series.times),
        "scores": found["scores"],
        "thresholds": thresholds,
        "clears": [None if value is None else value * clear_ratio for value in thresholds],
        "infinite": found["infinite"],
        "values": [
            {"kind": kind, "label": label, "values": found["values"][kind]}
            for kind, label in BAD_VALUES.items()
            if any(found["values"][kind])
        ],
    }


def _state(
    shown: Mapping[str, Any] | None, findings: Mapping[str, Any] | None, firing: list[AlertRecord], subject: Subject
) -> tuple[str, str]:
    if firing:
        more = f" (and {len(firing) - 1} more)" if len(firing) > 1 else ""
        return "firing", f"{firing[0].check}: {firing[0].sentence}{more}"
    if shown is None:
        return "not heard", "no window with it ended in this range"
    return verdict(shown["flags"], shown["magnitude"], findings, subject.segment)


def _named(subject: Subject) -> str:
    return repr(" ".join(part for part in subject if part))


PAGE: Final = Page("/feature", "Feature", "feature.html", feature)

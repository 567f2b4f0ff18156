"""One model: which of its features drifted when, how it is called, and what is wrong with its values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from collector_processor.console.buckets import charts, heat_groups, heat_row
from collector_processor.console.column import BAD_VALUES, is_breach
from collector_processor.console.condition import alert_of, calls_of, condition
from collector_processor.console.page import SECOND, Content, NotFoundError, Page, Request
from collector_processor.history import AlertRecord, Archive, Flag, Heat, Subject, WindowLine

_ROWS: Final = 50
_TOLD: Final = 20


def model(request: Request) -> Content:
    """Everything about a version of a model, or a slice of its rows."""
    subject = request.subject()
    archive = request.archive
    lines = archive.lines(subject, request.since, request.until)
    last = lines[-1] if lines else None
    firing = [alert for alert in archive.firing(subject.model) if _is_of(alert, subject)]
    own = [alert for alert in firing if alert.subject == subject]
    told = [alert for alert in archive.alerts(request.since, request.until, subject.model) if _is_of(alert, subject)]
    found = archive.details(subject, request.until)
    details: Mapping[str, Any] = found[1] if found is not None else {}
    quality = _quality(details)
    return {
        "model": subject.model,
        "version": subject.version,
        "segment": subject.segment,
        **condition(subject, last or _last_ever(archive, subject), firing, request.live, request.now, told),
        "range": request.range,
        "versions": _versions(request, subject),
        "segments": sum(bool(other.segment) for other in archive.subjects(subject.model)),
        "firing": [alert_of(alert) for alert in own],
        "firing_segments": _counts(alert.subject.segment for alert in firing if alert.subject != subject),
        "told": [alert_of(alert) for alert in told if alert.subject == subject][:_TOLD],
        "heat": _heat(archive.heat(subject, request.since, request.until), request.text("rows")),
        "charts": charts(lines),
        "requests": list(details.get("calls", ())),
        "changes": _changes(request, subject, lines),
        "quality": quality,
        "bad_values": [
            {"kind": kind, "label": label}
            for kind, label in BAD_VALUES.items()
            if any(kind in column["ratios"] for column in quality)
        ],
        "labels": _labels(details),
        "classification": details.get("classification"),
        "window": last and _window(last, details),
    }


def _is_of(alert: AlertRecord, subject: Subject) -> bool:
    """Whether an alert is about what is shown; a whole model is unwell where one of its slices is."""
    return alert.subject == subject or (not subject.segment and alert.subject._replace(segment="") == subject)


def _counts(segments: Iterable[str]) -> list[dict[str, Any]]:
    """How many alerts fire in each slice, most first."""
    found = sorted(Counter(segments).items(), key=lambda item: (-item[1], item[0]))
    return [{"segment": segment, "alerts": count} for segment, count in found]


def _last_ever(archive: Archive, subject: Subject) -> WindowLine | None:
    lines = archive.lines(subject, 0, 1 << 62, 1)
    return lines[-1] if lines else None


def _versions(request: Request, subject: Subject) -> list[dict[str, Any]]:
    """All versions of the model, the latest first."""
    found = []
    for other in request.archive.subjects(subject.model):
        if other.segment == subject.segment:
            lines = request.archive.lines(other, 0, request.until, 1)
            end = lines[-1].end_unix_nano if lines else 0
            found.append({"version": other.version, "first": request.archive.first_heard(other), "last": end})
    return sorted(found, key=lambda version: -version["last"])


def _heat(heat: Heat, rows: str) -> dict[str, Any]:
    """Columns by urgency, then by how much the model relies on them times how far they drifted; the first, or all.

    Raises:
        NotFoundError: `rows` is neither empty nor "all".
    """
    if rows not in ("", "all"):
        raise NotFoundError(f"rows: {rows!r} is not known (all, or nothing for the first {_ROWS})")
    groups = heat_groups(heat)
    known = np.nan_to_num(groups.magnitudes)
    importance = np.array([column.importance for column in heat.columns])
    # Something that fires now stands above what was worse before, and what is important and well below both.
    worst = known.max(axis=1, initial=0.0)
    weight = importance * worst
    order: list[int] = []
    if groups.ends:
        urgent = groups.flags[:, -1] & (Flag.FIRING | Flag.BAD_VALUES_FIRING) > 0
        order = sorted(
            range(len(heat.columns)), key=lambda place: (not urgent[place], worst[place] <= 1.0, -weight[place])
        )
    shown = order if rows == "all" else order[:_ROWS]
    return {
        "times": groups.ends,
        "windows": groups.windows,
        "hidden": len(order) - len(shown),
        "columns": [
            {
                "role": heat.columns[place].role,
                "name": heat.columns[place].name,
                "kind": heat.columns[place].kind,
                "importance": heat.columns[place].importance,
                "worst": float(worst[place]),
                **heat_row(groups, place),
            }
            for place in shown
        ],
    }


def _changes(request: Request, subject: Subject, lines: Sequence[WindowLine]) -> list[dict[str, Any]]:
    """What began to be otherwise: versions, baselines, packages."""
    found = [
        {"time": version["first"], "what": f"version {version['version'] or '(none)'} was first heard"}
        for version in _versions(request, subject)
        if version["first"] is not None and request.since <= version["first"] < request.until
    ]
    for before, line in pairwise(lines):
        if before.baseline_id and line.baseline_id and before.baseline_id != line.baseline_id:
            found.append({"time": line.start_unix_nano, "what": f"compared with baseline {line.baseline_id[:8]}"})
        new = line.producers.keys() - before.producers.keys()
        if before.producers and new:
            digests = ", ".join(sorted(digest[:8] or "unknown" for digest in new))
            found.append({"time": line.start_unix_nano, "what": f"other packages are installed ({digests})"})
    return sorted(found, key=lambda change: -change["time"])[:_TOLD]


def _quality(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Columns with bad values in the latest window, those that breach first, then by how many."""
    found = []
    for feature in details.get("features", ()):
        ratios, checks = feature["ratios"], feature["checks"]
        bad = {name: ratio for name, ratio in ratios.items() if ratio}
        if bad:
            breaching = [name for name in BAD_VALUES if name in checks and is_breach(checks[name])]
            found.append({"role": feature["role"], "name": feature["name"], "ratios": bad, "breaching": breaching})
    return sorted(found, key=lambda column: (-len(column["breaching"]), -max(column["ratios"].values())))[:_TOLD]


def _labels(details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the labels are likely to be, by prediction."""
    return [
        {"name": feature["name"], **feature["labels"]}
        for feature in details.get("features", ())
        if feature.get("labels")
    ]


def _window(line: WindowLine, details: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "start": line.start_unix_nano,
        "end": line.end_unix_nano,
        "length_s": (line.end_unix_nano - line.start_unix_nano) / SECOND,
        "rows": line.rows,
        "outcome": line.outcome,
        "baseline": line.baseline_id,
        "drifted": line.drifted,
        "compared": line.compared,
        "calls": calls_of(line.calls),
        "processes": sum(line.producers.values()),
        "packages": len(line.producers),
        "partial": line.is_partial,
        "revision": line.revision,
        "references": dict(details.get("references", {})),
        "correlations": details.get("joint_insufficient"),
    }


PAGE: Final = Page("/model", "Model", "model.html", model)

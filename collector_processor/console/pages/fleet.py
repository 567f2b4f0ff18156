"""All models, worst first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, Final

from collector_processor.console.condition import SILENT, WORST_FIRST, alert_of, calls_of, condition
from collector_processor.console.page import RANGES, SECOND, Content, Page, Request
from collector_processor.history import AlertRecord, Subject

_WINDOWS: Final = 48
_LATELY: Final = 6


def fleet(request: Request) -> Content:
    """Every version of every model with its state, and the course of its drift over its latest windows."""
    wanted = request.text("q").strip().lower()
    firing = _by_model(request.archive.firing())
    lately = request.archive.alerts(request.until - RANGES["24h"], request.until)
    told = _by_model(lately)
    baselines = {(facts.model, facts.version): facts for facts in request.live.baselines}
    everyone = [subject for subject in request.archive.subjects() if not subject.segment]
    rows = []
    for subject in everyone:
        if wanted and wanted not in subject.model.lower():
            continue
        lines = request.archive.lines(subject, 0, request.until, 1)
        last = lines[-1] if lines else None
        length_s = max((last.end_unix_nano - last.start_unix_nano) / SECOND, 1e-9) if last else None
        facts = baselines.get((subject.model, subject.version)) or baselines.get((subject.model, ""))
        rows.append(
            {
                "model": subject.model,
                "version": subject.version,
                **condition(subject, last, firing[subject], request.live, request.now, told[subject]),
                "alerts": len(firing[subject]),
                "rows_per_s": last.rows / length_s if last and length_s else None,
                "calls": calls_of(last.calls) if last else None,
                "drifted": last.drifted if last else 0,
                "compared": last.compared if last else 0,
                "course": request.archive.drift_shares(subject, request.until, _WINDOWS),
                "window_end": last.end_unix_nano if last else None,
                "age_s": (request.now - last.end_unix_nano) / SECOND if last else None,
                "processes": sum(last.producers.values()) if last else 0,
                "baseline_age_s": (request.now - facts.created_unix_nano) / SECOND if facts else None,
            }
        )
    _retire(rows)
    rows.sort(key=_urgency)
    counts = {state: sum(row["state"] == state for row in rows) for state in WORST_FIRST}
    return {
        "models": rows,
        "counts": {state: count for state, count in counts.items() if count},
        "known": len(everyone),
        "lately": [alert_of(alert) for alert in lately[:_LATELY]],
    }


def _by_model(alerts: Iterable[AlertRecord]) -> defaultdict[Subject, list[AlertRecord]]:
    """Those of slices with their model."""
    found: defaultdict[Subject, list[AlertRecord]] = defaultdict(list)
    for alert in alerts:
        found[alert.subject._replace(segment="")].append(alert)
    return found


def _retire(rows: list[dict[str, Any]]) -> None:
    """A version that is silent because another took its place is no worry."""
    living = {row["model"] for row in rows if row["state"] != SILENT}
    for row in rows:
        if row["state"] == SILENT and row["model"] in living:
            row |= {"state": "retired", "why": "other versions of the model serve now", "next": None, "cause": None}


def _urgency(row: dict[str, Any]) -> tuple[int, int, float, str, str]:
    place = WORST_FIRST.index(row["state"]) if row["state"] in WORST_FIRST else len(WORST_FIRST)
    share = row["drifted"] / row["compared"] if row["compared"] else 0.0
    return place, -row["alerts"], -share, row["model"], row["version"]


PAGE: Final = Page("/", "Models", "fleet.html", fleet, place=1)

"""Alerts of all models: what fires now, and what was told before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from collector_processor.console.condition import alert_of
from collector_processor.console.page import RANGES, SECOND, Content, NotFoundError, Page, Request
from collector_processor.history import AlertRecord, Subject

_SHOWN: Final = 500
_FIRING_SHOWN: Final = 200
# Beyond, what is counted is the latest of them.
_COUNTED: Final = 3000
_STATES: Final = ("firing", "resolved", "told")
_STEPS_S: Final = {"1h": 300, "6h": 1800, "24h": 3600, "7d": 6 * 3600, "30d": 24 * 3600}
# One change upstream of many features: what it explains stands below it.
_COMMON: Final = "common_change"


def alerts(request: Request) -> Content:
    """What fires, by model, and what was told within the range, the latest first.

    Raises:
        NotFoundError: Nobody ever heard of the model, or there is no such state.
    """
    model, check, state = request.text("model"), request.text("check"), request.text("state")
    if state and state not in _STATES:
        raise NotFoundError(f"state: {state!r} is not known (one of {', '.join(_STATES)})")
    firing = request.archive.firing(model or None)
    told = request.archive.alerts(request.since, request.until, model or None, _COUNTED)
    if model and not (firing or told or request.archive.subjects(model)):
        raise NotFoundError(f"model {model!r}: no window of it is kept (see the list of models)")
    wanted = [alert for alert in told if check in ("", alert.check) and state in ("", alert.state)]
    fires = [alert for alert in firing if check in ("", alert.check)] if state in ("", "firing") else []
    return {
        "range": request.range,
        "model": model,
        "check": check,
        "state": state,
        "firing": _by_model(fires[:_FIRING_SHOWN]),
        "firing_count": len(fires),
        "firing_hidden": max(0, len(fires) - _FIRING_SHOWN),
        "told": [alert_of(alert) for alert in wanted[:_SHOWN]],
        "told_count": len(wanted),
        "is_cut": len(told) == _COUNTED,
        # Each filter offers what the others leave.
        "checks": _counts(alert.check for alert in told if state in ("", alert.state)),
        "models": _counts(alert.subject.model for alert in wanted),
        "states": _counts(alert.state for alert in told if check in ("", alert.check)),
        "strip": _strip(request, wanted),
    }


def _by_model(firing: Sequence[AlertRecord]) -> list[dict[str, Any]]:
    """A model with most alerts first; in each what tells of others first, with these below."""
    groups: dict[Subject, list[AlertRecord]] = {}
    for alert in firing:
        groups.setdefault(alert.subject, []).append(alert)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return [{**subject._asdict(), "count": len(group), "alerts": _folded(group)} for subject, group in ordered]


def _folded(group: Sequence[AlertRecord]) -> list[dict[str, Any]]:
    """Alerts, each with those that are a part of what it tells; one whose whole does not fire stands for itself."""
    found: list[dict[str, Any]] = []
    wholes: dict[tuple[str, str], dict[str, Any]] = {}
    for alert in sorted(group, key=lambda alert: alert.check != _COMMON):
        shown = {**alert_of(alert), "parts": []}
        # Of a column the alert that says it more plainly, or of many columns the change that they have in common.
        wholes.setdefault((alert.check, "" if alert.check == _COMMON else alert.column), shown)
        found.append(shown)
    top = []
    for shown in found:
        cause = shown["cause"]
        whole = cause and wholes.get((cause, "" if cause == _COMMON else shown["column"]))
        if whole and whole is not shown:
            whole["parts"].append(shown)
        else:
            top.append(shown)
    return top


def _counts(names: Iterable[str]) -> list[dict[str, Any]]:
    """By name how often, the most frequent first."""
    found = sorted(Counter(names).items(), key=lambda item: (-item[1], item[0]))
    return [{"name": name, "count": count} for name, count in found]


def _strip(request: Request, told: Iterable[AlertRecord]) -> dict[str, Any]:
    """How many began to fire, or were told of once, in each span of time; the spans begin with the hour, or the day."""
    step = _STEPS_S[request.range] * SECOND
    first = (request.until - RANGES[request.range]) // step
    last = (request.until - 1) // step
    counts = Counter(alert.time_unix_nano // step for alert in told if alert.state != "resolved")
    spans = range(max(first, 0), last + 1)
    return {
        "step_s": step // SECOND,
        "times": [span * step for span in spans],
        "fired": [counts[span] for span in spans],
    }


PAGE: Final = Page("/alerts", "Alerts", "alerts.html", alerts, place=2)

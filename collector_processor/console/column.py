"""What a window says about one column, put as pages show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from collector_processor.history import AlertRecord, Flag, Picture, Subject
from otel_ml import semconv

JOINT: Final = "joint"
ROLES: Final = ("feature", "prediction", "score", JOINT)
BAD_VALUES: Final[Mapping[str, str]] = {
    "missing": "missing",
    "unseen_category": "unseen category",
    "out_of_range": "out of range",
    "type_mismatch": "other type",
    "infinite": "infinite",
}
"""Kinds of bad values, as people call them."""

_DIFFERENCES: Final = 3
# What rounding alone may make of shares that are equal.
_SAME: Final = 0.0005
_DRIFT: Final = "drift"
_LEVEL: Final = 0.05
# Alerts about features together name none.
_TOGETHER: Final[Mapping[str, str]] = {"correlations": "correlation_drift", "classifier": "classifier_drift"}


def picture_of(picture: Picture | None, window_end: int | None) -> dict[str, Any] | None:
    """A column's distribution before and now, and where the two differ most."""
    if picture is None:
        return None
    return {
        "frame": picture.frame.to_json(),
        "shares": None if picture.shares is None else picture.shares.tolist(),
        "count": picture.count,
        "start": picture.start_unix_nano,
        "end": picture.end_unix_nano,
        "is_older": window_end is not None and picture.end_unix_nano < window_end,
        "differences": _differences(picture),
    }


def _differences(picture: Picture) -> list[dict[str, Any]]:
    frame = picture.frame
    if picture.shares is None or not frame.count:
        return []
    changes = picture.shares - frame.shares
    largest = np.argsort(-np.abs(changes), kind="stable")[:_DIFFERENCES]
    names = frame.names
    return [
        {"name": names[place], "was": float(frame.shares[place]), "now": float(picture.shares[place])}
        for place in largest.tolist()
        if abs(changes[place]) >= _SAME
    ]


def findings_of(details: Mapping[str, Any], role: str, name: str) -> dict[str, Any] | None:
    """Everything that was found out about a column; None where it was not among those of the window."""
    features = details.get("features", ())
    found = next((feature for feature in features if (feature["role"], feature["name"]) == (role, name)), None)
    if found is None:
        return None
    checks = [_check(check, found["checks"][check]) for check in found["checks"]]
    checks.sort(key=lambda check: (not check["is_breach"], not check["name"].endswith(_DRIFT)))
    decides = found["checks"].get(_DRIFT, {}).get("method")
    told = details.get("references", {})
    compared = [("baseline", found["drift"]), *found["elsewhere"].items()]
    attribution = found["attribution"]
    classification = details.get("classification") if (role, name) == (JOINT, "classifier") else None
    return {
        "checks": checks,
        "method": decides or next((check["method"] for check in checks if check["name"].endswith(_DRIFT)), None),
        "method_reason": found["checks"].get(_DRIFT, {}).get("method_reason"),
        "scores": [
            {
                "reference": reference,
                "method": method,
                "decides": (reference, method) == ("baseline", decides),
                **result,
            }
            for reference, results in compared
            for method, result in results.items()
        ],
        "references": {reference: told[reference] for reference, _ in compared if reference in told},
        "effect": found["effect"],
        "rank": found["rank"],
        "moved": list(found["moved"]),
        "attribution": attribution and _by_share(attribution["shares"]),
        "unexplained": attribution and attribution["unexplained"],
        "relies_on": classification and _by_share(classification["importances"]),
        "labels": found["labels"],
        "exemplars": list(found["exemplars"]),
    }


def _by_share(shares: Mapping[str, float]) -> list[dict[str, Any]]:
    """Features, those with most of it first; without those that have none."""
    known = [(name, share) for name, share in shares.items() if share]
    return [{"name": name, "share": share} for name, share in sorted(known, key=lambda item: -item[1])]


def is_breach(check: Mapping[str, Any]) -> bool:
    """Whether what was asked of a column is answered with a breach."""
    q_value = check["q_value"]
    is_significant = q_value is None or q_value <= _LEVEL
    return bool(check.get("breaches", check["is_big"] and not check["overruled_by"] and is_significant))


def _check(name: str, check: Mapping[str, Any]) -> dict[str, Any]:
    q_value = check["q_value"]
    overruled = list(check["overruled_by"])
    breaches = is_breach(check)
    if breaches:
        verdict = "breaches"
    elif not check["is_big"]:
        verdict = "too small to matter"
    else:
        level = check.get("level")
        by_chance = "chance may explain it" + (f": q counts below {level:.2g}" if level is not None else "")
        verdict = f"as usual for {', '.join(overruled)}" if overruled else by_chance
    return {
        "name": name,
        "method": check["method"],
        "score": check["score"],
        "threshold": check["threshold"],
        "q_value": q_value,
        "reference": check["reference"],
        "is_breach": breaches,
        "verdict": verdict,
    }


def is_about(alert: AlertRecord, subject: Subject, role: str, name: str) -> bool:
    """Whether an alert tells of a column, alone or among others."""
    if alert.subject != subject:
        return False
    if alert.column:
        return (alert.role, alert.column) == (role, name)
    if role == JOINT:
        return alert.check.endswith(_TOGETHER.get(name, name))
    return role == "feature" and name in alert.attributes.get(semconv.ALERT_FEATURES, ())


def spells(told: Sequence[AlertRecord], firing: Sequence[AlertRecord], since: int, until: int) -> list[dict[str, Any]]:
    """From when to when each alert fired within a range, oldest first.

    Args:
        told: What was told within the range, latest first.
        firing: What fires now.

    Returns:
        Check, start and end; None where it began before the range, or goes on.
    """
    began: dict[str, int | None] = {
        alert.check: alert.time_unix_nano for alert in firing if alert.time_unix_nano < since
    }
    found: list[dict[str, Any]] = []
    for alert in reversed(told):
        if alert.state == "firing":
            began[alert.check] = alert.time_unix_nano
        elif alert.state == "resolved":
            start = began.pop(alert.check, None)
            found.append({"check": alert.check, "start": start, "end": alert.time_unix_nano})
    found.extend(
        {"check": check, "start": start, "end": None} for check, start in began.items() if start and start < until
    )
    return sorted(found, key=lambda spell: spell["start"] or 0)


def verdict(flags: int, magnitude: float | None, findings: Mapping[str, Any] | None, segment: str) -> tuple[str, str]:
    """How a column is, in a word and a sentence, where no alert about it fires."""
    checks = () if findings is None else findings["checks"]
    if flags & Flag.BREACH:
        breaching = ", ".join(
            check["name"] for check in checks if check["is_breach"] and check["name"].endswith(_DRIFT)
        )
        return "drifting", f"it drifted in this window ({breaching or _DRIFT}); no alert fires"
    if flags & Flag.BAD_VALUES:
        bad = [BAD_VALUES[check["name"]] for check in checks if check["is_breach"] and check["name"] in BAD_VALUES]
        return "bad values", f"more values than usual are {', '.join(bad) or 'bad'}"
    if magnitude is None:
        return "not measured", "its drift was not measured in this window: too few values, or nothing to compare with"
    if magnitude <= 1.0:
        return "healthy", "its score is below the threshold"
    if segment:
        return "unlike", "it is unlike the baseline, which is of the whole model: slices are measured, not judged"
    why = next((check["verdict"] for check in checks if check["name"].endswith(_DRIFT) and not check["is_breach"]), "")
    return "unlike", f"its score is above the threshold, and that is no alarm{': ' + why if why else ''}"

"""How a model is, in a word and a sentence, from its latest window and what fires."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from collector_processor.console.page import SECOND, Live
from collector_processor.history import AlertRecord, CallFigures, Subject, WindowLine
from otel_ml import semconv

FIRING: Final = "firing"
SILENT: Final = "silent"
DRIFTING: Final = "drifting"
NO_BASELINE: Final = "no baseline"
TOO_FEW_ROWS: Final = "too few rows"
HEALTHY: Final = "healthy"
WORST_FIRST: Final = (FIRING, SILENT, DRIFTING, NO_BASELINE, TOO_FEW_ROWS, HEALTHY)

# Windows that did not come before somebody should wonder.
_MISSED: Final = 3
# Windows for which it is news that an alert resolved.
_NEWS: Final = 12


def condition(
    subject: Subject,
    line: WindowLine | None,
    firing: Sequence[AlertRecord],
    live: Live,
    now: int,
    told: Sequence[AlertRecord] = (),
) -> dict[str, Any]:
    """State, why, which alert says so, and what to try next where something can be done about it.

    Args:
        firing: About the subject and, where it is a whole model, about its slices.
        told: About the same what was told lately, the latest first.
    """
    if line is not None:
        length = max(line.end_unix_nano - line.start_unix_nano, 1)
        overdue = now - line.end_unix_nano - live.lateness_s * SECOND
        if overdue > _MISSED * length:
            what = "an alert" if len(firing) == 1 else f"{len(firing)} alerts"
            fired = f"; {what} fired when it was last heard of" if firing else ""
            return _state(
                SILENT,
                f"{overdue // length:,.0f} windows were due since its last one, and none came{fired}",
                "otel-ml doctor   # beside the model server: finds out why telemetry does not arrive",
            )
    if firing:
        # What is a part of another change is told by that, and a slice after the whole.
        first = min(firing, key=lambda alert: (alert.subject != subject, semconv.ALERT_CAUSE in alert.attributes))
        about = "".join(f"{part}: " for part in (_slice_of(first, subject), first.column) if part)
        more = f" (and {len(firing) - 1} more)" if len(firing) > 1 else ""
        return _state(FIRING, f"{about}{first.check}: {first.sentence}{more}", cause=alert_of(first))
    if line is None:
        return _state(SILENT, "nothing was ever heard of it")
    if line.outcome == "no_baseline":
        named = f" --version {subject.version}" if subject.version else ""
        return _state(
            NO_BASELINE,
            "nothing to compare it with: data quality alone is watched",
            f"otel-ml baseline build train.parquet --model {subject.model}{named} -o {subject.model}.baseline",
        )
    if line.outcome == "insufficient_rows":
        return _state(TOO_FEW_ROWS, f"{line.rows:,} rows in its last window are too few to conclude anything from")
    if line.drifted:
        return _state(DRIFTING, f"{line.drifted} of {line.compared} features drifted in its last window; no alert yet")
    if line.outcome != "evaluated":
        return _state(TOO_FEW_ROWS, f"its last window was not evaluated: {line.outcome}")
    compared = "1 feature is" if line.compared == 1 else f"{line.compared} features are"
    return _state(HEALTHY, f"{compared} as in the baseline{_news(subject, line, told)}")


def _slice_of(alert: AlertRecord, subject: Subject) -> str:
    """The slice that an alert is about, where it is not the one that is looked at."""
    return "" if alert.subject.segment == subject.segment else alert.subject.segment


def _news(subject: Subject, line: WindowLine, told: Sequence[AlertRecord]) -> str:
    """What resolved a few windows ago, for whoever comes because of an alert."""
    since = line.end_unix_nano - _NEWS * (line.end_unix_nano - line.start_unix_nano)
    over = [alert for alert in told if alert.state == "resolved" and alert.time_unix_nano > since]
    if not over:
        return ""
    about = "".join(f"{part}: " for part in (_slice_of(over[0], subject), over[0].column) if part)
    more = f" and {len(over) - 1} more" if len(over) > 1 else ""
    return f"; {about}{over[0].check}{more} resolved lately"


def calls_of(calls: CallFigures | None) -> dict[str, Any] | None:
    """How calls went, as a page shows it."""
    if calls is None:
        return None
    return {
        "count": calls.count,
        "failed": calls.failed,
        "error_ratio": calls.failed / calls.count if calls.count else 0.0,
        "errors": dict(calls.errors),
        "p50_s": calls.p50,
        "p95_s": calls.p95,
        "p99_s": calls.p99,
    }


def alert_of(alert: AlertRecord) -> dict[str, Any]:
    """An alert, as a page shows it."""
    attributes = alert.attributes
    return {
        "time": alert.time_unix_nano,
        "model": alert.subject.model,
        "version": alert.subject.version,
        "segment": alert.subject.segment,
        "check": alert.check,
        "role": alert.role,
        "column": alert.column,
        "state": alert.state,
        "sentence": alert.sentence,
        "moved": list(attributes.get(semconv.DRIFT_MOVED, ())),
        "features": list(attributes.get(semconv.ALERT_FEATURES, ())),
        "attribution": list(attributes.get(semconv.DRIFT_ATTRIBUTION, ())),
        "rank": attributes.get(semconv.DRIFT_RANK),
        "cause": attributes.get(semconv.ALERT_CAUSE),
        # Those of the end show what is well again.
        "trace_ids": [] if alert.state == "resolved" else list(attributes.get(semconv.EXEMPLAR_TRACE_IDS, ())),
        "window_end": attributes.get(semconv.WINDOW_END),
    }


def _state(state: str, why: str, command: str | None = None, cause: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"state": state, "why": why, "next": command, "cause": cause}

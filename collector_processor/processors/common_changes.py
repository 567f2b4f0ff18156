"""Many features that began to drift in the same window: told once, as one change upstream."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from collector_processor.processors.evaluation import DRIFT, WindowEvaluation
from otel_ml.drift.explanation import CommonChange, common_change
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

_WINDOWS: Final = 48
"""How far back the usual rate at which features begin to drift is looked for."""
_MODELS: Final = 1000


@dataclass(slots=True)
class _History:
    before: deque[dict[str, bool]] = field(default_factory=lambda: deque(maxlen=_WINDOWS))
    changed: frozenset[str] = frozenset()
    windows_since: int = 0


class CommonChanges:
    """What every model's features did in the windows before; not kept over a restart.

    Args:
        alpha: q-value below which chance does not explain a difference.
        windows: For how many windows alerts about the features that changed together count as part of the change.
    """

    def __init__(self, alpha: float, windows: int) -> None:
        self._alpha = alpha
        self._windows = windows
        self._histories: OrderedDict[ModelKey, _History] = OrderedDict()

    def observe(self, window: WindowEvaluation) -> CommonChange | None:
        """Take a window's results in, and return the change that begins in it, if one does.

        Of a window that is evaluated again, what was seen first stays.
        """
        verdicts = {
            feature.key.name: check.breaches(self._alpha)
            for feature in window.features
            for check in feature.checks
            if check.name == DRIFT and feature.key.role is FeatureRole.FEATURE
        }
        if window.segment is not None or window.revision or not verdicts:
            return None
        history = self._histories.setdefault(window.model, _History())
        self._histories.move_to_end(window.model)
        if len(self._histories) > _MODELS:
            self._histories.popitem(last=False)
        change = common_change(verdicts, history.before)
        history.before.append(verdicts)
        history.windows_since += 1
        if change is not None:
            history.changed, history.windows_since = frozenset(change.features), 0
        return change

    def explains(self, model: ModelKey, feature: FeatureKey) -> bool:
        """Whether a feature's alert is part of a change that was told already."""
        history = self._histories.get(model)
        return (
            history is not None
            and history.windows_since < self._windows
            and feature.role is FeatureRole.FEATURE
            and feature.name in history.changed
        )

"""Everything that looks at more than one window of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from collector_processor.component import Store
from collector_processor.processors.evaluation import WindowEvaluation
from collector_processor.processors.series.concept import ConceptAlarm, ConceptWatch
from collector_processor.processors.series.settings import ConceptSettings, SlowDriftSettings
from collector_processor.processors.series.slow_drift import SlowDrift

_SLOW_DRIFT: Final = "slow_drift"
_CONCEPT: Final = "concept"


class SeriesWatch:
    """Sees every window of whole models in their order.

    Args:
        slow_drift: What small changes are.
        concept: What river's detectors watch.
        alpha: q-value below which a window counts as drifted.
    """

    def __init__(self, slow_drift: SlowDriftSettings, concept: Sequence[ConceptSettings], alpha: float) -> None:
        self._slow_drift = SlowDrift(slow_drift, alpha)
        self._concept = ConceptWatch(concept)

    def prepare(self) -> None:
        """Import what is needed, which may take seconds.

        Raises:
            ConfigurationError: It is not installed, or a setting is not valid.
        """
        self._concept.prepare()

    def observe(self, window: WindowEvaluation) -> tuple[WindowEvaluation, list[ConceptAlarm]]:
        """The window with a check of each column for slow drift, as far as it is known by now, and changed series.

        Series go on from window to window: of one that is evaluated again, what was seen first stays.
        """
        if window.revision:
            return window, []
        alarms = self._concept.observe(window)
        found = self._slow_drift.observe(window)
        if not found:
            return window, alarms
        features = [
            replace(feature, checks=[*feature.checks, found[feature.key]]) if feature.key in found else feature
            for feature in window.features
        ]
        return replace(window, features=features), alarms

    def sections(self) -> Mapping[str, Mapping[str, bytes]]:
        """Everything to be kept."""
        return {_SLOW_DRIFT: self._slow_drift.encode(), _CONCEPT: self._concept.encode()}

    def restore(self, store: Store) -> None:
        """Put back what `sections` gave.

        Raises:
            ValueError: It is something else.
        """
        self._slow_drift.restore(store.read(_SLOW_DRIFT))
        self._concept.restore(store.read(_CONCEPT))

"""A column that is not looked into: its rows and gaps are counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_ml.recording.inputs.batches import Unread
from otel_ml.recording.values import is_missing
from otel_ml.sketch.feature import Counters, FeatureKey
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_ml.recording.inputs.batches import Values


class OpaqueColumn:
    """Counts values that are there."""

    __slots__ = ("_counters", "key", "source")

    def __init__(self, key: FeatureKey, source: Any) -> None:
        self.key = key
        self.source = source
        self._counters = Counters()

    def update(self, values: Values) -> Iterable[None]:
        """Add one value per row."""
        self._counters.rows += len(values)
        if not isinstance(values, Unread):
            self._counters.missing += sum(map(is_missing, values))
        return ()

    def repeat(self, value: Any, count: int) -> None:
        """Add the same value many times."""
        self._counters.rows += count
        self._counters.missing += count * is_missing(value)

    def missing(self, count: int) -> None:
        """Add rows that have no such column."""
        self._counters.rows += count
        self._counters.missing += count

    def drain(self) -> FeatureSummary:
        """What was counted since the last time."""
        summary = FeatureSummary(self.key, OpaqueSummary(), self._counters)
        self._counters = Counters()
        return summary

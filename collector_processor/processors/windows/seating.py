"""Who may have windows: models, versions and segments within their limits, and the overflow for all others."""

from __future__ import annotations

from collections import Counter
from typing import Final

from collector_processor.processors.windows.overflow import (
    OVERFLOW_MODEL,
    is_mixed,
    overflow_segment,
    overflow_version,
)
from collector_processor.processors.windows.settings import LimitSettings
from collector_processor.processors.windows.window import Outcome, Slot, Stream
from otel_ml.semconv import OTHER_LABEL
from otel_ml.sketch.feature import ModelKey

_OVERFLOWN_DIMENSIONS: Final = 8
"""Of one window; each has one segment beyond the limit."""


class Seating:
    """Knows which models have windows.

    Attributes:
        active: Models that have windows.
        overflown: Snapshots that went into an overflow series, by reason, since the counter was last emptied.
    """

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self.active: set[ModelKey] = set()
        self.overflown: Counter[str] = Counter()

    def model(self, model: ModelKey) -> ModelKey:
        """Which model may have windows for this one: itself, unless there are too many.

        A model that has windows keeps its place, whoever else comes; one without makes room.
        """
        if model in self.active:
            return model
        further = overflow_version(model)
        if not is_mixed(model):
            versions = sum(other.name == model.name and other != further for other in self.active)
            if versions >= self._limits.versions:
                self.overflown["too_many_versions"] += 1
                if further in self.active:
                    return further
                model = further
        if len(self.active) - (OVERFLOW_MODEL in self.active) >= self._limits.models and model != OVERFLOW_MODEL:
            self.overflown["too_many_models"] += 1
            return further if further in self.active else OVERFLOW_MODEL
        return model

    def counted_as(self, model: ModelKey) -> ModelKey:
        """Under which model the rows stand that were merged last for this one."""
        if model in self.active:
            return model
        further = overflow_version(model)
        return further if further in self.active else OVERFLOW_MODEL

    def slot(self, stream: Stream, slot: Slot) -> Slot | None:
        """Which slot may have a window for this one: itself, that of the segments beyond the limit, or none."""
        segment = slot.segment
        if segment is None:
            return slot
        if segment.value != OTHER_LABEL and stream.segments.take(segment, slot.start_unix_nano):
            others = self._beside(stream, slot)
            if slot in stream.windows or sum(value != OTHER_LABEL for value in others) < self._limits.segments:
                return slot
        slot = slot._replace(segment=overflow_segment(segment))
        if slot not in stream.windows:
            overflown = sum(value == OTHER_LABEL for value in self._beside(stream, slot))
            if overflown >= _OVERFLOWN_DIMENSIONS or not self._limits.segments:
                return None
        self.overflown[Outcome.TOO_MANY_SEGMENTS.value] += 1
        return slot

    def _beside(self, stream: Stream, slot: Slot) -> list[str]:
        """The values of all segments that have a window at that time."""
        return [
            other.segment.value
            for other in stream.windows
            if other.segment is not None and other.start_unix_nano == slot.start_unix_nano
        ]

"""What a checkpoint has to write, and no more."""

from __future__ import annotations

from dataclasses import dataclass

from collector_processor.processors.windows.window import Slot
from otel_ml.sketch.feature import ModelKey


@dataclass(frozen=True, slots=True)
class Changes:
    """What is not as it was when this was last asked for.

    Attributes:
        streams: Models whose time has gone on; those that `WindowStore.streams` no longer has are forgotten.
        windows: By model and slot; those that the model's `Stream.windows` no longer has are gone.
    """

    streams: frozenset[ModelKey] = frozenset()
    windows: frozenset[tuple[ModelKey, Slot]] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.streams or self.windows)

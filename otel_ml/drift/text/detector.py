"""What a detector of drift in texts is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from otel_ml.drift.detector import DriftResult
from otel_ml.sketch.text_summary import TextSummary


class TextDetector(ABC):
    """A comparison of texts by what their merged summaries hold, implemented by a frozen dataclass of its settings.

    A detector raises nothing on data: any two summaries of at least one text each compare, or have nothing in common.
    """

    __slots__ = ()

    name: ClassVar[str]
    """Also the suffix of the metric, as in `ml.feature.drift.vocabulary`."""
    threshold: float
    """Score above which the difference is big enough to matter."""

    @abstractmethod
    def compare(self, reference: TextSummary, current: TextSummary) -> DriftResult | None:
        """How far `current` is from `reference`; None where one does not hold what it takes."""

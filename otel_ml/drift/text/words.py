"""Words per text."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from otel_ml.drift.comparison import distributions
from otel_ml.drift.detector import DriftResult, require_number
from otel_ml.drift.text.detector import TextDetector
from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.summary import FeatureSummary
from otel_ml.sketch.text_summary import TextSummary


@dataclass(frozen=True, slots=True)
class WordsPerText(TextDetector):
    """Population Stability Index of how many words texts have; see `PopulationStabilityIndex`.

    Args:
        threshold: Score above which the texts count as drifted.
    """

    name: ClassVar[str] = "words"

    threshold: float = 0.2

    def __post_init__(self) -> None:
        require_number("words::threshold", self.threshold, above=0)

    def compare(self, reference: TextSummary, current: TextSummary) -> DriftResult | None:
        """How far the numbers of words are from those of the reference; None where they cannot be compared."""
        pair = distributions(_column(reference.words), _column(current.words))
        if pair is None:
            return None
        result = PopulationStabilityIndex(threshold=self.threshold).compare(*pair)
        return None if math.isnan(result.score) else replace(result, method=self.name)


def _column(numbers: NumericSummary) -> FeatureSummary:
    return FeatureSummary(FeatureKey(FeatureRole.FEATURE, "words"), numbers, Counters(numbers.count))

"""One verdict on texts, of all that is known of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Final

from otel_ml.drift.detector import DriftResult, require_number
from otel_ml.drift.text.characters import Characters
from otel_ml.drift.text.detector import TextDetector
from otel_ml.drift.text.vocabulary import Vocabulary
from otel_ml.drift.text.words import WordsPerText
from otel_ml.sketch.text_summary import TextSummary

_CERTAIN: Final = 0.001


@dataclass(frozen=True, slots=True)
class Content(TextDetector):
    """The greatest of the scores of `words`, `characters` and `vocabulary`, each in parts of its own threshold.

    Of those that chance explains in fewer than one of a thousand cases, the greatest counts; where there is none, the
    one that chance explains least. Its p-value times the number of detectors holds whichever is chosen (Bonferroni).
    What a side does not know is left out, as where a baseline was built by an earlier version.

    Args:
        threshold: Score above which the texts count as drifted; 1 is where one of the detectors says so.
    """

    name: ClassVar[str] = "content"

    threshold: float = 1.0
    detectors: tuple[TextDetector, ...] = field(default=(WordsPerText(), Characters(), Vocabulary()))

    def __post_init__(self) -> None:
        require_number("content::threshold", self.threshold, above=0)

    def compare(self, reference: TextSummary, current: TextSummary) -> DriftResult | None:
        """What the strongest of the detectors says; None where none applies."""
        return self.combine(
            [result for detector in self.detectors if (result := detector.compare(reference, current)) is not None]
        )

    def combine(self, results: list[DriftResult]) -> DriftResult | None:
        """As `compare`, of what the detectors said."""
        strongest = strongest_of(results)
        if strongest is None:
            return None
        p_value = strongest.p_value
        return DriftResult(
            self.name,
            strongest.score / strongest.threshold,
            self.threshold,
            None if p_value is None else min(1.0, p_value * sum(result.p_value is not None for result in results)),
            strongest.n_reference,
            strongest.n_current,
        )


def strongest_of(results: list[DriftResult]) -> DriftResult | None:
    """The result that stands for all of them; None where there is none."""
    tested = [result for result in results if result.p_value is not None]
    certain = [result for result in tested if (result.p_value or 0.0) * len(tested) < _CERTAIN]
    if certain or not tested:
        return max(certain or results, key=lambda result: result.score / result.threshold, default=None)
    return min(tested, key=lambda result: result.p_value or 0.0)

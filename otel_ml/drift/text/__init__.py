"""Comparing texts by their words, characters and vocabulary, from sums that hold none of their words."""

from collections.abc import Collection
from typing import Final

from otel_ml.drift.detector import DriftResult
from otel_ml.drift.text.characters import CharacterChange, Characters, character_changes
from otel_ml.drift.text.content import Content
from otel_ml.drift.text.detector import TextDetector
from otel_ml.drift.text.moved import moved_text
from otel_ml.drift.text.vocabulary import Vocabulary
from otel_ml.drift.text.words import WordsPerText
from otel_ml.sketch.text_summary import TextSummary

__all__ = [
    "METHODS",
    "CharacterChange",
    "Characters",
    "Content",
    "TextDetector",
    "Vocabulary",
    "WordsPerText",
    "character_changes",
    "compare_texts",
    "moved_text",
]

_CONTENT: Final = Content()
METHODS: Final = frozenset((*(detector.name for detector in _CONTENT.detectors), _CONTENT.name))
"""Names of all of them."""


def compare_texts(was: TextSummary, now: TextSummary, methods: Collection[str] | None = None) -> list[DriftResult]:
    """What each detector of texts says of two summaries, and their verdict together; nothing where one is empty.

    Args:
        methods: Names of the detectors that are asked; all where it is None.
    """
    if not (was.count and now.count) or (methods is not None and METHODS.isdisjoint(methods)):
        return []
    is_asked = METHODS.__contains__ if methods is None else methods.__contains__
    detectors = [detector for detector in _CONTENT.detectors if is_asked(_CONTENT.name) or is_asked(detector.name)]
    results = [result for detector in detectors if (result := detector.compare(was, now)) is not None]
    together = _CONTENT.combine(results) if is_asked(_CONTENT.name) else None
    return [result for result in (*results, together) if result is not None and is_asked(result.method)]

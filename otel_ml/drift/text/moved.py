"""What changed in texts, for people to read."""

from __future__ import annotations

from typing import Final, NamedTuple

from otel_ml.drift.explanation.moved_cells import MovedCell
from otel_ml.drift.text.characters import Characters, character_changes
from otel_ml.drift.text.vocabulary import Means, Vocabulary
from otel_ml.drift.text.words import WordsPerText
from otel_ml.sketch.text_bytes import CHARACTERS
from otel_ml.sketch.text_summary import TextSummary

_BY_CHANCE: Final = 0.05
_WORD_LENGTH: Final = CHARACTERS[-1]


class _Change(NamedTuple):
    """A number before and after, and by how many thresholds it moved."""

    label: str
    was: float
    now: float
    size: float
    is_share: bool


def moved_text(reference: TextSummary, current: TextSummary, k: int = 3) -> list[MovedCell]:
    """The `k` things that changed most in texts, the greatest first; fewer where no more changed significantly.

    They are shares of characters such as "non-ASCII", the mean "word length" and number of "words" of a text, and the
    "likeness of words", the cosine of `Vocabulary`. Parts are of the scores over the thresholds of `Characters`,
    `WordsPerText` and `Vocabulary`.
    """
    changes = [*_characters(reference, current), *_words(reference, current), *_vocabulary(reference, current)]
    total = sum(change.size for change in changes)
    return [
        MovedCell(change.label, change.was, change.now, change.size / total, is_share=change.is_share)
        for change in sorted(changes, key=lambda change: -change.size)[:k]
    ]


def _characters(reference: TextSummary, current: TextSummary) -> list[_Change]:
    threshold = Characters().threshold
    return [
        _Change(change.name, change.reference, change.current, change.effect / threshold, change.name != _WORD_LENGTH)
        for change in character_changes(reference, current)
        if change.effect > 0 and change.p_value * len(CHARACTERS) < _BY_CHANCE
    ]


def _words(reference: TextSummary, current: TextSummary) -> list[_Change]:
    result = WordsPerText().compare(reference, current)
    if result is None or result.score <= 0 or (result.p_value or 0.0) >= _BY_CHANCE:
        return []
    was, now = reference.words.moments.mean, current.words.moments.mean
    return [_Change("words", was, now, result.score / result.threshold, is_share=False)]


def _vocabulary(reference: TextSummary, current: TextSummary) -> list[_Change]:
    result = Vocabulary().compare(reference, current)
    if result is None or result.score <= 0 or (result.p_value or 0.0) >= _BY_CHANCE:
        return []
    cosine = Means.of(reference.vocabulary, current.vocabulary).cosine
    return [_Change("likeness of words", 1.0, max(0.0, cosine), result.score / result.threshold, is_share=True)]

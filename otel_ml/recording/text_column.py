"""A column of free text: how long, how varied, made of what; no word of it is kept."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.values import is_missing
from otel_ml.sketch.feature import Counters, FeatureKey
from otel_ml.sketch.summary import FeatureSummary, TextSummary
from otel_ml.sketch.text_bytes import READ_CHARACTERS
from otel_ml.sketch.text_summary import words_in
from otel_ml.sketch.text_sums import VocabularySums

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_ml.recording.inputs.batches import Values
    from otel_ml.sketch.bins import BinLayout

_CHARACTERS_A_STEP: Final = 20_000
"""Characters that are read in one go; a text counts for as many as a short one costs besides."""
_CHARACTERS_BESIDES: Final = 100
_HELD: Final = 256
"""Lengths that wait to be summarised together: that takes 0.2 ms, hardly more than for one."""
_CHARACTERS_READ: Final = 18_000
"""Of texts that wait to be read together: that takes 0.3 ms, most of it in NumPy, which lets go of the interpreter. A
text counts for as many as a short one costs besides."""
_FEWEST_TEXTS: Final = 10
"""Whose words are sent together; those of fewer wait for more. A word could be looked for in one text."""


class TextColumn:
    """Measures texts as they come, and summarises the measures in bulk.

    Args:
        layout: Bins of lengths cut from the baseline.
        counts_words: Whether hashed words are counted.
    """

    __slots__ = (
        "_content",
        "_counters",
        "_counts_words",
        "_layout",
        "_lengths",
        "_unread",
        "_unread_characters",
        "_words",
        "key",
        "source",
    )

    def __init__(self, key: FeatureKey, source: Any, layout: BinLayout | None, *, counts_words: bool = True) -> None:
        self.key = key
        self.source = source
        self._layout = layout
        self._counts_words = counts_words
        self._counters = Counters()
        self._content = TextSummary.anchored(layout)
        self._lengths = array("d")
        self._words = array("d")
        self._unread: list[str] = []
        self._unread_characters = 0

    def update(self, values: Values) -> Iterator[None]:
        """Add one value per row, in steps."""
        texts: list[str] = []
        characters = 0
        for value in values:
            if isinstance(value, str):
                texts.append(value)
                self._unread.append(value[:READ_CHARACTERS])
                size = min(len(value), READ_CHARACTERS) + _CHARACTERS_BESIDES
                characters += size
                # A byte takes as long as an ASCII character.
                self._unread_characters += size if value.isascii() else 3 * size
                if self._unread_characters >= _CHARACTERS_READ:
                    self._read_unread()
                    yield
                if characters >= _CHARACTERS_A_STEP:
                    self._read(texts)
                    texts, characters = [], 0
                    yield
            elif is_missing(value):
                self.missing(1)
            else:
                self._counters.rows += 1
                self._counters.mismatched += 1
        self._read(texts)

    def repeat(self, value: Any, count: int) -> None:
        """Add the same value many times: missing, or a number, which is no text."""
        self._counters.rows += count
        if is_missing(value):
            self._counters.missing += count
        else:
            self._counters.mismatched += count

    def missing(self, count: int) -> None:
        """Add rows that have no such column."""
        self._counters.rows += count
        self._counters.missing += count

    def drain(self) -> FeatureSummary:
        """What was added since the last time."""
        self._settle()
        self._read_unread()
        content, waiting = self._content, VocabularySums()
        if content.vocabulary.texts < _FEWEST_TEXTS:
            content.vocabulary, waiting = waiting, content.vocabulary
        summary = FeatureSummary(self.key, content, self._counters)
        self._content, self._counters = TextSummary.anchored(self._layout), Counters()
        self._content.vocabulary = waiting
        return summary

    def _read(self, texts: list[str]) -> None:
        if not texts:
            return
        self._counters.rows += len(texts)
        self._lengths.extend(map(len, texts))
        self._words.extend(map(words_in, texts))
        self._content.identify(texts)
        if len(self._lengths) >= _HELD:
            self._settle()

    def _read_unread(self) -> None:
        texts = self._unread
        self._unread, self._unread_characters = [], 0
        self._content.read(texts, vocabulary=self._counts_words)

    def _settle(self) -> None:
        if self._lengths:
            self._content.measure(np.frombuffer(self._lengths), np.frombuffer(self._words))
            self._lengths, self._words = array("d"), array("d")

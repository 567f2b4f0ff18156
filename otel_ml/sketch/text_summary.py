"""What is kept of a column of texts: how long and varied they are, and what they are made of; none of their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.text_bytes import READ_CHARACTERS, read_texts
from otel_ml.sketch.text_sums import CharacterSums, VocabularySums


@dataclass(slots=True)
class TextSummary:
    """Length, words, variety and make-up of texts. No word of a text is kept.

    Attributes:
        lengths: Characters of each text; 0 where it is empty or only white space.
        words: Tokens that white space separates in the first 10,000 characters of each text.
        empty: Texts that are empty or only white space.
        cardinality: Of distinct texts; those of one length that differ only behind that are taken for the same.
        characters: Of the texts that have any; of none where the writer does not know.
        vocabulary: Of the texts that have any word; of none where it is not wanted, or the writer does not know.
    """

    lengths: NumericSummary = field(default_factory=NumericSummary)
    words: NumericSummary = field(default_factory=NumericSummary)
    empty: int = 0
    cardinality: HyperLogLog = field(default_factory=HyperLogLog)
    characters: CharacterSums = field(default_factory=CharacterSums)
    vocabulary: VocabularySums = field(default_factory=VocabularySums)

    @classmethod
    def anchored(cls, layout: BinLayout | None, /) -> TextSummary:
        """A summary without texts that will count lengths in these bins."""
        return cls(lengths=NumericSummary.anchored(layout))

    @property
    def count(self) -> int:
        """How many texts there were."""
        return self.lengths.count

    def update(self, texts: Sequence[str], /) -> None:
        """Add texts."""
        self.identify(texts)
        self.measure(
            np.fromiter(map(len, texts), np.float64, len(texts)),
            np.fromiter(map(words_in, texts), np.float64, len(texts)),
        )
        self.read(texts)

    def identify(self, texts: Sequence[str], /) -> None:
        """Add texts to the distinct ones, and to nothing else: for who measures them apart."""
        self.cardinality.update(
            text if len(text) <= READ_CHARACTERS else f"{text[:READ_CHARACTERS]}{len(text)}" for text in texts
        )

    def measure(self, lengths: FloatArray, words: FloatArray, /) -> None:
        """Add the lengths of texts, and their `words_in`, both of shape (n,)."""
        # A text without a word is as good as empty, however many blanks it has.
        self.lengths.update(np.where(words == 0.0, 0.0, lengths))
        self.words.update(words)
        self.empty += int(np.count_nonzero(words == 0.0))

    def read(self, texts: Sequence[str], /, *, vocabulary: bool = True) -> None:
        """Add what texts are made of, and nothing else; their words only where `vocabulary` is set."""
        for batch in read_texts(texts, with_words=vocabulary):
            self.characters.add(batch.characters)
            self.vocabulary.add(batch.words)

    def merge(self, other: TextSummary, /) -> None:
        """Add what `other` has seen.

        Raises:
            IncompatibleSketchError: Bins of one hash differ in number.
        """
        # Only bins can fail to merge; of the two, lengths alone have any.
        self.lengths.merge(other.lengths)
        self.words.merge(other.words)
        self.empty += other.empty
        self.cardinality.merge(other.cardinality)
        self.characters.merge(other.characters)
        self.vocabulary.merge(other.vocabulary)


def words_in(text: str) -> int:
    """Words of a text, of its first 10,000 characters if it is longer."""
    return len(text[:READ_CHARACTERS].split())

"""What texts are made of, from as many of them as tell it, however many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_ml.sketch.text_summary import TextSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK: Final = 1_000
"""Texts that follow each other, and are read together or not at all."""
MOST_BLOCKS: Final = 200
"""With half as many texts, a share is known to a third of a percent of a standard deviation."""


class SampledTexts:
    """Reads all of up to 200,000 texts, and of more every second block of a thousand, every fourth, and so on.

    What is read depends on the order of the texts only, and not on how many come at a time.
    """

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._blocks: list[TextSummary] = []
        self._seen = 0
        self._every = 1

    def add(self, texts: Sequence[str]) -> None:
        """Add texts."""
        self._waiting += texts
        while len(self._waiting) >= BLOCK:
            self._read(self._waiting[:BLOCK])
            del self._waiting[:BLOCK]

    def finish(self, into: TextSummary) -> None:
        """Put what was read into a summary."""
        if self._waiting:
            self._read(self._waiting)
            self._waiting = []
        for block in self._blocks:
            into.characters.merge(block.characters)
            into.vocabulary.merge(block.vocabulary)

    def _read(self, texts: Sequence[str]) -> None:
        if self._seen % self._every == 0:
            if len(self._blocks) == MOST_BLOCKS:
                # The new one is the 200th times `every`, an even one: it stays.
                self._blocks = self._blocks[::2]
                self._every *= 2
            block = TextSummary()
            block.read(texts)
            self._blocks.append(block)
        self._seen += 1

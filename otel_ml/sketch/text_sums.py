"""Sums over texts of what they are made of. No word can be told from them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.text_bytes import BUCKETS, CHARACTERS, Levels

GROUP: Final = 16
"""Texts that are compared with each other; each with one other, and these pairs of texts pair by pair."""


def _zeros(*shape: int) -> FloatArray:
    return np.zeros(shape)


@dataclass(slots=True)
class CharacterSums:
    """Sums of the levels of characters, see `text_bytes`. Whole numbers: merging is exact, in any order.

    Attributes:
        texts: Texts with any character.
        powers: (3, 9) Σ q, Σ q² and Σ q³ of the levels q of each of `CHARACTERS`.
    """

    texts: int = 0
    powers: FloatArray = field(default_factory=lambda: _zeros(3, len(CHARACTERS)))

    def add(self, levels: FloatArray, /) -> None:
        """Add texts with these levels, shape (texts, 9)."""
        self.texts += len(levels)
        power = levels
        for place in range(len(self.powers)):
            self.powers[place] += power.sum(axis=0)
            power = power * levels

    def merge(self, other: CharacterSums, /) -> None:
        """Add what `other` has seen."""
        self.texts += other.texts
        self.powers = self.powers + other.powers


@dataclass(slots=True)
class VocabularySums:
    """Sums of vectors q that say where the words of a text fall, see `text_bytes`. Whole numbers, as above.

    The words of one text do not come independently: how much buckets go together is taken from products of differences
    of texts, so that no mean has to be known for them.

    Attributes:
        texts: Texts with any word that counts.
        totals: (256,) Σ q.
        squares: (256,) Σ q².
        pairs: How many pairs of differences d and e of texts were multiplied.
        pair_products: Σ over them of (d·e)² less Σ dᵢ² eᵢ², what the buckets add one by one; rounded.
    """

    texts: int = 0
    totals: FloatArray = field(default_factory=lambda: _zeros(BUCKETS))
    squares: FloatArray = field(default_factory=lambda: _zeros(BUCKETS))
    pairs: int = 0
    pair_products: float = 0.0

    def add(self, levels: Levels, /) -> None:
        """Add texts with these levels, shape (texts, 256)."""
        if not len(levels):
            return
        self.texts += len(levels)
        # Of whole numbers below 2^24 in a batch, which a float holds exactly.
        squares = np.square(levels)
        self.totals += levels.sum(axis=0)
        self.squares += squares.sum(axis=0)
        whole = len(levels) // GROUP * GROUP
        # The rest would take as long for few pairs more.
        self._multiply(levels[:whole].reshape(-1, GROUP, BUCKETS) if whole else levels[np.newaxis])

    def merge(self, other: VocabularySums, /) -> None:
        """Add what `other` has seen."""
        self.texts += other.texts
        self.totals = self.totals + other.totals
        self.squares = self.squares + other.squares
        self.pairs += other.pairs
        self.pair_products += other.pair_products

    def _multiply(self, groups: Levels) -> None:
        """Add the products within groups of texts, shape (groups, texts, 256)."""
        size = groups.shape[1] // 2
        if size < 2:  # a pair takes two
            return
        differences = groups[:, 0 : 2 * size : 2] - groups[:, 1 : 2 * size : 2]
        squares = np.square(differences)
        products = np.square(differences @ differences.transpose(0, 2, 1)) - squares @ squares.transpose(0, 2, 1)
        products[:, np.arange(size), np.arange(size)] = 0.0
        self.pairs += len(groups) * (size * (size - 1) // 2)
        self.pair_products += float(np.rint(products.sum(dtype=np.float64) / 2))

"""Building a KLL sketch from sorted batches, several times faster than value by value.

DataSketches sorts what it is fed in its own, scalar way. A batch that is sorted already can go to the level it would
end up in at once: every 2^h-th value of it, from a random start, is an item of weight 2^h.
"""

from __future__ import annotations

import math
from random import Random

import numpy as np

from otel_ml.sketch import kll_image
from otel_ml.sketch.kll_image import KllContents
from otel_ml.sketch.quantiles import DEFAULT_K, QuantileSketch
from otel_ml.sketch.sketch import CountArray, FloatArray

_DEEPEST = 5
"""How far below the top batches come in. Levels further down hold a few items only, which each batch would flood."""

_NOTHING = np.empty(0)


class KllBuilder:
    """Takes sorted batches, and gives the sketch of all of them, within the error of one that DataSketches fed.

    Source: Karnin, Lang & Liberty, "Optimal quantile approximation in streams" (2016), with the sampling of its
    section 4 done on sorted batches.

    Args:
        k: Accuracy; the error falls about as 1 / k.
        random: Where the coins come from; replicas must not toss the same ones.
    """

    __slots__ = ("_k", "_levels", "_maximum", "_minimum", "_random")

    def __init__(self, k: int = DEFAULT_K, random: Random | None = None) -> None:
        self._k = k
        # Coins for sampling, no secrets.
        self._random = Random() if random is None else random  # noqa: S311 - they need not be unpredictable
        # Per height h the sorted items of weight 2^h.
        self._levels: list[FloatArray] = []
        self._minimum, self._maximum = math.inf, -math.inf

    def update_sorted(self, values: FloatArray, /) -> None:
        """Add finite, increasing values, shape (n,); they are copied."""
        if values.size == 0:
            return
        self._minimum = min(self._minimum, values.item(0))
        self._maximum = max(self._maximum, values.item(-1))
        # High enough that no more than 2k items come in at once, but never so high that not one is left.
        height = max((values.size // self._k).bit_length() - 1, len(self._levels) - 1 - _DEEPEST, 0)
        height = min(height, values.size.bit_length() - 1)
        if values.size & ((1 << height) - 1):
            self._add(height, self._halved(values, height))
        else:
            self._add(height, values[self._random.randrange(1 << height) :: 1 << height])
        self._compact()

    def update_weighted(self, values: FloatArray, counts: CountArray, /) -> None:
        """Add finite, strictly increasing values that came several times each, both of shape (n,), counts positive."""
        if values.size == 0:
            return
        self._minimum = min(self._minimum, values.item(0))
        self._maximum = max(self._maximum, values.item(-1))
        # A count in binary: one item in each level whose bit is set.
        for height in range(int(counts.max()).bit_length()):
            self._add(height, values[counts >> height & 1 == 1])
        self._compact()

    def sketch(self) -> QuantileSketch:
        """The sketch of all values so far."""
        contents = KllContents.of_levels(
            self._levels, k=self._k, min_k=self._k, minimum=self._minimum, maximum=self._maximum
        )
        # By way of the published image: what a sketch holds is its own business.
        return QuantileSketch.from_image(kll_image.write(contents, "doubles"), "doubles")

    def _halved(self, values: FloatArray, height: int) -> FloatArray:
        """Every 2^height-th value, of any number of values: whenever one is odd, a random one stays behind."""
        for level in range(height):
            if values.size & 1:
                left = self._random.randrange(values.size)
                self._add(level, values[left : left + 1])
                values = np.concatenate((values[:left], values[left + 1 :]))
            values = values[self._random.getrandbits(1) :: 2]
        return values

    def _add(self, height: int, items: FloatArray) -> None:
        while len(self._levels) <= height:
            self._levels.append(_NOTHING)
        present = self._levels[height]
        self._levels[height] = np.sort(np.concatenate((present, items))) if present.size else items.copy()

    def _compact(self) -> None:
        """Promote every other item of the lowest level that is too full, until all fit."""
        levels = self._levels
        while sum(map(len, levels)) > sum(capacities := kll_image.capacities(self._k, len(levels))):
            height = next(h for h, items in enumerate(levels) if len(items) >= capacities[h])
            items, coins = levels[height], self._random.getrandbits(2)
            odd = len(items) & 1
            # An odd item out stays where it is: the first one or the last.
            first = odd if coins & 2 else 0
            levels[height] = (items[:odd] if first else items[len(items) - odd :]).copy()
            self._add(height + 1, items[first : len(items) - odd + first][coins & 1 :: 2])

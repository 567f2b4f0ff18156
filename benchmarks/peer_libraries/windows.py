"""Reference and window for every question the peers are asked, the same in each of their environments."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_CELLS = 4_000_000
"""Values held at a time: more columns than that are asked about in several blocks."""


class Block(NamedTuple):
    """Some columns, each a repetition: all are drawn alike, and independently."""

    reference: Mapping[str, Array]
    current: Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Case:
    """One question: how often is a window of this size, with this change, called drifted?

    Attributes:
        change: What happened between reference and window, or which kind of column nothing happened to.
        rows: Of the window.
        repeats: Pairs of reference and window that are drawn.
        categories: Of a Zipf distribution, the most frequent one twice as likely as the second and so on; 0: normal
            numbers.
        shift: Of the mean, in standard deviations.
        new_category: Share of the window that is a category the reference does not know.
        nulls: Shares of missing values, in the reference and in the window.
    """

    change: str
    rows: int
    repeats: int
    categories: int = 0
    shift: float = 0.0
    new_category: float = 0.0
    nulls: tuple[float, float] = (0.0, 0.0)

    @property
    def is_clean(self) -> bool:
        """Whether nothing changed."""
        return not self.shift and not self.new_category and self.nulls[0] == self.nulls[1]

    @property
    def name(self) -> str:
        """What its figures' names begin with."""
        return f"{'false_alarms' if self.is_clean else 'power'}.{self.change}.n{self.rows}"

    @property
    def reference_rows(self) -> int:
        """At least as many as the window, and of numbers the ten chunks of its size that NannyML's defaults look at."""
        if self.categories or self.rows > 10_000:
            return max(self.rows, 10_000)
        return 10 * max(self.rows, 1_000)

    def blocks(self) -> Iterator[Block]:
        """All repetitions, as many columns at a time as memory should hold."""
        columns = max(1, _CELLS // (self.rows + self.reference_rows))
        for start in range(0, self.repeats, columns):
            chance = np.random.default_rng((zlib.crc32(self.name.encode()), start))
            names = [f"column_{index}" for index in range(start, min(start + columns, self.repeats))]
            yield Block(
                {name: self._column(chance, self.reference_rows, was=True) for name in names},
                {name: self._column(chance, self.rows, was=False) for name in names},
            )

    def _column(self, chance: np.random.Generator, rows: int, *, was: bool) -> Array:
        if self.categories:
            weights = (1.0 / np.arange(1, self.categories + 1)).cumsum()
            drawn = np.searchsorted(weights / weights[-1], chance.random(rows), side="right")
            if not was:
                drawn[chance.random(rows) < self.new_category] = self.categories
            words: Array = np.array([f"category_{index}" for index in range(self.categories + 1)], dtype=object)
            return words[drawn]
        values = chance.normal(0.0 if was else self.shift, 1.0, rows)
        nulls = self.nulls[0 if was else 1]
        if nulls:
            values[chance.random(rows) < nulls] = np.nan
        return values


def cases(rounds: int) -> list[Case]:
    """What is asked; each repetition `rounds` times over, and with 0 only the small windows, a few times."""

    def repeats(rows: int, categories: int = 0) -> int:
        if not rounds:
            return 10
        if categories >= 1_000:
            return rounds * 50  # Alibi Detect takes a quarter of a second for each
        return rounds * (200 if rows <= 1_000 else 50 if rows <= 10_000 else 30 if rows <= 100_000 else 20)

    asked = [
        *(Case("numbers", rows, repeats(rows)) for rows in (50, 100, 200, 500, 1_000, 10_000, 100_000, 1_000_000)),
        *(
            Case(f"{categories}_categories", rows, repeats(rows, categories), categories)
            for categories in (10, 100, 1_000)
            for rows in (100, 1_000, 10_000)
        ),
        *(Case("nulls_1_percent", rows, repeats(rows), nulls=(0.01, 0.01)) for rows in (1_000, 10_000)),
        *(
            Case(f"shift_{shift:g}_sd", rows, repeats(rows), shift=shift)
            for shift in (0.1, 0.25, 0.5)
            for rows in (200, 1_000, 10_000)
        ),
        *(
            Case("new_category_2_percent", rows, repeats(rows), categories=10, new_category=0.02)
            for rows in (1_000, 10_000)
        ),
        *(Case("nulls_0_to_5_percent", rows, repeats(rows), nulls=(0.0, 0.05)) for rows in (1_000, 10_000)),
    ]
    return [case for case in asked if rounds or case.rows <= 1_000]


def table(rows: int, columns: int, seed: int) -> Array:
    """(rows, columns) normal numbers, for what a comparison costs."""
    drawn: Array = np.random.default_rng(seed).normal(size=(rows, columns))
    return drawn

"""What the windows must hold in the end: every snapshot that was made, counted once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import CategoricalSummary, FeatureSummary, NumericSummary

Cell = tuple[str, str]
"""A column, and what of it is counted: "rows", "bin 17", "category a"."""


class WindowKey(NamedTuple):
    """One window of one model."""

    model: str
    start_unix_nano: int


@dataclass(slots=True)
class Counted:
    """What is exact in a window."""

    rows: int = 0
    cells: Counter[Cell] = field(default_factory=Counter)

    def add_column(self, summary: FeatureSummary) -> None:
        """Count what a column says, cell by cell."""
        for what, count in _cells(summary):
            if count:
                self.cells[summary.key.name, what] += count


@dataclass(slots=True)
class Truth:
    """Grows with every snapshot that is made.

    Attributes:
        windows: What is in each.
        identities: How many records with an identity were made: numbers 0, 1, 2, … below it.
    """

    window_ns: int
    windows: dict[WindowKey, Counted] = field(default_factory=dict)
    identities: int = 0
    snapshots: int = 0

    def add(self, snapshot: Snapshot) -> None:
        """Count a snapshot; once, however often it is sent."""
        start = snapshot.start_time_unix_nano - snapshot.start_time_unix_nano % self.window_ns
        counted = self.windows.setdefault(WindowKey(snapshot.model.name, start), Counted())
        counted.rows += snapshot.rows
        for summary in snapshot.features:
            counted.add_column(summary)
        self.snapshots += 1

    @property
    def rows(self) -> int:
        """In all windows."""
        return sum(counted.rows for counted in self.windows.values())


@dataclass(slots=True)
class Difference:
    """How what was found differs from the truth.

    Attributes:
        lost: Rows that are missing in windows.
        doubled: Rows that are there too often.
        wrong_cells: Counts of bins, categories and columns that are another number than they should be.
        where: The first few windows that differ, in words.
    """

    lost: int = 0
    doubled: int = 0
    wrong_cells: int = 0
    where: list[str] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        """Whether everything is exact."""
        return not (self.lost or self.doubled or self.wrong_cells)


def compare(truth: dict[WindowKey, Counted], found: dict[WindowKey, Counted]) -> Difference:
    """Say what is missing and what is too much, window by window and cell by cell."""
    difference = Difference()
    for key in sorted(truth.keys() | found.keys()):
        expected, actual = truth.get(key, Counted()), found.get(key, Counted())
        gap = expected.rows - actual.rows
        difference.lost += max(gap, 0)
        difference.doubled += max(-gap, 0)
        cells = expected.cells.keys() | actual.cells.keys()
        wrong = [cell for cell in cells if expected.cells[cell] != actual.cells[cell]]
        difference.wrong_cells += len(wrong)
        if (gap or wrong) and len(difference.where) < 10:
            difference.where.append(
                f"{key.model} {key.start_unix_nano}: {expected.rows} rows were sent, {actual.rows} counted;"
                f" {len(wrong)} of {len(cells)} cells differ"
            )
    return difference


def _cells(summary: FeatureSummary) -> Iterator[tuple[str, int]]:
    yield "rows", summary.counters.rows
    yield "missing", summary.counters.missing
    content = summary.content
    if isinstance(content, NumericSummary):
        for bins in content.bins.values():
            counts = np.asarray(bins.counts)
            for index in np.flatnonzero(counts):
                yield f"bin {index}", int(counts[index])
    elif isinstance(content, CategoricalSummary):
        for name, count in content.categories.counts.items():
            yield f"category {name}", count

"""How often a model predicted what, by what was true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from otel_ml.sketch.sketch import CountArray

MAX_CLASSES: Final = 64
"""Predictions, and labels, that are told apart; what has more is no classification, or not one of known classes."""


@dataclass(frozen=True, slots=True, eq=False)
class ConfusionCounts:
    """Rows by prediction and label.

    Attributes:
        predictions: (p,) names of what was predicted, each in at least one row.
        labels: (l,) names of what was true, likewise. They need not be the names of the predictions.
        counts: (p, l) rows that were predicted i and are j.
    """

    predictions: tuple[str, ...]
    labels: tuple[str, ...]
    counts: CountArray

    @property
    def count(self) -> int:
        """Rows of which both are known."""
        return int(self.counts.sum())

    @classmethod
    def of(cls, rows: Mapping[str, int], columns: Mapping[str, int], counts: CountArray) -> ConfusionCounts | None:
        """The counts in order of name, without predictions and labels that no row has; None when no row is left.

        Args:
            rows: Where in `counts` each prediction stands.
            columns: Where in `counts` each label stands.
            counts: At least as many rows and columns.
        """
        predictions = [(name, place) for name, place in sorted(rows.items()) if counts[place].any()]
        labels = [(name, place) for name, place in sorted(columns.items()) if counts[:, place].any()]
        if not predictions:
            return None
        chosen = counts[np.ix_([place for _, place in predictions], [place for _, place in labels])]
        return cls(tuple(name for name, _ in predictions), tuple(name for name, _ in labels), chosen)

    def renamed(self, rename: Callable[[str], str]) -> ConfusionCounts | None:
        """The same counts under other names, and in their order."""
        rows = {rename(name): place for place, name in enumerate(self.predictions)}
        columns = {rename(name): place for place, name in enumerate(self.labels)}
        return ConfusionCounts.of(rows, columns, self.counts)

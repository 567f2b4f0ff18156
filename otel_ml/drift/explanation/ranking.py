"""Which column to look at first: drift, weighted by how much the model relies on the column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from otel_ml.drift.explanation.weights import importance_shares


@dataclass(frozen=True, slots=True)
class RankedColumn:
    """A column and why it stands where it does.

    Attributes:
        name: Of the column.
        drift: Its drift, as it was given.
        importance: Its share of all importances.
    """

    name: str
    drift: float
    importance: float

    @property
    def score(self) -> float:
        """Drift times importance: what columns are ranked by."""
        # Infinite drift of a column that the model does not use is of no importance, and not NaN.
        return self.drift * self.importance if self.importance else 0.0


def rank_columns(
    drift: Mapping[str, float | None], importances: Mapping[str, float] | None = None
) -> list[RankedColumn]:
    """Columns by drift times importance, the one to look at first in front; ties stay in the order given.

    The same drift matters more in a column that the model leans on: practice calls it importance-weighted drift. Only
    scores of one detector can be ranked with each other.

    Args:
        drift: By column, the score of one detector, at least 0. Columns that were not measured (None or NaN) are left
            out.
        importances: How much the model relies on each column, on any scale; a column that is not named has none.
            Where nothing is known of any measured column, all count the same.

    Raises:
        ValueError: An importance is no finite number of at least 0.
    """
    measured = {name: score for name, score in drift.items() if score is not None and not math.isnan(score)}
    shares = importance_shares(measured, importances)
    ranked = [RankedColumn(name, score, shares[name]) for name, score in measured.items()]
    return sorted(ranked, key=lambda column: -column.score)

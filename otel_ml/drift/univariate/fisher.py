"""Fisher's exact test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.two_by_two import fisher_p_values, tables
from otel_ml.drift.univariate.chi_squared import squared_v


@dataclass(frozen=True, slots=True)
class Fisher(DriftDetector):
    """Fisher's exact test, for truth values and columns of two categories.

    Its p-value holds for any number of values, however rare one of the two is (Fisher, "The Logic of Inductive
    Inference", 1935). It errs towards "no drift": there are only so many tables.

    The score is |φ| as if both samples were of the same size, between 0 (the same) and 1 (nothing in common): Cramér's
    V of two categories. A column of more than two categories has neither.

    Args:
        threshold: Score above which the feature counts as drifted. 0.22 is what a PSI of 0.2 makes.
        bias_corrected: Whether to take off, from φ², what chance alone adds on average.
    """

    name: ClassVar[str] = "fisher"
    on_numbers: ClassVar[bool] = False
    on_categories: ClassVar[bool] = True
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.22
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("fisher::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """|φ|, and the probability of a table that is as unlikely without drift."""
        table = tables(columns)
        r, c = table.reference / table.n, table.current / table.m
        squared = squared_v(np.stack((r, 1 - r), axis=1), np.stack((c, 1 - c), axis=1))
        if self.bias_corrected:
            squared = np.maximum(0.0, squared - (1 / table.n + 1 / table.m) / 4)
        return Scores(np.where(np.isnan(r), np.nan, np.sqrt(squared)), fisher_p_values(table))

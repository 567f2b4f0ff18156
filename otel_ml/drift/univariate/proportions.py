"""z-test of two proportions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.category_cells import EXPECTED_PER_CELL
from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.two_by_two import Tables, fisher_p_values, tables
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class Proportions(DriftDetector):
    """z-test of two proportions, for truth values and columns of two categories.

    z = (c - r) / √(p (1 - p)(1/n + 1/m) N / (N - 1)), with p the proportion in both samples together and N = n + m: the
    form that holds for few values (Campbell, "Chi-squared and Fisher-Irwin tests of two-by-two tables with small sample
    recommendations", 2007). With fewer than five values to be expected anywhere in the table, the p-value is that of
    Fisher's exact test.

    The score is Cohen's h = |2 arcsin √c - 2 arcsin √r|, between 0 (the same) and π (nothing in common). On that scale
    a change is as hard to see from 1 % to 3 % as it is in the middle, where h is twice the difference (Cohen,
    "Statistical Power Analysis for the Behavioral Sciences", 1988: 0.2 is small, 0.5 medium, 0.8 large). A column of
    more than two categories has neither.

    Args:
        threshold: Score above which the feature counts as drifted. 0.45 is what a PSI of 0.2 makes.
        bias_corrected: Whether to take off, from h², what chance alone adds on average.
    """

    name: ClassVar[str] = "proportions"
    on_numbers: ClassVar[bool] = False
    on_categories: ClassVar[bool] = True
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.45
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("proportions::threshold", self.threshold, above=0, at_most=np.pi)

    def measure(self, columns: Columns) -> Scores:
        """Cohen's h, and the probability of as high a |z| without drift."""
        table = tables(columns)
        r, c = table.reference / table.n, table.current / table.m
        squared = np.square(2 * (np.arcsin(np.sqrt(c)) - np.arcsin(np.sqrt(r))))
        if self.bias_corrected:
            squared = np.maximum(0.0, squared - (1 / table.n + 1 / table.m))
        return Scores(np.sqrt(squared), _p_values(table))


def _p_values(table: Tables) -> FloatArray:
    total = table.n + table.m
    p = (table.reference + table.current) / total
    variance = p * (1 - p) * (1 / table.n + 1 / table.m) * total / np.maximum(total - 1, 1)
    difference = np.abs(table.current / table.m - table.reference / table.n)
    p_values: FloatArray = special.erfc(difference / np.sqrt(2 * np.where(variance > 0, variance, 1.0)))
    is_small = np.minimum(table.n, table.m) * np.minimum(p, 1 - p) < EXPECTED_PER_CELL * (1 - 1e-9)
    if is_small.any():
        p_values[is_small] = fisher_p_values(Tables(*(part[is_small] for part in table)))
    return p_values

"""G-test of homogeneity."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.cells import Cells
from otel_ml.drift.univariate.jensen_shannon import divergence_nats, mean_divergence_nats
from otel_ml.drift.univariate.over_cells import OverCells
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class GTest(OverCells):
    """Whether two samples come from the same distribution, by the likelihood ratio, over categories or quantile bins.

    G = 2 Σ observed · ln(observed / expected) over the two rows of counts, divided by the correction of Williams,
    "Improved likelihood ratio tests for complete contingency tables" (1976), without which it finds drift too often
    where counts are low (Sokal & Rohlf, "Biometry", 1995, section 17.4). It finds new categories somewhat sooner than
    χ² does.

    The score is Theil's uncertainty coefficient as if both samples were of the same size: the share of the uncertainty
    whether a value is of the reference or the current window that its cell takes away, between 0 (the same) and 1
    (nothing in common). It is G / (2N ln 2) there, the Jensen-Shannon divergence in bits.

    Args:
        bins: Equal-mass bins cut from the reference. Neighbours with fewer than five expected values are joined.
        bias_corrected: Whether to take off, from the score, what chance alone adds on average.
        threshold: Score above which the feature counts as drifted. 0.035 is what a PSI of 0.2 makes.
    """

    name: ClassVar[str] = "g_test"
    greatest: ClassVar[float] = 1.0

    threshold: float = 0.035

    def distance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:  # noqa: ARG002  # others need them
        """The uncertainty coefficient."""
        return divergence_nats(cells) / math.log(2)

    def by_chance(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """The coefficient without drift."""
        return mean_divergence_nats(cells, n, m) / math.log(2)

    def p_value(self, cells: Cells, n: FloatArray, m: FloatArray) -> FloatArray:
        """That of the χ² limit of G; 1 where there are too few values for two cells."""
        n, m = n[:, np.newaxis], m[:, np.newaxis]
        r, c = cells.reference, cells.current
        pooled = (n * r + m * c) / (n + m)
        is_used = pooled > 0
        divisor = np.where(is_used, pooled, 1.0)
        # The differences make each term positive, where the shares of heavy hitters do not sum to 1; else they vanish.
        of_reference = n * (special.xlogy(r, r / divisor) - r + pooled)
        of_current = m * (special.xlogy(c, c / divisor) - c + pooled)
        g = 2 * (of_reference + of_current).sum(axis=1)
        total, freedom = (n + m)[:, 0], np.maximum(cells.used - 1, 1)
        rows = total / n[:, 0] + total / m[:, 0] - 1
        columns = (is_used / divisor).sum(axis=1) - 1
        williams = 1 + rows * columns / (6 * total * freedom)
        # Equal shares must not look different by rounding.
        statistic = np.where(g > 1e-9, g, 0.0) / williams
        # The errors of a sampling sketch are no counts; Pearson's test knows their covariance.
        has_noise = cells.variance > (1 / n + 1 / m)[:, 0]
        p_values = np.where(has_noise, cells.p_value, special.chdtrc(freedom, statistic))
        return np.where(cells.is_testable, p_values, 1.0)

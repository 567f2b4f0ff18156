"""Kolmogorov-Smirnov distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.significance import joint_rank_error, kolmogorov_smirnov_p_values


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov(DriftDetector):
    """Greatest distance between the two distribution functions, with the two-sample test of Smirnov (1939).

    D = sup |F(x) - G(x)| over all x where both are known; both are right-continuous, so ties need no care. Counts in 64
    quantile bins keep nearly all of the exact test's power. Where a sampling sketch (KLL) is behind a function, its
    rank error is given away before the test: p = Q(√(nm / (n + m)) · max(0, D - error)), corrected for small samples.

    Args:
        threshold: Distance above which the feature counts as drifted.
    """

    name: ClassVar[str] = "ks"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_number("ks::threshold", self.threshold, above=0, at_most=1)

    def measure(self, columns: Columns) -> Scores:
        """The distances, and the probability of as much without drift."""
        shared = columns.functions
        score = np.abs(shared.reference - shared.current).max(axis=1)
        error = joint_rank_error(shared.error_reference, shared.error_current)
        return Scores(score, kolmogorov_smirnov_p_values(score, columns.n, columns.m, error))

"""Kolmogorov-Smirnov distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.alignment import functions
from otel_ml.drift.detector import DriftResult, require_number
from otel_ml.drift.significance import joint_rank_error, kolmogorov_smirnov_p_value
from otel_ml.sketch.distribution import Distribution, NumericDistribution


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """Greatest distance between the two distribution functions, with the two-sample test of Smirnov (1939).

    D = sup |F(x) - G(x)| over all x where both are known; both are right-continuous, so ties need no care. Counts in 64
    quantile bins keep nearly all of the exact test's power. Where a sampling sketch (KLL) is behind a function, its
    rank error is given away before the test: p = Q(√(nm / (n + m)) · max(0, D - error)), corrected for small samples.

    Args:
        threshold: Distance above which the feature counts as drifted.
    """

    name: ClassVar[str] = "ks"

    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_number("ks::threshold", self.threshold, above=0, at_most=1)

    def applies_to(self, distribution: Distribution) -> bool:
        """Numeric values: categories have no order to accumulate in."""
        return isinstance(distribution, NumericDistribution)

    def compare(self, reference: Distribution, current: Distribution) -> DriftResult:
        """The distance, and the probability of as much without drift."""
        assert isinstance(reference, NumericDistribution)
        assert isinstance(current, NumericDistribution)
        _, expected, found, _ = functions(reference, current)
        score = float(np.abs(expected - found).max())
        n, m = reference.total, current.total
        error = joint_rank_error(reference.rank_error, current.rank_error)
        return DriftResult(self.name, score, self.threshold, kolmogorov_smirnov_p_value(score, n, m, error), n, m)

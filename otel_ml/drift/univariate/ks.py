"""Kolmogorov-Smirnov distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.quadratic import pooled_shares
from otel_ml.drift.significance import kolmogorov_smirnov_p_values
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov(DriftDetector):
    """Greatest distance between the two distribution functions, with the two-sample test of Smirnov (1939).

    D = sup |F(x) - G(x)| over all x where both are known; both are right-continuous, so ties need no care. Counts in 64
    quantile bins keep nearly all of the exact test's power. Where a sampling sketch (KLL) is behind a function, its
    noise widens the limit and lifts D, see `otel_ml.drift.significance.kolmogorov_smirnov_p_values`.

    The score is D as every library has it, with what chance adds: 0.12 on average for two samples of 100. Whether that
    is drift, the p-value says.

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
        distances = np.abs(shared.reference - shared.current)
        score = distances.max(axis=1)
        pooled = pooled_shares(shared, columns.n, columns.m)
        hidden = np.where(shared.is_step | (score == 0), 0.0, _hidden(columns, distances, pooled))
        return Scores(score, kolmogorov_smirnov_p_values(score + hidden, columns.n, columns.m, columns.noise, pooled))


def _hidden(columns: Columns, distances: FloatArray, shares: FloatArray) -> FloatArray:
    """By how much the distance within the bins beside the greatest one exceeds it, (columns,).

    A walk that is looked at in steps of variance h stays 0.583 √h below its supremum on average: Siegmund, "Corrected
    diffusion approximations in certain random walk problems" (1979). With 0.4 for 0.583 the test on 64 bins is below
    5 % in 5 % of cases, without it in 3.5 %. The bin of a single value has no width, and nothing hides in it.
    """
    points = columns.functions.points
    last = points.shape[1] - 1
    place = distances.argmax(axis=1)
    row = np.arange(len(place))
    masses = []
    for low, high in ((np.maximum(place - 1, 0), place), (place, np.minimum(place + 1, last))):
        start, end = points[row, low], points[row, high]
        is_wide = end / 2 - start / 2 > 1e-12 * np.maximum(np.abs(start), np.abs(end))
        masses.append(np.where(is_wide, shares[row, high] - shares[row, low], 0.0))
    hidden: FloatArray = 0.4 * np.sqrt(np.minimum(*masses) * (1 / columns.n + 1 / columns.m))
    return hidden

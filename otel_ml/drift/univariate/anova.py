"""One-way analysis of variance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.mean_tests import Groups, one_way, separation
from otel_ml.sketch.sketch import FloatArray


@dataclass(frozen=True, slots=True)
class AnalysisOfVariance(DriftDetector):
    """How much of the values' variance lies between reference and current window (Fisher, 1925).

    The score is Cohen's f, the standard deviation of the two means over that of the values, free of what chance adds on
    average; half of what `welch` scores. Cohen, "Statistical Power Analysis for the Behavioral Sciences" (1988). The
    p-value is that of the F-test, which takes the variances for equal and pools them: for two groups it is Student's.
    Both need moments only, which are exact whichever sketch the values went into. Two constants that differ score ½.

    Args:
        threshold: Score above which the feature counts as drifted; Cohen calls 0.1 small, 0.25 medium, 0.4 large.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "anova"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.1
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("anova::threshold", self.threshold, above=0)

    def measure(self, columns: Columns) -> Scores:
        """The effects, and the probability of as much without drift; NaN where moments are not known."""
        groups = groups_of(columns)
        return Scores(separation(groups, bias_corrected=self.bias_corrected), one_way(groups))


def groups_of(columns: Columns) -> Groups:
    """Reference and current window as two groups, in a unit of their own; NaN where moments are unknown or overflowed.

    The unit is `unit_of(columns)`, so that no square of values near 1e308 or 1e-308 overflows or vanishes.
    """
    moments, unit = columns.moments, unit_of(columns)
    means = np.stack((moments.reference_mean / unit, moments.current_mean / unit), axis=1)
    # The square root first: what is squared lies between -1 and 1.
    m2 = np.square(np.sqrt((moments.reference_m2, moments.current_m2)) / unit).T
    return Groups(np.stack((columns.n, columns.m), axis=1), means, m2)


def unit_of(columns: Columns) -> FloatArray:
    """The largest of the means and of the roots of the sums of squares, (columns,); NaN where one is not known."""
    moments = columns.moments
    sizes = np.abs((moments.reference_mean, moments.current_mean)), np.sqrt((moments.reference_m2, moments.current_m2))
    unit = np.concatenate(sizes).max(axis=0)
    return np.where(np.isfinite(unit), np.where(unit > 0, unit, 1.0), np.nan)

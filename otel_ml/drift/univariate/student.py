"""Standardised difference of two means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otel_ml.drift.columns import Columns
from otel_ml.drift.detector import DriftDetector, Scores, require_number
from otel_ml.drift.mean_tests import separation, two_means
from otel_ml.drift.univariate.anova import groups_of


@dataclass(frozen=True, slots=True)
class StandardisedMeanDifference(DriftDetector):
    """How far the mean moved, in standard deviations, with the t-test of Welch (1947).

    The score is Cohen's d, |x̄ - ȳ| / √((s² + t²) / 2), free of what chance adds on average: Cohen, "Statistical Power
    Analysis for the Behavioral Sciences" (1988). The p-value is the larger of Welch's and Student's, see
    `otel_ml.drift.mean_tests.two_means`. Both need moments only, which are exact whichever sketch the values went into.
    It sees nothing but the mean. Two constants that differ score 1.

    Args:
        threshold: Score above which the feature counts as drifted; Cohen calls 0.2 small, 0.5 medium, 0.8 large.
        bias_corrected: Whether what chance alone adds on average is subtracted from the squared score.
    """

    name: ClassVar[str] = "welch"
    on_numbers: ClassVar[bool] = True
    on_categories: ClassVar[bool] = False
    is_symmetric: ClassVar[bool] = True

    threshold: float = 0.2
    bias_corrected: bool = True

    def __post_init__(self) -> None:
        require_number("welch::threshold", self.threshold, above=0)

    def measure(self, columns: Columns) -> Scores:
        """The differences, and the probability of as much without drift; NaN where moments are not known."""
        groups = groups_of(columns)
        return Scores(2 * separation(groups, bias_corrected=self.bias_corrected), two_means(groups))

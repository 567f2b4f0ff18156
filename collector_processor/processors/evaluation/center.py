"""Where the values of a column are, as one number: what slow changes are looked for in."""

from __future__ import annotations

import math
from typing import NamedTuple

from otel_ml.sketch.feature import FeatureRole
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary, numbers_of


class Center(NamedTuple):
    """The mean of a column in a window.

    Attributes:
        n: Values behind it.
        mean: Of the values, of the lengths of texts, of the norms of vectors; of truth values the share of true.
        deviation: Standard deviation of the same values.
        baseline_mean: In the baseline; None where it does not know the column, or where it does not vary there.
        baseline_deviation: Likewise; above 0.
    """

    n: int
    mean: float
    deviation: float
    baseline_mean: float | None = None
    baseline_deviation: float | None = None

    @property
    def standardised(self) -> float | None:
        """How far the mean is from the baseline's, signed, in the baseline's standard deviations."""
        if self.baseline_mean is None or self.baseline_deviation is None:
            return None
        return (self.mean - self.baseline_mean) / self.baseline_deviation


def center_of(summary: FeatureSummary, baseline: FeatureSummary | None) -> Center | None:
    """The mean of a column; None where its values have none, or none that is finite."""
    # Of columns taken together there is no one number.
    found = None if summary.key.role is FeatureRole.JOINT else _moments(summary)
    if found is None:
        return None
    known = None if baseline is None else _moments(baseline)
    if known is None or known[2] == 0:
        return Center(*found)
    return Center(*found, known[1], known[2])


def _moments(summary: FeatureSummary) -> tuple[int, float, float] | None:
    """Count, mean and standard deviation of at least two values."""
    content = summary.content
    if isinstance(content, BooleanSummary):
        count = content.false_count + content.true_count
        share = content.true_count / count if count else 0.0
        found = count, share, math.sqrt(share * (1 - share))
    else:
        numbers = numbers_of(content)
        if numbers is None:
            return None
        moments = numbers.moments
        found = moments.count, moments.mean, moments.standard_deviation
    return found if found[0] > 1 and math.isfinite(found[1]) and math.isfinite(found[2]) else None

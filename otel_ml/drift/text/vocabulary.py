"""Which words texts have, by the buckets that these fall into."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np

from otel_ml.drift.detector import DriftResult, require_number
from otel_ml.drift.multivariate.weighted_chi_squared import WeightedChiSquared
from otel_ml.drift.text.detector import TextDetector
from otel_ml.sketch.sketch import FloatArray
from otel_ml.sketch.text_summary import TextSummary
from otel_ml.sketch.text_sums import VocabularySums

_FEWEST_TO_TEST: Final = 10
_FEWEST_PAIRS: Final = 28
_FINEST: Final = 1 / 12
"""Variance of what does not vary: that of rounding to levels."""


@dataclass(frozen=True, slots=True)
class Vocabulary(TextDetector):
    """How far the words of texts turned away from those of the reference: 1 less the cosine of their mean vectors.

    A text is a vector, of the roots of the shares of its words that fall into each of 256 buckets. Roots and division
    by the variance of each bucket keep frequent words from hiding the others. Products of means are taken without bias,
    so that clean data score about 0 at any size. The length of texts stretches the vectors and does not turn them.
    Since buckets hold many words each, texts without a common word are not at 1, but at 0.2 or more.

    Texts are the units, as the words of one text do not come independently. The p-value is that of the squared distance
    of the means, Σ dᵢ² / vᵢ, without drift a sum of χ² whose weights are the eigenvalues of the correlations of buckets
    (Rao & Scott, "The analysis of categorical data from complex sample surveys", 1981, correct χ² of clustered counts
    likewise). Of the correlations, the mean square is known, weighted by the variances: with more weight on frequent
    words, which errs towards "no drift". There is no p-value below ten texts on a side.

    Args:
        threshold: Score above which the texts count as drifted.
    """

    name: ClassVar[str] = "vocabulary"

    threshold: float = 0.05

    def __post_init__(self) -> None:
        require_number("vocabulary::threshold", self.threshold, above=0, at_most=1)

    def compare(self, reference: TextSummary, current: TextSummary) -> DriftResult | None:
        """How far the words turned; None where a side knows none."""
        was, now = reference.vocabulary, current.vocabulary
        if min(was.texts, now.texts) < 2:  # what two texts have in common takes two
            return None
        means = Means.of(was, now)
        score = max(0.0, 1 - means.cosine)
        return DriftResult(self.name, score, self.threshold, _p_value(was, now, means), was.texts, now.texts)


class Means(NamedTuple):
    """Mean vectors of two sides, over the buckets that either has.

    Attributes:
        reference: Mean levels.
        current: Likewise.
        variance: Of one text's level within the sides, above 0.
        cosine: Of the angle between the two without what chance does to them, -1 to 1; 1 where that hides all.
    """

    reference: FloatArray
    current: FloatArray
    variance: FloatArray
    cosine: float

    @classmethod
    def of(cls, was: VocabularySums, now: VocabularySums) -> Means:
        """The means of at least two texts each."""
        n, m = was.texts, now.texts
        is_used = (was.squares > 0) | (now.squares > 0)
        first, second = was.totals[is_used] / n, now.totals[is_used] / m
        spread = was.squares[is_used] - n * first**2 + now.squares[is_used] - m * second**2
        variance = np.maximum(spread / (n + m - 2), _FINEST)
        lengths = (
            float(((sums.texts * means**2 - sums.squares[is_used] / sums.texts) / (sums.texts - 1) / variance).sum())
            for sums, means in ((was, first), (now, second))
        )
        product = float((first * second / variance).sum())
        squared = math.prod(max(0.0, length) for length in lengths)
        cosine = max(-1.0, min(1.0, product / math.sqrt(squared))) if squared > 0 else 1.0
        return cls(first, second, variance, cosine)


def _p_value(was: VocabularySums, now: VocabularySums, means: Means) -> float | None:
    n, m = was.texts, now.texts
    pairs = was.pairs + now.pairs
    if min(n, m) < _FEWEST_TO_TEST or pairs < _FEWEST_PAIRS:
        return None
    squared = float((np.square(means.current - means.reference) / means.variance).sum())
    size = len(means.variance)
    # A difference of two texts has twice the covariance of one.
    together = max(0.0, (was.pair_products + now.pair_products) / pairs / 4)
    weights = float(means.variance.sum()) ** 2 - float(np.square(means.variance).sum())
    correlated = min(1.0, together / weights) * size * (size - 1) if weights > 0 else 0.0
    # Cubes are largest where all that goes together does so in one direction.
    noise = WeightedChiSquared(size, size + correlated, size + 3 * correlated + correlated**1.5)
    return noise.scaled(1 / n + 1 / m).p_value(squared)

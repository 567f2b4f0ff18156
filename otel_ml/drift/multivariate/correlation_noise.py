"""How much chance moves correlations of vectors whose distribution is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from otel_ml.sketch.matrix_product import product
from otel_ml.sketch.sketch import FloatArray

CERTAIN: Final = 1 - 1e-6
"""A correlation above cannot be told from 1 in floats."""
_BLOCK: Final = 512
_LEAST_SPREAD: Final = 0.05
_MOST_SPREAD: Final = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class CorrelationNoise:
    """What the vectors of a reference tell of how their correlations vary from sample to sample.

    Attributes:
        spread: (p, p) n times the variance of Fisher's z of each pair of dimensions over samples of n: 1 where the two
            are independent or normal, more where both are large in the same vectors, symmetric.
        skewness: (p,) of each dimension.
    """

    spread: FloatArray
    skewness: FloatArray

    @classmethod
    def of(cls, vectors: FloatArray) -> CorrelationNoise:
        """As measured on many vectors, shape (rows, p); finite, and best without outliers.

        With r the correlation of two standardised dimensions x and y, n times the variance of the sample's correlation
        is E x²y² - r (E x³y + E xy³) + r²/4 (E x⁴ + E y⁴ + 2 E x²y²), whatever the distribution; it is (1 - r²)² where
        that is normal (Steiger & Hakstian, "The asymptotic distribution of elements of a correlation matrix: theory
        and application", 1982). Dimensions that do not vary count as independent of all others.
        """
        centred = vectors - vectors.mean(axis=0)
        deviations = np.sqrt(np.square(centred).mean(axis=0))
        varies = deviations > 0
        centred /= np.where(varies, deviations, 1.0)
        rows, dimensions = centred.shape
        correlations, third, both = np.zeros((3, dimensions, dimensions))
        skewness = np.zeros(dimensions)
        for start in range(0, rows, _BLOCK):
            # In blocks that stay in the processor's cache.
            block = centred[start : start + _BLOCK]
            squares = np.square(block)
            correlations += product(block.T, block) / rows
            both += product(squares.T, squares) / rows
            squares *= block
            third += product(squares.T, block) / rows
            skewness += squares.sum(axis=0) / rows
        fourth = both.diagonal()
        variances = both - correlations * (third + third.T)
        variances += np.square(correlations) / 4 * (fourth[:, np.newaxis] + fourth + 2 * both)
        is_certain = np.abs(correlations) >= CERTAIN
        free = np.square(1 - np.square(np.where(is_certain, 0.0, correlations)))
        known = ~is_certain & varies & varies[:, np.newaxis]
        spread = np.where(known, (variances / free).clip(_LEAST_SPREAD, _MOST_SPREAD), 1.0)
        return cls((spread + spread.T) / 2, skewness)

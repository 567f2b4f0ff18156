"""Maximum mean discrepancy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np

from otel_ml.drift.detector import require_number
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.vectors import VectorPair
from otel_ml.drift.multivariate.weighted_chi_squared import WeightedChiSquared
from otel_ml.sketch.projected import WAVES, ProjectionLayout, directions
from otel_ml.sketch.sketch import FloatArray

_FEWEST_TO_TEST: Final = 30


@dataclass(frozen=True, slots=True)
class MaximumMeanDiscrepancy(MultivariateDetector):
    """How far the distributions of vectors are apart in the eyes of a Gaussian kernel: any difference, however small.

    The distance of the averages of 256 random waves, an approximation of the kernel's own (Gretton et al., "A kernel
    two-sample test", 2012; Rahimi & Recht, "Random features for large-scale kernel machines", 2007); its square is
    estimated without bias. The kernel is as wide as vectors of the baseline are from their mean. Between 0 and √2;
    independent dimensions that shift by D standard deviations in all, D as in `mahalanobis`, score about 0.6 D over the
    root of their number.

    Without drift, its square is a sum of centred χ² (Gretton et al., 2012, theorem 12). The sum of their weights is
    exact, for it follows from the averages themselves; that of the squares and cubes is that of normal vectors with the
    same covariance, which is what random directions see of most distributions in many dimensions (Diaconis & Freedman,
    "Asymptotics of graphical projection pursuit", 1984).

    Applies where both sides were projected by the same baseline; there is a test where its layout is at hand and either
    side has 30 vectors.

    Args:
        threshold: Distance above which the vectors count as drifted.
    """

    name: ClassVar[str] = "mmd"

    threshold: float = 0.03

    def __post_init__(self) -> None:
        require_number("mmd::threshold", self.threshold, above=0)

    def applies_to(self, pair: VectorPair) -> bool:
        """Whether both sides hold waves of one layout."""
        return pair.projected is not None

    def measure(self, pair: VectorPair) -> tuple[float, float | None]:
        """The distance, and the probability of as much without drift."""
        if pair.projected is None or min(pair.n, pair.m) < 2:
            return 0.0, None
        was, now = (side.waves / side.count for side in pair.projected)
        spread = [max(0.0, 1 - float(waves @ waves) / WAVES) for waves in (was, now)]
        squared = float(np.square(now - was).sum()) / WAVES - spread[0] / (pair.n - 1) - spread[1] / (pair.m - 1)
        score = math.sqrt(max(0.0, squared))
        layout = pair.projected[0].layout or pair.projected[1].layout
        if layout is None or min(pair.n, pair.m) < _FEWEST_TO_TEST:
            return score, None
        noise = _noise(pair, layout)
        if noise.first <= 0:
            return score, None
        exact = (pair.n * spread[0] + pair.m * spread[1]) / (pair.n + pair.m)
        noise = noise.scaled(exact / noise.first).scaled(1 / pair.n + 1 / pair.m)
        return score, noise.p_value(squared + noise.first)


def _noise(pair: VectorPair, layout: ProjectionLayout) -> WeightedChiSquared:
    """Eigenvalues of the covariance of the waves of normal vectors, their squares and cubes, summed.

    About the mean, which only shifts phases, E cos(v·z) is exp(-½ vᵀ Σ v); sums and differences of two directions give
    the covariances of cosines and of sines, and between the two there is none.
    """
    waves, _ = directions(pair.dimensions)
    products: FloatArray = waves.T @ (pair.pooled / layout.scale / layout.scale) @ waves
    own = products.diagonal()
    both = (own + own[:, np.newaxis]) / 2
    # No product is larger than its squares allow, unless the covariance was made up.
    products = products.clip(-both, both)
    likewise, opposed, apart = np.exp(products - both), np.exp(-products - both), np.exp(-both)
    sums = [0.0, 0.0, 0.0]
    for covariance in ((likewise + opposed) / 2 - apart, (likewise - opposed) / 2):
        squared = covariance @ covariance
        for place, total in enumerate((covariance.trace(), squared.trace(), (squared * covariance).sum())):
            sums[place] += float(total) / WAVES ** (place + 1)
    return WeightedChiSquared(*sums)

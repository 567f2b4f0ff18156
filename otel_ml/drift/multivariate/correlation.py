"""Change of the correlations between dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

import numpy as np

from otel_ml.drift import special
from otel_ml.drift.detector import require_number
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.multivariate.correlation_noise import CERTAIN
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.vectors import Side, VectorPair
from otel_ml.sketch.sketch import FloatArray

_FEWEST_TO_ESTIMATE: Final = 4
_FEWEST_TO_TEST: Final = 30


class PairChange(NamedTuple):
    """How the correlation of two dimensions changed.

    Attributes:
        first: Position of one dimension.
        second: Position of the other.
        reference: Their correlation in the reference.
        current: Their correlation now.
        q_value: After Benjamini-Hochberg over all pairs; None where there is no test.
    """

    first: int
    second: int
    reference: float
    current: float
    q_value: float | None


class _Pairs(NamedTuple):
    """Pairs of dimensions that vary on both sides, all arrays of shape (pairs,)."""

    first: np.ndarray[tuple[int], np.dtype[np.intp]]
    second: np.ndarray[tuple[int], np.dtype[np.intp]]
    was: FloatArray
    now: FloatArray


@dataclass(frozen=True, slots=True)
class CorrelationShift(MultivariateDetector):
    """By how much the correlation of some pair of dimensions changed, whatever their units.

    The largest change over all pairs, less the largest that chance alone makes as often as not. The p-value is the
    smallest over the pairs times their number (Bonferroni), each that of Fisher's z = artanh r, whose variance is
    (1 + κ) / (n - 3): 1 / (n - 3) where vectors are normal (Fisher, "On the probable error of a coefficient of
    correlation deduced from a small sample", 1921), more where tails are heavy (Muirhead & Waternaux, 1980). Where the
    reference knows of each pair what its distribution does to that variance (`CorrelationNoise`), that takes the place
    of 1 + κ, which is one number for all pairs. Far out, where so many pairs are looked at, skewed dimensions are given
    more room. There is no p-value where neither is known, and none below 30 vectors on either side. Dimensions that do
    not vary on a side have no correlation.

    Args:
        threshold: Change of a correlation above which the vectors count as drifted; Cohen (1988) calls a difference of
            0.1 small.
    """

    name: ClassVar[str] = "correlation"

    threshold: float = 0.1

    def __post_init__(self) -> None:
        require_number("correlation::threshold", self.threshold, above=0, at_most=2)

    def measure(self, pair: VectorPair) -> tuple[float, float | None]:
        """The largest change beyond chance, and the probability of as large a one without drift."""
        pairs = _pairs(pair)
        if not len(pairs.was):
            return 0.0, None
        deviations = _deviations(pair, pairs) * (
            1 - np.square((pair.n * pairs.was + pair.m * pairs.now) / (pair.n + pair.m))
        )
        beyond = np.abs(pairs.now - pairs.was) - float(special.ndtri(1 - 0.25 / len(pairs.was))) * deviations
        score = max(0.0, float(beyond.max()))
        p_values = _p_values(pair, pairs)
        return score, None if p_values is None else min(1.0, float(p_values.min()) * len(p_values))

    def changes(self, pair: VectorPair, limit: int = 10) -> list[PairChange]:
        """The pairs of dimensions whose correlation changed most, the most significant first."""
        pairs = _pairs(pair)
        p_values = _p_values(pair, pairs)
        q_values = [None] * len(pairs.was) if p_values is None else benjamini_hochberg(p_values.tolist())
        order = np.argsort(-np.abs(_fisher(pairs.now) - _fisher(pairs.was)), kind="stable")[:limit].tolist()
        return [
            PairChange(
                int(pairs.first[place]),
                int(pairs.second[place]),
                float(pairs.was[place]),
                float(pairs.now[place]),
                q_values[place],
            )
            for place in order
        ]


def _pairs(pair: VectorPair) -> _Pairs:
    first, second = np.triu_indices(pair.dimensions, 1)
    if min(pair.n, pair.m) < _FEWEST_TO_ESTIMATE:
        first, second = first[:0], second[:0]
    varies = (pair.reference.scatter.diagonal() > 0) & (pair.current.scatter.diagonal() > 0)
    both = varies[first] & varies[second]
    first, second = first[both], second[both]
    return _Pairs(
        first, second, _correlations(pair.reference)[first, second], _correlations(pair.current)[first, second]
    )


def _correlations(side: Side) -> FloatArray:
    deviations = np.sqrt(side.scatter.diagonal())
    deviations[deviations == 0] = 1.0
    correlations: FloatArray = np.clip(side.scatter / deviations / deviations[:, np.newaxis], -1.0, 1.0)
    return correlations


def _fisher(correlations: FloatArray) -> FloatArray:
    fisher: FloatArray = np.arctanh(correlations.clip(-CERTAIN, CERTAIN))
    return fisher


def _deviations(pair: VectorPair, pairs: _Pairs) -> FloatArray:
    """Standard deviation of the difference of two z of each pair without drift.

    Without noise that is known, each side by its own kurtosis: what moves a correlation by accident, such as a single
    outlier, raises that as well.
    """
    if pair.noise is not None:
        spread = pair.noise.spread[pairs.first, pairs.second]
        return np.asarray(np.sqrt(spread * (1 / (pair.n - 3) + 1 / (pair.m - 3))))
    variances = [
        (1 + max(0.0, side.excess_kurtosis or 0.0)) / (side.count - 3) for side in (pair.reference, pair.current)
    ]
    return np.full(len(pairs.was), np.sqrt(sum(variances)))


def _p_values(pair: VectorPair, pairs: _Pairs) -> FloatArray | None:
    if min(pair.n, pair.m) < _FEWEST_TO_TEST or not len(pairs.was):
        return None
    deviations = _deviations(pair, pairs)
    if pair.noise is not None:
        skewness = pair.noise.skewness
        # Of a product of independent dimensions; that its variance is another where they are not is known already.
        unit: FloatArray | float = np.sqrt(1 / (pair.n - 3) + 1 / (pair.m - 3))
    elif pair.excess_kurtosis is not None:
        skewness, unit = _skewness(pair), deviations
    else:
        return None
    standardised = np.abs(_fisher(pairs.now) - _fisher(pairs.was)) / deviations
    lopsided = np.abs(skewness[pairs.first] * skewness[pairs.second]) * (1 / pair.n**2 + 1 / pair.m**2)
    # The second term of Cornish & Fisher (1938), such that what is certain stays so.
    p_values: FloatArray = 2 * special.ndtr(-standardised / (1 + lopsided / 6 / unit**3 * standardised))
    return p_values


def _skewness(pair: VectorPair) -> FloatArray:
    """E z³ / σ³ of each dimension where they are independent, and something like it where they are not."""
    deviations = np.sqrt(pair.pooled.diagonal())
    third = (pair.reference.radial_third + pair.current.radial_third) / (pair.n + pair.m)
    skewness: FloatArray = np.zeros_like(third)
    np.divide(third / np.maximum(deviations, 1e-20) ** 2, deviations, out=skewness, where=deviations > 0)
    return skewness

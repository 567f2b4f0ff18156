"""What multivariate detectors compare: two summaries of vectors of one length."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from otel_ml.drift.multivariate.correlation_noise import CorrelationNoise
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.projected import ProjectedVectors
from otel_ml.sketch.sketch import FloatArray

FLOAT_ROUNDING: Final = 2.0**-24
"""Of a number that went over the wire as a float, relative to itself."""
_SMALLEST_ROUNDING: Final = 2.0**-150
"""Of one that is too small for that: floats end at twice this."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Moments of one side, finite whatever the vectors were.

    Attributes:
        count: How many vectors there were, at least 1.
        mean: (p,) mean of each dimension.
        scatter: (p, p) sum of products of deviations from the mean; symmetric.
        radial_third: (p,) Σ|z|² z of these deviations; 0 where it is not known.
        radial_fourth: Σ|z|⁴ of these deviations; None where it is not known.
    """

    count: int
    mean: FloatArray
    scatter: FloatArray
    radial_third: FloatArray
    radial_fourth: float | None

    @classmethod
    def of(cls, summary: EmbeddingSummary) -> Side:
        """The moments of a summary that is not empty."""
        radial = summary.bounded_radial_moments()
        mean, scatter = summary.bounded_moments()
        return cls(summary.count, mean, scatter, *(radial or (np.zeros_like(mean), None)))

    @property
    def covariance(self) -> FloatArray:
        """(p, p) sample covariance; 0 of a single vector."""
        covariance: FloatArray = self.scatter / max(self.count - 1, 1)
        return covariance

    @property
    def excess_kurtosis(self) -> float | None:
        """κ of E|z|⁴ = (1 + κ)((tr Σ)² + 2 tr Σ²), with z the deviations from the mean; None where it is not known.

        0 for normal vectors, more where tails are heavy: by 1 + κ, the covariances of elliptically distributed vectors
        vary more (Muirhead & Waternaux, "Asymptotic distributions in canonical correlation analysis and other
        multivariate procedures for nonnormal populations", 1980). Of any others, it is right on average over all pairs
        of dimensions. Vectors that do not vary have κ = 0.
        """
        return (
            None if self.radial_fourth is None else _excess_kurtosis(self.radial_fourth / self.count, self.covariance)
        )


class VectorPair:
    """A reference and a current window of vectors of one length, neither of them empty.

    What several detectors need is worked out when the first one asks. `p` below is the number of dimensions that are
    kept of a vector.

    Attributes:
        summaries: The two summaries themselves.
        n: Vectors behind the reference.
        m: Vectors behind the current window.
        dimensions: p.
        noise: How much chance moves their correlations, where somebody knows; else their kurtosis has to tell.
    """

    def __init__(
        self, reference: EmbeddingSummary, current: EmbeddingSummary, noise: CorrelationNoise | None = None
    ) -> None:
        if not (reference.count and current.count and reference.dimensions == current.dimensions):
            raise ValueError(
                f"{reference.count} vectors of {reference.dimensions} dimensions and {current.count} of"
                f" {current.dimensions} (must be of one length, and at least one each)"
            )
        self.summaries = (reference, current)
        self.n, self.m = reference.count, current.count
        self.dimensions = len(reference.total)
        self.noise = noise

    @classmethod
    def of(
        cls, reference: EmbeddingSummary, current: EmbeddingSummary, noise: CorrelationNoise | None = None
    ) -> VectorPair | None:
        """The pair; None where there is nothing to compare: a side without vectors, or vectors of two lengths."""
        if not (reference.count and current.count and reference.dimensions == current.dimensions):
            return None
        return cls(reference, current, noise)

    @cached_property
    def reference(self) -> Side:
        """The reference's moments."""
        return Side.of(self.summaries[0])

    @cached_property
    def current(self) -> Side:
        """The current window's moments."""
        return Side.of(self.summaries[1])

    @cached_property
    def projected(self) -> tuple[ProjectedVectors, ProjectedVectors] | None:
        """What both sides saw along fixed directions; None where one did not, or by another measure."""
        was, now = (summary.projected for summary in self.summaries)
        if was is None or now is None or was.layout_hash != now.layout_hash:
            return None
        return was, now

    @cached_property
    def shift(self) -> FloatArray:
        """(p,) difference of the means; what rounding to floats may have made of it is given away first."""
        difference = self.current.mean - self.reference.mean
        rounding = FLOAT_ROUNDING * (np.abs(self.current.mean) + np.abs(self.reference.mean)) + 2 * _SMALLEST_ROUNDING
        shift: FloatArray = np.copysign(np.maximum(np.abs(difference) - rounding, 0.0), difference)
        return shift

    @cached_property
    def pooled(self) -> FloatArray:
        """(p, p) covariance within the two sides; 0 where there is one vector each."""
        pooled: FloatArray = (self.reference.scatter + self.current.scatter) / max(self.n + self.m - 2, 1)
        return pooled

    @cached_property
    def excess_kurtosis(self) -> float | None:
        """That of both sides, see `Side.excess_kurtosis`, about the mean of each; None where one is not known."""
        known = self.reference.radial_fourth, self.current.radial_fourth
        if known[0] is None or known[1] is None:
            return None
        return _excess_kurtosis((known[0] + known[1]) / (self.n + self.m), self.pooled)


def _excess_kurtosis(fourth: float, covariance: FloatArray) -> float:
    normal = float(covariance.trace()) ** 2 + 2 * float(np.square(covariance).sum())
    return fourth / normal - 1 if normal > 0 else 0.0

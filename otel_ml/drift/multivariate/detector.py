"""What a detector of multivariate drift is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from otel_ml.drift.detector import DriftResult
from otel_ml.drift.multivariate.vectors import VectorPair
from otel_ml.sketch.embedding import EmbeddingSummary


class MultivariateDetector(ABC):
    """A comparison of vectors from their merged sums, implemented by a frozen dataclass whose fields are its settings.

    A detector raises nothing on data: any two summaries of vectors of one length, at least one vector each, compare.
    """

    __slots__ = ()

    name: ClassVar[str]
    """Also the suffix of the metric, as in `ml.feature.drift.mahalanobis`."""
    threshold: float
    """Score above which the difference is big enough to matter."""

    @abstractmethod
    def measure(self, pair: VectorPair) -> tuple[float, float | None]:
        """The score, finite and at least 0, and the p-value; None where there can be no test."""

    def applies_to(self, pair: VectorPair) -> bool:  # noqa: ARG002  # most need no more than what is always kept
        """Whether the summaries hold what the detector needs."""
        return True

    def compare(self, reference: EmbeddingSummary, current: EmbeddingSummary) -> DriftResult:
        """Measure how far `current` is from `reference`, vectors of one length, neither empty."""
        return self.result(VectorPair(reference, current))

    def result(self, pair: VectorPair) -> DriftResult:
        """As `compare`, of a pair whose intermediate results other detectors may share."""
        score, p_value = self.measure(pair)
        return DriftResult(self.name, score, self.threshold, p_value, pair.n, pair.m)

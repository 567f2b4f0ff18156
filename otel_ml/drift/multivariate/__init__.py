"""Comparing vectors, such as embeddings, from the sums that their merged summaries hold."""

from collections.abc import Iterable

from otel_ml.drift.detector import DriftResult
from otel_ml.drift.multivariate.correlation import CorrelationShift, PairChange
from otel_ml.drift.multivariate.correlation_noise import CorrelationNoise
from otel_ml.drift.multivariate.detector import MultivariateDetector
from otel_ml.drift.multivariate.registry import BUILTIN_MULTIVARIATE
from otel_ml.drift.multivariate.vectors import VectorPair
from otel_ml.sketch.embedding import EmbeddingSummary

__all__ = [
    "BUILTIN_MULTIVARIATE",
    "CorrelationNoise",
    "CorrelationShift",
    "MultivariateDetector",
    "PairChange",
    "VectorPair",
    "compare_vectors",
]


def compare_vectors(
    reference: EmbeddingSummary,
    current: EmbeddingSummary,
    detectors: Iterable[MultivariateDetector],
    noise: CorrelationNoise | None = None,
) -> list[DriftResult]:
    """What each detector that applies says of two summaries; nothing where they have nothing in common.

    They have nothing in common when one is empty, or their vectors have different lengths.

    Args:
        noise: How much chance moves correlations, where the reference knows.
    """
    pair = VectorPair.of(reference, current, noise)
    return [] if pair is None else [detector.result(pair) for detector in detectors if detector.applies_to(pair)]

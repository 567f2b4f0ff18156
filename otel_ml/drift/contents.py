"""What two summaries of a column say beyond the one distribution that stands for it.

A comparison takes the contents of both sides, and gives nothing where it does not apply to them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from otel_ml.drift.detector import DriftResult
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE, compare_vectors
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.summary import Content, FeatureSummary

_VECTOR_DETECTORS: Final = tuple(detector() for detector in BUILTIN_MULTIVARIATE.values())


def compare_contents(reference: FeatureSummary, current: FeatureSummary) -> list[DriftResult]:
    """What every comparison says that suits both summaries; nothing where they have nothing in common."""
    return [result for compare in _COMPARISONS for result in compare(reference.content, current.content)]


def _vectors(was: Content, now: Content) -> list[DriftResult]:
    if isinstance(was, EmbeddingSummary) and isinstance(now, EmbeddingSummary):
        return compare_vectors(was, now, _VECTOR_DETECTORS)
    return []


_COMPARISONS: Final[tuple[Callable[[Content, Content], list[DriftResult]], ...]] = (_vectors,)

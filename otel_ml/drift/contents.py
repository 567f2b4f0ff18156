"""What two summaries of a column say beyond the one distribution that stands for it.

A comparison takes the contents of both sides and the names of the methods that are asked for (None for all of its own),
and gives nothing where it does not apply.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from otel_ml.drift.detector import DriftResult
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE, compare_vectors
from otel_ml.drift.text import compare_texts
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.summary import Content, FeatureSummary
from otel_ml.sketch.text_summary import TextSummary

_VECTOR_DETECTORS: Final = tuple(detector() for detector in BUILTIN_MULTIVARIATE.values())


def compare_contents(
    reference: FeatureSummary, current: FeatureSummary, methods: Collection[str] | None = None
) -> list[DriftResult]:
    """What every comparison says that suits both summaries; nothing where they have nothing in common.

    Args:
        methods: Names of those that are asked, for each takes time; all where it is None.
    """
    return [result for compare in _COMPARISONS for result in compare(reference.content, current.content, methods)]


def _vectors(was: Content, now: Content, methods: Collection[str] | None) -> list[DriftResult]:
    if isinstance(was, EmbeddingSummary) and isinstance(now, EmbeddingSummary):
        asked = [detector for detector in _VECTOR_DETECTORS if methods is None or detector.name in methods]
        return compare_vectors(was, now, asked)
    return []


def _texts(was: Content, now: Content, methods: Collection[str] | None) -> list[DriftResult]:
    if isinstance(was, TextSummary) and isinstance(now, TextSummary):
        return compare_texts(was, now, methods)
    return []


Comparison = Callable[[Content, Content, Collection[str] | None], list[DriftResult]]
_COMPARISONS: Final[tuple[Comparison, ...]] = (_vectors, _texts)

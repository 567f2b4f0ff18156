"""A column of vectors of one length, such as embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.values import is_missing, vector_of
from otel_ml.sketch.embedding import MAX_DIMENSIONS
from otel_ml.sketch.feature import Counters, FeatureKey
from otel_ml.sketch.summary import EmbeddingSummary, FeatureSummary

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_ml.recording.inputs.batches import Values
    from otel_ml.sketch.bins import BinLayout
    from otel_ml.sketch.projected import ProjectionLayout
    from otel_ml.sketch.sketch import FloatArray

_NUMBERS_A_STEP: Final = 16_384
"""Numbers in vectors that are read or summarised in one go."""
_MOST_HELD: Final = 256
"""Vectors that wait to be summarised together, for the products of dimensions cost the same for one as for many."""


class EmbeddingColumn:
    """Collects vectors until there are enough to summarise.

    Args:
        layout: Bins of norms cut from the baseline.
        dimensions: Of every vector, as the baseline says; 0 lets the first vector decide. Others are mismatched.
        projections: How the baseline saw vectors along fixed directions, if it did.
    """

    __slots__ = (
        "_content",
        "_counters",
        "_dimensions",
        "_held",
        "_layout",
        "_projections",
        "_vectors",
        "key",
        "source",
    )

    def __init__(
        self,
        key: FeatureKey,
        source: Any,
        layout: BinLayout | None,
        dimensions: int,
        projections: ProjectionLayout | None = None,
    ) -> None:
        self.key = key
        self.source = source
        self._layout = layout
        self._dimensions = dimensions
        self._counters = Counters()
        self._projections = projections
        self._content = EmbeddingSummary.anchored(layout, dimensions, projections)
        self._vectors: list[FloatArray] = []
        self._held = 0

    def update(self, values: Values) -> Iterator[None]:
        """Add one value per row, in steps."""
        if isinstance(values, np.ndarray) and values.ndim == 2 and values.dtype.kind in "fiu" and values.shape[1] > 1:
            step = max(1, _NUMBERS_A_STEP // values.shape[1])
            for start in range(0, len(values), step):
                if start:
                    yield
                self._take_matrix(values[start : start + step])
            return
        numbers = 0
        for value in values:
            vector = vector_of(value)
            if vector is None:
                self._counters.rows += 1
                if is_missing(value):
                    self._counters.missing += 1
                else:
                    self._counters.mismatched += 1
                continue
            self._take_matrix(vector.reshape(1, -1))
            numbers += vector.size
            if numbers >= _NUMBERS_A_STEP:
                numbers = 0
                yield

    def repeat(self, value: Any, count: int) -> None:
        """Add the same value many times: missing, or a number, which is no vector."""
        self._counters.rows += count
        if is_missing(value):
            self._counters.missing += count
        else:
            self._counters.mismatched += count

    def missing(self, count: int) -> None:
        """Add rows that have no such column."""
        self._counters.rows += count
        self._counters.missing += count

    def drain(self) -> FeatureSummary:
        """What was added since the last time."""
        self._settle()
        summary = FeatureSummary(self.key, self._content, self._counters)
        self._content = EmbeddingSummary.anchored(self._layout, self._dimensions, self._projections)
        self._counters = Counters()
        return summary

    def _take_matrix(self, vectors: FloatArray) -> None:
        rows, dimensions = vectors.shape
        self._counters.rows += rows
        if self._dimensions not in (0, dimensions) or dimensions > MAX_DIMENSIONS:
            self._counters.mismatched += rows
            return
        with np.errstate(over="ignore"):
            vectors = vectors.astype(np.float64)
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            # A row of nothing but NaN stands for a vector that is not there.
            absent = int(np.isnan(vectors).all(axis=1).sum())
            self._counters.missing += absent
            self._counters.mismatched += rows - int(finite.sum()) - absent
            vectors = vectors[finite]
        if not len(vectors):
            return
        self._dimensions = dimensions
        self._vectors.append(vectors)
        self._held += len(vectors)
        if self._held >= min(_MOST_HELD, max(1, _NUMBERS_A_STEP // dimensions)):
            self._settle()

    def _settle(self) -> None:
        if self._held:
            self._content.update(np.concatenate(self._vectors))
            self._vectors, self._held = [], 0

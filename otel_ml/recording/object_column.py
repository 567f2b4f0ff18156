"""What every column that is not read as numbers can do, and which one suits a kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from otel_ml.recording.counted import CountedColumn
from otel_ml.recording.datetime_column import DatetimeColumn
from otel_ml.recording.embedding_column import EmbeddingColumn
from otel_ml.recording.opaque_column import OpaqueColumn
from otel_ml.recording.text_column import TextColumn
from otel_ml.sketch.feature import FeatureKey, FeatureKind
from otel_ml.sketch.summary import EmbeddingSummary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_ml.baseline import Baseline
    from otel_ml.recording.inputs.batches import Values
    from otel_ml.sketch.summary import FeatureSummary


class ObjectColumn(Protocol):
    """A column of Python objects on its way into a summary."""

    @property
    def key(self) -> FeatureKey:
        """Which column it is."""
        ...

    @property
    def source(self) -> Any:
        """Its key in a row, which need not be a string."""
        ...

    def update(self, values: Values) -> Iterable[None]:
        """Add one value per row; anything may be among them. What is returned goes through the longer work in steps."""
        ...

    def repeat(self, value: Any, count: int) -> None:
        """Add the same value many times."""
        ...

    def missing(self, count: int) -> None:
        """Add rows that have no such column."""
        ...

    def drain(self) -> FeatureSummary:
        """What was added since the last time."""
        ...


def object_column(
    key: FeatureKey,
    kind: FeatureKind,
    source: Any,
    baseline: Baseline | None,
    now: Callable[[], float],
    *,
    counts_words: bool = True,
) -> ObjectColumn:
    """A column of a kind other than NUMERIC.

    Args:
        source: Its key in a row.
        baseline: Pins bins and dimensions, where it knows the column as one of this kind.
        now: Gives the time of the inferences that are being added, in seconds since 1970.
        counts_words: Whether hashed words of texts may be counted.
    """
    if kind in (FeatureKind.BOOLEAN, FeatureKind.CATEGORICAL):
        return CountedColumn(key, kind, source)
    layout = baseline.layout(key) if baseline is not None else None
    if kind is FeatureKind.TEXT:
        return TextColumn(key, source, layout, counts_words=counts_words)
    if kind is FeatureKind.DATETIME:
        return DatetimeColumn(key, source, now)
    if kind is FeatureKind.EMBEDDING:
        known = None if baseline is None else baseline.features.get(key)
        trained = known.content if known is not None else None
        if not isinstance(trained, EmbeddingSummary):
            return EmbeddingColumn(key, source, layout, 0)
        projected = trained.projected
        return EmbeddingColumn(key, source, layout, trained.dimensions, projected.layout if projected else None)
    return OpaqueColumn(key, source)

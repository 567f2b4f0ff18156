"""Everything that is kept about one column: counters, and the sketches that suit its kind."""

from __future__ import annotations

from dataclasses import dataclass, field

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.datetime_summary import DatetimeSummary
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.exemplar import Exemplar, merged_exemplars
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.text_summary import TextSummary

__all__ = [
    "BooleanSummary",
    "CategoricalSummary",
    "Content",
    "DatetimeSummary",
    "EmbeddingSummary",
    "FeatureSummary",
    "NumericSummary",
    "OpaqueSummary",
    "TextSummary",
    "numbers_of",
]


@dataclass(slots=True)
class BooleanSummary:
    """Counts of the two truth values."""

    false_count: int = 0
    true_count: int = 0

    def merge(self, other: BooleanSummary, /) -> None:
        """Add what `other` has seen."""
        self.false_count += other.false_count
        self.true_count += other.true_count


@dataclass(slots=True)
class CategoricalSummary:
    """Counts by category, and how many distinct ones there were."""

    categories: CategoryCounts = field(default_factory=CategoryCounts)
    cardinality: HyperLogLog = field(default_factory=HyperLogLog)

    def merge(self, other: CategoricalSummary, /) -> None:
        """Add what `other` has seen."""
        self.categories.merge(other.categories)
        self.cardinality.merge(other.cardinality)


@dataclass(slots=True)
class OpaqueSummary:
    """Nothing beyond the counters."""

    def merge(self, other: OpaqueSummary, /) -> None:
        """Nothing to add."""


Content = (
    NumericSummary
    | BooleanSummary
    | CategoricalSummary
    | TextSummary
    | DatetimeSummary
    | EmbeddingSummary
    | OpaqueSummary
)

_KINDS: dict[type, FeatureKind] = {
    NumericSummary: FeatureKind.NUMERIC,
    BooleanSummary: FeatureKind.BOOLEAN,
    CategoricalSummary: FeatureKind.CATEGORICAL,
    TextSummary: FeatureKind.TEXT,
    DatetimeSummary: FeatureKind.DATETIME,
    EmbeddingSummary: FeatureKind.EMBEDDING,
    OpaqueSummary: FeatureKind.OPAQUE,
}


def numbers_of(content: Content) -> NumericSummary | None:
    """The numbers that bins are cut for and drift is measured in: values, lengths of texts, norms of vectors."""
    if isinstance(content, NumericSummary):
        return content
    if isinstance(content, TextSummary):
        return content.lengths
    return content.norms if isinstance(content, EmbeddingSummary) else None


@dataclass(slots=True)
class FeatureSummary:
    """One column's mergeable summary."""

    key: FeatureKey
    content: Content
    counters: Counters = field(default_factory=Counters)
    exemplars: list[Exemplar] = field(default_factory=list)

    @property
    def kind(self) -> FeatureKind:
        """How the column's values were read."""
        return _KINDS[type(self.content)]

    def merge(self, other: FeatureSummary, /) -> None:
        """Add what `other` has seen of the same column.

        Raises:
            IncompatibleSketchError: The columns, their kinds or the lengths of their vectors differ; nothing was
                changed.
        """
        if self.key != other.key:
            raise IncompatibleSketchError(f"cannot merge column {other.key.name!r} into {self.key.name!r}")
        if type(self.content) is not type(other.content):
            raise IncompatibleSketchError(
                f"column {self.key.name!r}: cannot merge {other.kind.value} values into {self.kind.value} ones"
            )
        self.content.merge(other.content)  # type: ignore[arg-type]  # of one type, as checked
        self.counters.merge(other.counters)
        self.exemplars = merged_exemplars(self.exemplars, other.exemplars)

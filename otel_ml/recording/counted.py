"""A column whose values are counted: truth values and categories."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from otel_ml.recording.values import boolean_of, category_of, is_missing, reads_like_text
from otel_ml.sketch.categories import NAME_LENGTH
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, FeatureSummary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otel_ml.recording.inputs.batches import Values

_FOLD_AT: Final = 1_024
"""Distinct raw values that are kept before they are read one by one and put into the bounded sketch."""


class CountedColumn:
    """Counts raw values in bulk, and finds out what each distinct one means only once.

    Args:
        kind: BOOLEAN or CATEGORICAL.
    """

    __slots__ = ("_characters", "_content", "_counters", "_raw", "is_text", "key", "kind", "source")

    def __init__(self, key: FeatureKey, kind: FeatureKind, source: Any) -> None:
        self.key = key
        self.kind = kind
        self.source = source
        """Key of the column in a row, which need not be a string."""
        self.is_text = False
        """Whether the last interval drained showed that these are no categories, but texts."""
        self._characters = 0
        self._raw: Counter[Any] = Counter()
        self._counters = Counters()
        self._content: BooleanSummary | CategoricalSummary = self._new_content()

    def update(self, values: Values) -> Iterable[None]:
        """Add one value per row; anything may be among them."""
        if isinstance(values, np.ndarray):
            # Points in time would come out as bare integers.
            values = list(values) if values.dtype.kind in "mM" else values.tolist()
        try:
            fresh = Counter(values)
        except Exception:  # something unhashable, or whose __hash__ fails: nothing was counted yet
            fresh = Counter()
            odd = 0
            for value in values:
                try:
                    fresh[value] += 1
                except Exception:
                    odd += 1
            self._counters.rows += odd
            self._counters.mismatched += odd
        raw = self._raw
        for value, count in fresh.items():
            if value in raw:
                raw[value] += count
            else:
                # A megabyte of text must not be held for a minute because it was once a category.
                short = value[:NAME_LENGTH] if type(value) is str and len(value) > NAME_LENGTH else value
                raw[short] += count
        if len(raw) > _FOLD_AT:
            self._fold()
        return ()

    def repeat(self, value: Any, count: int) -> None:
        """Add the same value many times."""
        self._raw[value] += count

    def missing(self, count: int) -> None:
        """Add rows that have no such column."""
        self._counters.rows += count
        self._counters.missing += count

    def drain(self) -> FeatureSummary:
        """What was counted since the last time."""
        self._fold()
        content = self._content
        if isinstance(content, CategoricalSummary) and not content.categories.is_exact:
            mean_length = self._characters / content.categories.count
            self.is_text = reads_like_text(content.cardinality.estimate(), mean_length)
        self._characters = 0
        summary = FeatureSummary(self.key, content, self._counters)
        self._content, self._counters = self._new_content(), Counters()
        return summary

    def _new_content(self) -> BooleanSummary | CategoricalSummary:
        return BooleanSummary() if self.kind is FeatureKind.BOOLEAN else CategoricalSummary()

    def _fold(self) -> None:
        counters, content = self._counters, self._content
        names: Counter[str] = Counter()
        for value, count in self._raw.items():
            counters.rows += count
            if is_missing(value):
                counters.missing += count
            elif isinstance(content, BooleanSummary):
                truth = boolean_of(value)
                if truth is None:
                    counters.mismatched += count
                elif truth:
                    content.true_count += count
                else:
                    content.false_count += count
            elif (name := category_of(value)) is None:
                counters.mismatched += count
            else:
                names[name] += count
                self._characters += len(name) * count
        if isinstance(content, CategoricalSummary) and names:
            content.categories.update(names)
            content.cardinality.update(names)
        self._raw.clear()

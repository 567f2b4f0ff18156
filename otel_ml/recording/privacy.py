"""What may leave the process: which columns, which names of categories, and which single values.

Rows never leave unless events are asked for. Summaries hold single values all the same: names of categories, the
smallest and largest number, samples. This is where they are thinned out, between summing up and sending.
"""

from __future__ import annotations

from collections import Counter
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from otel_ml import semconv
from otel_ml.recording.guard import warn_once
from otel_ml.recording.row_sample import renamed_categories
from otel_ml.sketch.categories import hashed_name
from otel_ml.sketch.exponential import bucket_bounds
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.summary import CategoricalSummary, NumericSummary

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from otel_ml.baseline import Baseline
    from otel_ml.config import Settings
    from otel_ml.recording.column_set import DrainedColumn
    from otel_ml.sketch.categories import CategoryCounts
    from otel_ml.sketch.exponential import Buckets, ExponentialHistogram
    from otel_ml.sketch.row_sample import RowSample
    from otel_ml.sketch.summary import FeatureSummary

COARSE_SCALE: Final = 3
"""Buckets 9 % wide. The finest are 0.0001 % wide: then a bucket is as good as the value."""
_TRACKED_NAMES: Final = 10_000
"""Rare names per column whose counts are kept from one interval to the next; with more, counting starts anew."""


class PrivacyPolicy:
    """Settings about privacy, ready to be asked.

    Args:
        settings: `features`, `exclude_features`, `hash_features`, `hash_key`, `min_category_count`, `sample_values`,
            `text_vocabulary`.
    """

    def __init__(self, settings: Settings) -> None:
        self.min_count = settings.min_category_count
        self.samples_values = settings.sample_values
        self.counts_words = settings.text_vocabulary
        self._allowed = settings.features
        self._excluded = settings.exclude_features
        self._hashed = settings.hash_features
        self._key = settings.hash_key.encode()
        if self._hashed and not self._key:
            warn_once("hash key", "columns are hashed without a key: names that can be guessed can be found out")
        self.admits = lru_cache(maxsize=10_000)(self._admits)
        self.hashes = lru_cache(maxsize=10_000)(self._hashes)

    def _admits(self, column: str) -> bool:
        """Whether a column of the input may be summarised at all."""
        if self._allowed and not _matches(column, self._allowed):
            return False
        return not _matches(column, self._excluded)

    def _hashes(self, column: str) -> bool:
        """Whether names of the column's categories leave as hashes."""
        return _matches(column, self._hashed)

    def hashed(self, name: str) -> str:
        """The name's stand-in: the same in every process with the same key, and not to be turned back without it."""
        return hashed_name(name, self._key)

    def row(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """A row of an opt-in event, without columns that may not leave and with hashes where they are asked for."""
        return {
            name: self.hashed(value) if isinstance(value, str) and self.hashes(name) else value
            for name, value in features.items()
            if self.admits(name)
        }


class Redactor:
    """Thins out one model's summaries, interval after interval.

    Args:
        known: Names of categories that may always leave: the baseline's, for they came with the model.
    """

    def __init__(self, policy: PrivacyPolicy, known: Mapping[FeatureKey, Collection[str]]) -> None:
        self._policy = policy
        self._known = known
        self._seen: dict[FeatureKey, Counter[str]] = {}

    def redact(
        self, columns: Iterable[DrainedColumn], classes: Collection[str] = (), *, is_segment: bool = False
    ) -> None:
        """Change summaries in place, to what may leave.

        Args:
            classes: What the model chooses from; its own words for predictions.
            is_segment: These rows are a slice of others, which count towards a category's name already.
        """
        for column in columns:
            summary = column.summary
            content = summary.content
            if isinstance(content, CategoricalSummary):
                content.categories = self._named(summary, content.categories, classes, counts=not is_segment)
            elif isinstance(content, NumericSummary) and not self._policy.samples_values:
                _coarsen(summary, content, column)

    def redact_rows(self, sample: RowSample, columns: Iterable[DrainedColumn]) -> RowSample:
        """The sample as it may leave: with no name of a category that the redacted summaries of its columns lack."""
        named = {
            column.summary.key.name: column.summary.content.categories.counts
            for column in columns
            if column.summary.key.role is FeatureRole.FEATURE and isinstance(column.summary.content, CategoricalSummary)
        }

        def renamed(column: str, name: str) -> str:
            if column not in named:  # truth values
                return name
            if self._policy.hashes(column):
                return self._policy.hashed(name)
            known = self._known.get(FeatureKey(FeatureRole.FEATURE, column), ())
            may_leave = self._policy.min_count <= 1 or name in named[column] or name in known
            return name if may_leave else semconv.OTHER_LABEL

        return renamed_categories(sample, renamed)

    def _named(
        self, summary: FeatureSummary, categories: CategoryCounts, classes: Collection[str], *, counts: bool
    ) -> CategoryCounts:
        key = summary.key
        if key.role is FeatureRole.FEATURE and self._policy.hashes(key.name):
            return categories.renamed(self._policy.hashed)
        if self._policy.min_count <= 1:
            return categories
        known = self._known.get(key, ())
        own = classes if key.role is FeatureRole.PREDICTION else ()
        seen = self._seen.setdefault(key, Counter())
        if len(seen) > _TRACKED_NAMES:
            seen.clear()
        rare: set[str] = set()
        for name, count in categories.counts.items():
            if name in known or name in own:
                continue
            if counts:
                seen[name] += count
            if seen[name] < self._policy.min_count:
                rare.add(name)
        # Rare names share one that is counted like any other, and not `other`: that would make every count uncertain.
        return categories.renamed(lambda name: semconv.OTHER_LABEL if name in rare else name) if rare else categories


def names_of(baseline: Baseline | None) -> dict[FeatureKey, Collection[str]]:
    """Names of categories that a baseline brings along, by column."""
    if baseline is None:
        return {}
    return {
        key: frozenset(summary.content.categories.counts)
        for key, summary in baseline.features.items()
        if isinstance(summary.content, CategoricalSummary)
    }


def _coarsen(summary: FeatureSummary, content: NumericSummary, column: DrainedColumn) -> None:
    """Leave no single value: the histogram says where values lie, and its buckets how far they reach."""
    content.exact = None
    content.quantiles = None
    histogram = column.histogram
    if histogram is not None and histogram.count:
        if histogram.scale > COARSE_SCALE:
            histogram.downscale(COARSE_SCALE)
        content.histogram = None if content.bins else histogram
        content.moments.minimum, content.moments.maximum = _reach(histogram)
    summary.exemplars = [exemplar._replace(value=None) for exemplar in summary.exemplars]


def _reach(histogram: ExponentialHistogram) -> tuple[float, float]:
    """The outer bounds of the outermost buckets."""

    def bounds(buckets: Buckets) -> tuple[float, float]:
        trimmed = buckets.trimmed()
        edges = bucket_bounds(histogram.scale, trimmed.offset, trimmed.offset + len(trimmed.counts))
        return float(edges[0]), float(edges[-1])

    ends: list[float] = [0.0] if histogram.zero_count else []
    if histogram.positive.counts.any():
        ends.extend(bounds(histogram.positive))
    if histogram.negative.counts.any():
        ends.extend(-bound for bound in bounds(histogram.negative))
    return min(ends), max(ends)


def _matches(column: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(column, pattern) for pattern in patterns)

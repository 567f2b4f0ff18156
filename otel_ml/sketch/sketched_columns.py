"""Columns of numbers that no baseline cut bins for, kept and merged as matrices.

That is what servers without a baseline send, every interval, for every column with many distinct values: a histogram
and, unless values must not leave, a quantile sketch beside it. Histograms are merged as matrices, a few snapshots at
once. Quantile sketches wait for the same time: mostly nobody asks for them, since histograms compare better.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.exemplar import Exemplar, merged_exemplars
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey
from otel_ml.sketch.histogram_columns import HistogramColumns, summed
from otel_ml.sketch.moment_columns import MomentColumns
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketch import CountArray
from otel_ml.sketch.summary import FeatureSummary

_WAITING = 8
"""Snapshots that are kept beside each other until they are added up: more memory buys hardly any time."""
_FREE_CELLS = 1 << 17
"""A matrix of no more than this may be as empty as it will."""
_EMPTIEST = 8
"""Of a larger one, one cell in so many has to be in use."""


@dataclass(slots=True, eq=False)
class SketchedColumns:
    """Numeric columns in histograms, either all with quantile sketches beside them or none.

    Attributes:
        keys: What the columns are.
        counters: (columns, 5) the fields of `Counters`, in their order.
        moments: Of the values.
        exemplars: Of each column that has any, by its position.
    """

    keys: tuple[FeatureKey, ...]
    counters: CountArray
    moments: MomentColumns
    exemplars: dict[int, list[Exemplar]]
    # What was merged, in order; nobody changes these.
    _histograms: list[HistogramColumns]
    _quantiles: list[Sequence[QuantileSketch]] = field(default_factory=list)

    @property
    def identity(self) -> tuple[object, ...]:
        """What has to be the same for two to be merged."""
        return self.keys, bool(self._quantiles)

    @property
    def histograms(self) -> HistogramColumns:
        """The histogram of each column."""
        self._histograms = [summed(self._histograms)]
        return self._histograms[0]

    def merge(self, other: SketchedColumns, /) -> None:
        """Add what `other` has seen of the same columns.

        Raises:
            IncompatibleSketchError: The columns differ, or only one side has quantiles; nothing was changed.
        """
        if self.identity != other.identity:
            raise IncompatibleSketchError(f"cannot merge {len(other.keys)} columns into {len(self.keys)} other ones")
        self.moments = self.moments.plus(other.moments)
        self.counters = self.counters + other.counters
        for position, exemplars in other.exemplars.items():
            self.exemplars[position] = merged_exemplars(self.exemplars.get(position, []), exemplars)
        self._histograms += other._histograms
        self._quantiles += other._quantiles
        if len(self._histograms) > _WAITING:
            self._histograms = [summed(self._histograms)]
        if len(self._quantiles) > _WAITING:
            self._quantiles = [self._merged_quantiles()]

    def copy(self) -> SketchedColumns:
        """The same columns, independent of these."""
        exemplars = {position: list(of_one) for position, of_one in self.exemplars.items()}
        return SketchedColumns(
            self.keys, self.counters, self.moments, exemplars, list(self._histograms), list(self._quantiles)
        )

    def summaries(self) -> list[FeatureSummary]:
        """The same, column by column."""
        quantiles = self._merged_quantiles() if self._quantiles else [None] * len(self.keys)
        return [
            FeatureSummary(
                key,
                NumericSummary(moments, histogram=histogram, quantiles=of_column),
                Counters(*counters),
                list(self.exemplars.get(position, ())),
            )
            for position, (key, moments, histogram, of_column, counters) in enumerate(
                zip(
                    self.keys,
                    self.moments.columns(),
                    self.histograms.histograms(),
                    quantiles,
                    self.counters.tolist(),
                    strict=True,
                )
            )
        ]

    def _merged_quantiles(self) -> list[QuantileSketch]:
        merged = [sketch.copy() for sketch in self._quantiles[0]]
        for others in self._quantiles[1:]:
            for sketch, other in zip(merged, others, strict=True):
                sketch.merge(other)
        return merged


def packed_sketches(features: Iterable[FeatureSummary]) -> tuple[list[SketchedColumns], list[FeatureSummary]]:
    """The columns that are nothing but sketches as matrices, and the other columns; both take over what they hold."""
    alike: dict[bool, list[tuple[FeatureSummary, NumericSummary, ExponentialHistogram]]] = {}
    others: list[FeatureSummary] = []
    for feature in features:
        content = feature.content
        if (
            isinstance(content, NumericSummary)
            and content.histogram is not None
            and content.exact is None
            and not content.bins
            and not feature.counters.unchecked
        ):
            columns = alike.setdefault(content.quantiles is not None, [])
            columns.append((feature, content, content.histogram))
        else:
            others.append(feature)
    blocks = []
    for columns in alike.values():
        sides = [side for _, _, histogram in columns for side in (histogram.negative, histogram.positive)]
        if fills_matrix([len(side.counts) for side in sides]):
            blocks.append(_stacked(columns))
        else:
            others += [feature for feature, _, _ in columns]
    return blocks, others


def fills_matrix(lengths: Sequence[int]) -> bool:
    """Whether histograms with so many buckets a side may be a matrix.

    One long one among thousands of short ones would make a message swell.
    """
    cells = len(lengths) * max(lengths)
    return cells <= max(_FREE_CELLS, _EMPTIEST * sum(lengths))


def _stacked(columns: Sequence[tuple[FeatureSummary, NumericSummary, ExponentialHistogram]]) -> SketchedColumns:
    counters = [feature.counters for feature, _, _ in columns]
    quantiles = [content.quantiles for _, content, _ in columns if content.quantiles is not None]
    return SketchedColumns(
        tuple([feature.key for feature, _, _ in columns]),
        np.array([(c.rows, c.missing, c.mismatched, c.positive_infinite, c.negative_infinite) for c in counters]),
        MomentColumns.of(content.moments for _, content, _ in columns),
        {position: feature.exemplars for position, (feature, _, _) in enumerate(columns) if feature.exemplars},
        [HistogramColumns.of([histogram for _, _, histogram in columns])],
        [quantiles] if quantiles else [],
    )

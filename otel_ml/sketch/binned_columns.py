"""Columns whose every number is in a bin of the baseline, kept and merged as matrices.

That is what servers that know their baseline send, every interval, for every numeric column. As matrices, a hundred
columns merge in the time that two take one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.exemplar import Exemplar, merged_exemplars
from otel_ml.sketch.feature import Counters, FeatureKey
from otel_ml.sketch.moment_columns import MomentColumns
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.sketch import CountArray, FloatArray
from otel_ml.sketch.summary import FeatureSummary


@dataclass(slots=True, eq=False)
class BinnedColumns:
    """Numeric columns with the same number of bins.

    Attributes:
        keys: What the columns are.
        edges_hashes: Of each column, as in `AnchoredBins`.
        counts: (columns, bins).
        counters: (columns, 5) the fields of `Counters`, in their order.
        mean: (columns,) as in `Moments`, likewise the following.
        m2: (columns,)
        minimum: (columns,)
        maximum: (columns,)
        exemplars: Of each column that has any, by its position.
        known_totals: (columns,) sums of `counts`, where somebody added them up.
    """

    keys: tuple[FeatureKey, ...]
    edges_hashes: tuple[int, ...]
    counts: CountArray
    counters: CountArray
    mean: FloatArray
    m2: FloatArray
    minimum: FloatArray
    maximum: FloatArray
    exemplars: dict[int, list[Exemplar]]
    known_totals: CountArray | None = None

    @property
    def totals(self) -> CountArray:
        """(columns,) how many values were counted."""
        if self.known_totals is None:
            self.known_totals = np.add.reduce(self.counts, axis=1)
        return self.known_totals

    @property
    def identity(self) -> tuple[object, ...]:
        """What has to be the same for two to be merged."""
        return self.keys, self.edges_hashes, self.counts.shape[1]

    @property
    def moments(self) -> MomentColumns:
        """Of the values that were counted."""
        return MomentColumns(self.totals, self.mean, self.m2, self.minimum, self.maximum)

    def merge(self, *others: BinnedColumns) -> None:
        """Add what others have seen of the same columns, all of them at the price of two. No matrix changes in place.

        Raises:
            IncompatibleSketchError: The columns or their edges differ; nothing was changed.
        """
        for other in others:
            if self.identity != other.identity:
                raise IncompatibleSketchError(
                    f"cannot merge {len(other.keys)} columns into {len(self.keys)} other ones"
                )
        moments = self.moments.plus_all([other.moments for other in others])
        self.known_totals, self.mean, self.m2, self.minimum, self.maximum = moments
        self.counts = _sum([self.counts, *[other.counts for other in others]])
        self.counters = _sum([self.counters, *[other.counters for other in others]])
        for other in others:
            for position, exemplars in other.exemplars.items():
                self.exemplars[position] = merged_exemplars(self.exemplars.get(position, []), exemplars)

    def copy(self) -> BinnedColumns:
        """The same columns, independent of these."""
        return BinnedColumns(
            self.keys,
            self.edges_hashes,
            self.counts,
            self.counters,
            self.mean,
            self.m2,
            self.minimum,
            self.maximum,
            {position: list(of_one) for position, of_one in self.exemplars.items()},
            self.known_totals,
        )

    def summaries(self) -> list[FeatureSummary]:
        """The same, column by column."""
        return [
            FeatureSummary(
                key,
                NumericSummary(moments, {edges_hash: AnchoredBins(edges_hash, row)}),
                Counters(*counters),
                list(self.exemplars.get(position, ())),
            )
            for position, (key, edges_hash, row, counters, moments) in enumerate(
                zip(
                    self.keys,
                    self.edges_hashes,
                    self.counts,
                    self.counters.tolist(),
                    self.moments.columns(),
                    strict=True,
                )
            )
        ]


def packed(features: Iterable[FeatureSummary]) -> tuple[list[BinnedColumns], list[FeatureSummary]]:
    """The columns that are nothing but bins as matrices, one for each number of bins, and the other columns."""
    by_bins: dict[int, list[tuple[FeatureSummary, NumericSummary, AnchoredBins]]] = {}
    others: list[FeatureSummary] = []
    for feature in features:
        content = feature.content
        if (
            isinstance(content, NumericSummary)
            and len(content.bins) == 1
            and content.exact is None
            and content.histogram is None
            and content.quantiles is None
            # What a plain histogram brought has more to say than the matrices hold.
            and not feature.counters.unchecked
        ):
            bins = next(iter(content.bins.values()))
            by_bins.setdefault(len(bins.counts), []).append((feature, content, bins))
        else:
            others.append(feature)
    return [_stacked(columns) for columns in by_bins.values()], others


def _sum(matrices: Sequence[CountArray]) -> CountArray:
    """Of at least two."""
    total = matrices[0] + matrices[1]
    for matrix in matrices[2:]:
        total += matrix
    return total


def _stacked(columns: Sequence[tuple[FeatureSummary, NumericSummary, AnchoredBins]]) -> BinnedColumns:
    counters = [feature.counters for feature, _, _ in columns]
    moments = MomentColumns.of(content.moments for _, content, _ in columns)
    return BinnedColumns(
        tuple([feature.key for feature, _, _ in columns]),
        tuple([bins.edges_hash for _, _, bins in columns]),
        np.array([bins.counts for _, _, bins in columns]),
        np.array([(c.rows, c.missing, c.mismatched, c.positive_infinite, c.negative_infinite) for c in counters]),
        *moments[1:],
        {position: feature.exemplars for position, (feature, _, _) in enumerate(columns) if feature.exemplars},
    )

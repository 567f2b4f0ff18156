"""Choosing, while columns are summarised one after the other, the features that are looked at together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from otel_ml.baseline.columns import NumberBatch
from otel_ml.baseline.joint import MAX_COLUMNS, MIN_COLUMNS, Joint, JointLayout
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.feature_encoding import bounded_name
from otel_ml.sketch.summary import NumericSummary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from otel_ml.baseline.columns import Column, Piece
    from otel_ml.sketch.sketch import FloatArray
    from otel_ml.sketch.summary import FeatureSummary

_ROWS: Final = 50_000
_NUMBERS: Final = 1 << 20
"""Numbers that correlations are worked out from, in 50 ms; they are then good to 0.005 to 0.01, and what counts is a
change of 0.1."""
_HELD: Final = 1 << 23
"""Numbers that are held at a time: 64 MB."""
_CANDIDATES: Final = 4 * MAX_COLUMNS
"""Features, in their order, among which is chosen where nobody knows which ones matter."""
_FEWEST: Final = 30
"""Complete rows from which on correlations say something."""
_CONSTANT: Final = 1e-12
"""A deviation of less, relative to the mean, is rounding."""


class JointRows:
    """Keeps the values of the same rows of several columns, all of them or some that are drawn by chance.

    The same rows are drawn whenever there are as many, whatever holds the data.

    Args:
        rows: Of the data.
        kinds: Of all columns, in order.
        are_weighed: Whether it will be known how much the features matter.
    """

    def __init__(self, rows: int, kinds: Mapping[FeatureKey, FeatureKind], *, are_weighed: bool) -> None:
        numeric = [
            key
            for key, kind in kinds.items()
            # A name that a message alters is not found in rows.
            if (key.role, kind) == (FeatureRole.FEATURE, FeatureKind.NUMERIC) and bounded_name(key.name) == key.name
        ]
        self._candidates = frozenset(numeric if are_weighed else numeric[:_CANDIDATES])
        columns = max(1, len(self._candidates))
        size = min(_ROWS, _NUMBERS // min(columns, MAX_COLUMNS), max(_FEWEST, _HELD // columns))
        self._places = np.arange(rows)
        if rows > size:
            # One of each of so many stretches of rows; two of narrow ones may be the same.
            drawn = (np.arange(size) + np.random.default_rng(0).random(size)) * (rows / size)
            self._places = np.unique(drawn.astype(np.intp).clip(max=rows - 1))
        self._kept: dict[FeatureKey, FloatArray] = {}

    def watched(self, key: FeatureKey, column: Column) -> Column:
        """The column, of which this keeps what it needs while somebody reads it."""
        if key not in self._candidates or len(self._candidates) < MIN_COLUMNS:
            return column
        self._kept[key] = np.full(len(self._places), np.nan)
        return _Watched(column, self._places, self._kept[key])

    def complete(self, names: Sequence[str]) -> FloatArray:
        """(rows, names) values of these features, which were watched and read, in the rows that have all of them."""
        columns = [self._kept[FeatureKey(FeatureRole.FEATURE, name)] for name in names]
        values = np.stack(columns, axis=1)
        whole: FloatArray = values[np.isfinite(values).all(axis=1)]
        return whole

    def joint(self, summaries: Mapping[FeatureKey, FeatureSummary], weights: Mapping[str, float]) -> Joint | None:
        """How the features vary together: the 64 that matter most, else the first.

        Constants are left out, and so is what would leave less than half of the rows complete. None where fewer than
        two features remain.

        Args:
            summaries: Of the columns, which are read by now.
            weights: How much features matter; empty where nobody knows.
        """
        order = sorted(self._kept, key=lambda key: -weights.get(key.name, 0.0))
        chosen: list[FeatureKey] = []
        complete = np.ones(len(self._places), bool)
        for key in order:
            values = self._kept[key]
            both = complete & np.isfinite(values)
            if _varies(summaries[key]) and 2 * np.count_nonzero(both) >= len(both):
                chosen.append(key)
                complete = both
                if len(chosen) == MAX_COLUMNS:
                    break
        if len(chosen) < MIN_COLUMNS or np.count_nonzero(complete) < _FEWEST:
            return None
        # In the order of the data, whatever their weights: these may come from somewhere else every time.
        chosen = [key for key in self._kept if key in set(chosen)]
        moments = [_moments(summaries[key]) for key in chosen]
        layout = JointLayout(
            tuple(key.name for key in chosen),
            np.array([mean for mean, _ in moments]),
            np.array([deviation for _, deviation in moments]),
        )
        return Joint.of(layout, np.stack([self._kept[key][complete] for key in chosen], axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class _Watched:
    """A column that leaves some of its numbers behind."""

    column: Column
    places: np.ndarray[tuple[int], np.dtype[np.intp]]
    kept: FloatArray

    @property
    def kind(self) -> FeatureKind:
        """As the column itself."""
        return self.column.kind

    def numbers(self) -> Iterator[NumberBatch]:
        """All of them."""
        first = 0
        for batch in self.column.numbers():
            start, stop = self.places.searchsorted((first, first + len(batch.values))).tolist()
            with np.errstate(over="ignore"):
                self.kept[start:stop] = batch.values[self.places[start:stop] - first]
            first += len(batch.values)
            yield batch

    def counts(self) -> Iterator[Mapping[object, int]]:
        """As the column itself."""
        return self.column.counts()

    def pieces(self) -> Iterator[Piece]:
        """As the column itself."""
        return self.column.pieces()

    def missing(self) -> int:
        """As the column itself."""
        return self.column.missing()


def _moments(summary: FeatureSummary) -> tuple[float, float]:
    content = summary.content
    assert isinstance(content, NumericSummary)
    return content.moments.mean, content.moments.standard_deviation


def _varies(summary: FeatureSummary) -> bool:
    mean, deviation = _moments(summary)
    # Neither NaN, of a single value, nor infinite.
    return bool(np.isfinite([mean, deviation]).all()) and deviation > _CONSTANT * abs(mean) and deviation > 0

"""Counts per value, while there are few distinct ones: codes, ratings, flags and small integers lose nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from otel_ml.errors import IncompatibleSketchError
from otel_ml.sketch.distribution import NumericDistribution
from otel_ml.sketch.sketch import CountArray, FloatArray

LIMIT = 256
"""How many distinct values are kept apart; beyond, a column belongs into other sketches."""


def _no_values() -> FloatArray:
    return np.empty(0, dtype=np.float64)


def _no_counts() -> CountArray:
    return np.empty(0, dtype=np.int64)


@dataclass(slots=True, eq=False)
class ExactCounts:
    """How often each value occurred.

    Attributes:
        values: (m,) finite, strictly increasing, m ≤ 256; never changed in place.
        counts: (m,) positive; never changed in place.
    """

    values: FloatArray = field(default_factory=_no_values)
    counts: CountArray = field(default_factory=_no_counts)

    @classmethod
    def of(cls, values: FloatArray, /) -> ExactCounts:
        """Counts of finite `values`.

        Raises:
            IncompatibleSketchError: There are more than 256 distinct ones.
        """
        exact = cls()
        exact.update(values)
        return exact

    @property
    def count(self) -> int:
        """How many values were counted."""
        return int(self.counts.sum())

    def update(self, values: FloatArray, /) -> None:
        """Count finite values, shape (n,).

        Raises:
            IncompatibleSketchError: That would make more than 256 distinct ones; nothing was changed.
        """
        if not self.add(*distinct_counts(np.sort(values))):
            raise IncompatibleSketchError(f"more than {LIMIT} distinct values cannot be counted one by one")

    def merge(self, other: ExactCounts, /) -> None:
        """Add the counts of `other`.

        Raises:
            IncompatibleSketchError: That would make more than 256 distinct values; nothing was changed.
        """
        if not self.add(other.values, other.counts):
            raise IncompatibleSketchError(f"more than {LIMIT} distinct values cannot be counted one by one")

    def add(self, values: FloatArray, counts: CountArray, /) -> bool:
        """Add a count for each of some strictly increasing values.

        Returns:
            False, and nothing was changed, when that would make more than 256 distinct values.
        """
        if len(values) > LIMIT:
            return False
        place = self.values.searchsorted(values)
        known = np.append(self.values, np.nan)[place] == values
        if known.all():
            summed = self.counts.copy()
            summed[place] += counts
        else:
            new = ~known
            if len(self.values) + np.count_nonzero(new) > LIMIT:
                return False
            summed = self.counts.copy()
            summed[place[known]] += counts[known]
            summed = np.insert(summed, place[new], counts[new])
            self.values = np.insert(self.values, place[new], values[new])
        self.counts = summed
        return True

    def copy(self) -> ExactCounts:
        """The same counts, independent of these."""
        return ExactCounts(self.values.copy(), self.counts.copy())

    def distribution(self) -> NumericDistribution:
        """The exact distribution function."""
        if len(self.values) == 0:
            return NumericDistribution(_no_values(), _no_counts(), 0, np.nan, np.nan, is_step=True)
        cumulative = self.counts.cumsum()
        return NumericDistribution(
            self.values, cumulative, int(cumulative[-1]), float(self.values[0]), float(self.values[-1]), is_step=True
        )


def distinct_counts(values: FloatArray, /) -> tuple[FloatArray, CountArray]:
    """The distinct ones among increasing `values`, strictly increasing, and how often each occurs."""
    if values.size == 0:
        return _no_values(), _no_counts()
    last = np.append(np.flatnonzero(values[1:] != values[:-1]), values.size - 1)
    # Adding zero turns -0.0, which compares equal to 0.0 but has other bytes, into 0.0.
    return values[last] + 0.0, np.diff(last, prepend=-1)

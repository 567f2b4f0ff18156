"""Moments of many columns at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.moments import Moments
from otel_ml.sketch.sketch import CountArray, FloatArray


class MomentColumns(NamedTuple):
    """As `Moments`, all of shape (columns,); `totals` are the counts of values."""

    totals: CountArray
    mean: FloatArray
    m2: FloatArray
    minimum: FloatArray
    maximum: FloatArray

    @classmethod
    def of(cls, columns: Iterable[Moments], /) -> MomentColumns:
        """The same, column by column."""
        moments = list(columns)
        floats = np.array([(one.mean, one.m2, one.minimum, one.maximum) for one in moments]).reshape(-1, 4)
        return cls(np.array([one.count for one in moments], dtype=np.int64), *np.ascontiguousarray(floats.T))

    def plus(self, other: MomentColumns) -> MomentColumns:
        """Both together: as `Moments.merge` has it, and to the same bits."""
        total = self.totals + other.totals
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            delta = other.mean - self.mean
            share = other.totals / total
            m2 = self.m2 + (other.m2 + delta * delta * (self.totals / total) * other.totals)
            mean = self.mean + delta * share
            if np.count_nonzero(np.isfinite(delta)) < len(delta):
                mean = np.where(np.isfinite(delta), mean, self.mean * (self.totals / total) + other.mean * share)
        minimum, maximum = np.minimum(self.minimum, other.minimum), np.maximum(self.maximum, other.maximum)
        mean = np.minimum(np.maximum(mean, minimum), maximum)
        # Counting is several times as quick as `all`.
        if np.count_nonzero(self.totals) < len(total) or np.count_nonzero(other.totals) < len(total):
            mean = np.where(other.totals == 0, self.mean, np.where(self.totals == 0, other.mean, mean))
            m2 = np.where(other.totals == 0, self.m2, np.where(self.totals == 0, other.m2, m2))
        return MomentColumns(total, mean, m2, minimum, maximum)

    def plus_all(self, others: Sequence[MomentColumns]) -> MomentColumns:
        """As `plus` for one after the other, but for rounding, in the time of two."""
        if len(others) > 1:
            together = self._summed(others)
            if together is not None:
                return together
        summed = self
        for other in others:
            summed = summed.plus(other)
        return summed

    def _summed(self, others: Sequence[MomentColumns]) -> MomentColumns | None:
        """All together; None where something is empty or overflows, which only `plus` knows how to add."""
        totals, means, m2s, minima, maxima = (np.array(rows) for rows in zip(self, *others, strict=True))
        if np.count_nonzero(totals) < totals.size:
            return None
        total: CountArray = np.add.reduce(totals)
        minimum: FloatArray = np.minimum.reduce(minima)
        maximum: FloatArray = np.maximum.reduce(maxima)
        with np.errstate(over="ignore", invalid="ignore"):
            # About the first mean, not about 0: what is far away from 0 loses nothing.
            offset = np.add.reduce(totals * (means - self.mean)) / total
            mean: FloatArray = np.minimum(np.maximum(self.mean + offset, minimum), maximum)
            m2: FloatArray = np.add.reduce(m2s) + np.add.reduce(totals * np.square(means - mean))
        if np.count_nonzero(np.isfinite(m2)) < len(m2):
            return None
        return MomentColumns(total, mean, m2, minimum, maximum)

    def rows(self, chosen: npt.NDArray[np.intp]) -> MomentColumns:
        """Some of the columns."""
        return MomentColumns(
            self.totals[chosen], self.mean[chosen], self.m2[chosen], self.minimum[chosen], self.maximum[chosen]
        )

    def columns(self) -> list[Moments]:
        """The moments of each column."""
        return [Moments(*of_one) for of_one in zip(*(values.tolist() for values in self), strict=True)]

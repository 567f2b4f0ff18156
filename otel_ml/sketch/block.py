"""Many numeric columns summarised together: the fast path of recording.

Rows are copied into a buffer that holds each column in one piece. Once it is full, columns are sorted in place, a few
at a time; in sorted order bins, histogram and distinct values cost a few nanoseconds a value, where sketches fed one
value after the other cost tens.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.bucket_grid import BucketGrid
from otel_ml.sketch.exact import ExactCounts, distinct_counts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey
from otel_ml.sketch.kll_builder import KllBuilder
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.sketch import CountArray, FloatArray
from otel_ml.sketch.summary import FeatureSummary, NumericSummary

_MIN_ROWS, _MAX_ROWS = 1024, 4096
_BUFFER_VALUES = 512 * 1024
_STEP_S = 0.15e-3
"""A step begins no further column after this time; one of 4,096 rows takes 0.07 ms, which makes 0.25 ms at most."""

_MAX = float(np.finfo(np.float64).max)


@dataclass(frozen=True, slots=True)
class NumericColumn:
    """What became of one column.

    Attributes:
        summary: Goes into the snapshot; holds each finite value in one place only.
        histogram: Of all finite values, whatever the summary holds.
    """

    summary: FeatureSummary
    histogram: ExponentialHistogram


class NumericBlock:
    """Accumulates rows of numeric columns until they are drained into summaries.

    A thread that must not hold the interpreter for long takes rows in by `fill` and works in between:

        while start < len(matrix):
            start += block.fill(matrix[start:])
            while block.step():
                time.sleep(pause_s)

    Args:
        keys: What the columns are.
        layouts: The baseline's bins for each column; None where there are none: its values are then counted one by
            one, and from the 257th distinct one on sketched.
    """

    def __init__(self, keys: Sequence[FeatureKey], layouts: Sequence[BinLayout | None]) -> None:
        if len(keys) != len(layouts):
            raise ValueError(f"layouts: {len(layouts)} (must be one for each of the {len(keys)} keys)")
        self._keys = tuple(keys)
        self._layouts = tuple(layouts)
        # The longer a column, the fewer searches a value; up to 500 columns the buffer stays within 4 MB.
        self._capacity = min(max(_BUFFER_VALUES // max(len(keys), 1), _MIN_ROWS), _MAX_ROWS)
        self._buffer = np.empty((len(keys), self._capacity))
        self._filled = 0
        # The next column to sort and count, None while the buffer takes rows.
        self._next: int | None = None
        self._reset()

    @property
    def rows(self) -> int:
        """Rows taken since the last drain."""
        return self._rows

    @property
    def keys(self) -> tuple[FeatureKey, ...]:
        """What the columns are."""
        return self._keys

    def update(self, matrix: npt.ArrayLike, mismatched: CountArray | None = None) -> None:
        """Add rows, however many, shape (rows, features); of any numeric type, copied.

        Args:
            matrix: NaN where a value is missing.
            mismatched: (features,) how many of the NaN stand for values of another kind, which are not missing.
        """
        rows = np.asarray(matrix)
        taken = self.fill(rows, mismatched)
        while taken < len(rows):
            self.process()
            taken += self.fill(rows[taken:])

    def fill(self, matrix: npt.ArrayLike, mismatched: CountArray | None = None) -> int:
        """Copy as many of the rows as the buffer has room for, none while it awaits `step`.

        Returns:
            How many rows were taken. `mismatched` counts in any case: hand it over once.

        Raises:
            ValueError: The matrix has not one column for each key.
        """
        rows = np.asarray(matrix)
        if rows.ndim != 2 or rows.shape[1] != len(self._keys):
            raise ValueError(f"matrix: shape {rows.shape} (must be rows by {len(self._keys)} columns)")
        if mismatched is not None:
            self._mismatched += mismatched
        if self._next is not None:
            return 0
        taken = min(len(rows), self._capacity - self._filled)
        with np.errstate(over="ignore"):  # what a double cannot hold is infinite, and counted as such
            self._buffer[:, self._filled : self._filled + taken] = rows[:taken].T
        self._filled += taken
        self._rows += taken
        if self._filled == self._capacity:
            self._next = 0
        return taken

    def add_rows(self, count: int) -> None:
        """Count rows whose values come column by column: by `add_values` and `add_repeated`, one for each row."""
        self._rows += count

    def add_values(self, column: int, values: FloatArray) -> None:
        """Add values of one column, in any order; they are overwritten. See `add_rows`.

        Args:
            column: Its place among the keys.
        """
        if values.size:
            with np.errstate(over="ignore", invalid="ignore"):
                self._count(values, self._columns[column])

    def add_repeated(self, column: int, value: float, count: int) -> None:
        """Add one value many times, at the cost of once; NaN stands for missing. See `add_rows`."""
        if count:
            self._columns[column].add_repeated(value, count)

    def seal(self) -> None:
        """Let `step` work on the buffer although it is not full, as before draining."""
        if self._filled and self._next is None:
            self._next = 0

    def step(self, budget_s: float = _STEP_S) -> bool:
        """Sort and count columns of a full buffer one after the other, at least one, until the time is spent.

        Returns:
            Whether there is more to do before the buffer takes rows again.
        """
        if self._next is None:
            return False
        until = perf_counter() + budget_s
        with np.errstate(over="ignore", invalid="ignore"):
            while self._next < len(self._keys):
                self._count(self._buffer[self._next, : self._filled], self._columns[self._next])
                self._next += 1
                if perf_counter() >= until:
                    break
        if self._next < len(self._keys):
            return True
        self._next, self._filled = None, 0
        return False

    def process(self) -> None:
        """Do all the work of a full buffer at once."""
        self.step(math.inf)

    def drain(self) -> list[NumericColumn]:
        """What was seen since the last drain, by column; nothing when there were no rows."""
        return list(self.drain_lazily())

    def drain_lazily(self) -> Iterator[NumericColumn]:
        """As `drain`, but each column is only finished when it is asked for; rows may come in the meantime.

        What the buffer still holds is worked off first: `seal` and `step` do that in pieces.
        """
        self.seal()
        self.process()
        columns, rows, mismatched = self._columns, self._rows, self._mismatched
        self._reset()
        if rows == 0:
            return iter(())
        return (
            column.finished(key, rows, int(wrong))
            for key, column, wrong in zip(self._keys, columns, mismatched, strict=True)
        )

    def _reset(self) -> None:
        self._columns = [_Column(layout) for layout in self._layouts]
        self._rows = 0
        self._mismatched = np.zeros(len(self._keys), dtype=np.int64)

    @staticmethod
    def _count(values: FloatArray, column: _Column) -> None:
        values.sort()
        # In sorted order -inf comes first, +inf and then NaN last.
        is_finite = math.isfinite(values.item(0)) and math.isfinite(values.item(-1))
        finite = values if is_finite else column.without_infinite(values)
        if finite.size:
            column.update_sorted(finite)
            column.moments.merge(_moments_of_sorted(finite))


def _moments_of_sorted(values: FloatArray) -> Moments:
    """Moments of increasing values that nobody needs any more: they are overwritten, which saves a copy of them."""
    low, high = values.item(0), values.item(-1)
    mean = float(np.add.reduce(values)) / values.size
    if not math.isfinite(mean):
        return Moments.of(values)
    # As in Moments.of: rounding must not take a mean out of its range.
    mean = min(max(mean, low), high)
    values -= mean
    return Moments(values.size, mean, float(values.dot(values)), low, high)


class _Column:
    """What is known of one column since the last drain."""

    __slots__ = (
        "_at_or_below",
        "_exact",
        "_grid",
        "_layout",
        "_missing",
        "_negative_infinite",
        "_positive_infinite",
        "_quantiles",
        "moments",
    )

    def __init__(self, layout: BinLayout | None) -> None:
        self._layout = layout
        self.moments = Moments()
        self._missing = self._positive_infinite = self._negative_infinite = 0
        # The sketches are made when the first value comes: columns that stay empty cost nothing.
        self._at_or_below: CountArray | None = None
        self._grid: BucketGrid | None = None
        self._exact: ExactCounts | None = None
        self._quantiles: KllBuilder | None = None

    def without_infinite(self, values: FloatArray) -> FloatArray:
        """The finite part of sorted values; the rest is counted."""
        start, infinite, missing = values.searchsorted((-_MAX, np.inf, np.nan)).tolist()
        self._negative_infinite += start
        self._positive_infinite += missing - infinite
        self._missing += values.size - missing
        return values[start:infinite]

    def update_sorted(self, values: FloatArray) -> None:
        """Count finite, increasing values, of which there is at least one; the moments are not its business."""
        if self._grid is None:
            self._grid = BucketGrid()
        self._grid.update_sorted(values)
        if self._layout is not None:
            at_or_below = values.searchsorted(self._layout.edges, side="right")
            self._at_or_below = at_or_below if self._at_or_below is None else self._at_or_below + at_or_below
        elif self._quantiles is not None:
            self._quantiles.update_sorted(values)
        else:
            self._count_distinct(values)

    def add_repeated(self, value: float, count: int) -> None:
        """Count the same value `count` times, which is positive."""
        if math.isnan(value):
            self._missing += count
            return
        value += 0.0  # turns -0.0, which compares equal to 0.0 but has other bytes, into 0.0
        self.moments.merge(Moments(count, value, 0.0, value, value))
        if self._grid is None:
            self._grid = BucketGrid()
        self._grid.add_repeated(value, count)
        values, counts = np.array([value]), np.array([count], np.int64)
        if self._layout is not None:
            at_or_below = np.where(self._layout.edges >= value, count, 0)
            self._at_or_below = at_or_below if self._at_or_below is None else self._at_or_below + at_or_below
        elif self._quantiles is not None:
            self._quantiles.update_weighted(values, counts)
        elif (quantiles := self._counted_one_by_one(values, counts)) is not None:
            quantiles.update_weighted(values, counts)

    def finished(self, key: FeatureKey, rows: int, mismatched: int) -> NumericColumn:
        """The column's summary and histogram."""
        histogram = ExponentialHistogram() if self._grid is None else self._grid.histogram()
        content = NumericSummary(self.moments, exact=self._exact)
        if self._layout is not None and self._at_or_below is not None:
            counts = np.diff(self._at_or_below, prepend=0, append=self.moments.count)
            content.bins = {self._layout.hash: AnchoredBins(self._layout.hash, counts, self._layout)}
        if self._quantiles is not None:
            content.quantiles = self._quantiles.sketch()
            content.histogram = histogram.copy()
        counters = Counters(
            rows, self._missing - mismatched, mismatched, self._positive_infinite, self._negative_infinite
        )
        return NumericColumn(FeatureSummary(key, content, counters), histogram)

    def _count_distinct(self, values: FloatArray) -> None:
        if (quantiles := self._counted_one_by_one(*distinct_counts(values))) is not None:
            quantiles.update_sorted(values)

    def _counted_one_by_one(self, values: FloatArray, counts: CountArray) -> KllBuilder | None:
        """Count distinct values; where there are too many by now, the quantiles of those before, to add these to."""
        exact = ExactCounts() if self._exact is None else self._exact
        if exact.add(values, counts):
            self._exact = exact
            return None
        self._exact, self._quantiles = None, KllBuilder()
        self._quantiles.update_weighted(exact.values, exact.counts)
        return self._quantiles

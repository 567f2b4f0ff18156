"""Exponential histograms of many columns as matrices: coarsened and added up all at once.

A histogram is kept as counts *below* the borders of its buckets. The borders of a coarser scale are borders of every
finer one, so that coarsening a histogram, moving it to other offsets and filling it up to more buckets is one and the
same look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from otel_ml.sketch.exponential import MAX_BUCKETS, MAX_SCALE, Buckets, ExponentialHistogram
from otel_ml.sketch.sketch import CountArray

NEGATIVE, POSITIVE = 0, 1
"""The two sides of a histogram, in this order."""

_FAR = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, eq=False)
class HistogramColumns:
    """One exponential histogram a column, without empty buckets at either end; no matrix is ever changed in place.

    Attributes:
        scales: (columns,) as in `ExponentialHistogram`.
        zero_counts: (columns,) likewise.
        offsets: (columns, 2) index of the first bucket of either side, 0 where there is none.
        lengths: (columns, 2) how many buckets there are.
        below: (columns, 2, longest + 1) how many values of a side lie in its first i buckets; the last repeats.
    """

    scales: CountArray
    zero_counts: CountArray
    offsets: CountArray
    lengths: CountArray
    below: CountArray

    @classmethod
    def of(cls, histograms: Sequence[ExponentialHistogram], /) -> HistogramColumns:
        """The same histograms as matrices."""
        # Row by row the negative side, then the positive one.
        sides = [side for one in histograms for side in (one.negative, one.positive)]
        sides = [side if side.is_trimmed else side.trimmed() for side in sides]
        lengths = [len(side.counts) for side in sides]
        counts = np.zeros((len(sides), max(lengths, default=0) + 1), np.int64)
        for row, length, side in zip(counts, lengths, sides, strict=True):
            row[1 : length + 1] = side.counts
        return cls(
            np.array([one.scale for one in histograms], np.int64),
            np.array([one.zero_count for one in histograms], np.int64),
            np.array(
                [side.offset if length else 0 for side, length in zip(sides, lengths, strict=True)], np.int64
            ).reshape(-1, 2),
            np.array(lengths, np.int64).reshape(-1, 2),
            counts.cumsum(axis=1).reshape(len(histograms), 2, counts.shape[1]),
        )

    @property
    def side_totals(self) -> CountArray:
        """(columns, 2) how many values each side holds."""
        return self.below[:, :, -1]

    @property
    def totals(self) -> CountArray:
        """(columns,) how many values there are, zeros among them."""
        totals: CountArray = self.zero_counts + self.side_totals.sum(axis=1)
        return totals

    def rows(self, chosen: npt.NDArray[np.intp]) -> HistogramColumns:
        """Some of the columns."""
        return HistogramColumns(
            self.scales[chosen],
            self.zero_counts[chosen],
            self.offsets[chosen],
            self.lengths[chosen],
            self.below[chosen],
        )

    def histograms(self) -> list[ExponentialHistogram]:
        """The same, column by column."""
        counts = np.diff(self.below, axis=2)
        return [
            ExponentialHistogram(
                scale,
                zero_count,
                positive=Buckets(offsets[POSITIVE], row[POSITIVE, : lengths[POSITIVE]]),
                negative=Buckets(offsets[NEGATIVE], row[NEGATIVE, : lengths[NEGATIVE]]),
            )
            for scale, zero_count, offsets, lengths, row in zip(
                self.scales.tolist(),
                self.zero_counts.tolist(),
                self.offsets.tolist(),
                self.lengths.tolist(),
                counts,
                strict=True,
            )
        ]

    def counts_below(self, scales: CountArray, borders: CountArray) -> CountArray:
        """How many values of each side lie in buckets under some borders of coarser scales, exactly.

        Args:
            scales: (columns,) none above the column's own.
            borders: (columns, 2, points) indexes of buckets at these scales.

        Returns:
            (columns, 2, points), of all values of a side where a border lies beyond its last bucket.
        """
        size = self.below.shape[2]
        # Flat, which takes a third of the time that `take_along_axis` does.
        places = borders << (self.scales - scales)[:, np.newaxis, np.newaxis]
        places -= self.offsets[:, :, np.newaxis]
        np.clip(places, 0, size - 1, out=places)
        places += (np.arange(places.shape[0] * 2) * size).reshape(-1, 2, 1)
        return self.below.reshape(-1).take(places)


def summed(parts: Sequence[HistogramColumns]) -> HistogramColumns:
    """The histograms of the same columns together, at the finest scales that need no more than 160 buckets a side.

    As `ExponentialHistogram.merge` has it, whichever way and in whichever order that adds them up.
    """
    if len(parts) == 1:
        return parts[0]
    # The scale of a histogram without buckets is no reason to coarsen the others.
    parts = [_with_scales(part, np.where(part.lengths.any(axis=1), part.scales, MAX_SCALE)) for part in parts]
    scales = np.min([part.scales for part in parts], axis=0)
    offsets, lengths = common_buckets(parts, scales)
    while (lengths > MAX_BUCKETS).any():
        by = lengths.max(axis=1, keepdims=True) > MAX_BUCKETS
        ends = ((offsets + lengths - 1) >> by) + 1
        scales, offsets = scales - by[:, 0], offsets >> by
        lengths = ends - offsets
    borders = offsets[:, :, np.newaxis] + np.arange(int(lengths.max(initial=0)) + 1)
    below = parts[0].counts_below(scales, borders)
    for part in parts[1:]:
        below += part.counts_below(scales, borders)
    zero_counts = np.sum([part.zero_counts for part in parts], axis=0)
    return HistogramColumns(scales, zero_counts, offsets, lengths, below)


def common_buckets(parts: Sequence[HistogramColumns], scales: CountArray) -> tuple[CountArray, CountArray]:
    """Offsets and lengths of the buckets that all parts need together, both of shape (columns, 2); 0 for none.

    Args:
        scales: (columns,) at which the buckets are; none of the parts is coarser.
    """
    offsets, ends = np.full((len(scales), 2), _FAR), np.full((len(scales), 2), -_FAR)
    for part in parts:
        by = (part.scales - scales)[:, np.newaxis]
        is_used = part.lengths > 0
        np.minimum(offsets, part.offsets >> by, out=offsets, where=is_used)
        np.maximum(ends, ((part.offsets + part.lengths - 1) >> by) + 1, out=ends, where=is_used)
    is_used = ends > -_FAR
    offsets, ends = np.where(is_used, offsets, 0), np.where(is_used, ends, 0)
    return offsets, ends - offsets


def _with_scales(histograms: HistogramColumns, scales: CountArray) -> HistogramColumns:
    return HistogramColumns(scales, histograms.zero_counts, histograms.offsets, histograms.lengths, histograms.below)

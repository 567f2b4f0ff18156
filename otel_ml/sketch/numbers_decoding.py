"""Reading what a message says about numbers, written by anybody."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import cache
from typing import NoReturn, TypeAlias

import numpy as np
from google.protobuf.internal.containers import RepeatedScalarFieldContainer

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import exact
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exponential import MAX_BUCKETS, MAX_SCALE, MIN_SCALE, Buckets, ExponentialHistogram
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketch import CountArray

BinRow: TypeAlias = tuple[AnchoredBins, int]
"""Counts of one feature, and their sum."""


def read_numbers(message: pb.Feature | pb.Numbers, valid: int, bins: Sequence[BinRow] = ()) -> NumericSummary:
    """Sketches of `valid` numbers, with those rows of bin matrices that belong to them.

    Raises:
        CorruptSnapshotError: They contradict themselves, or are of more or fewer numbers.
        CorruptSketchError: One of their images does.
    """
    summary = NumericSummary(read_moments(message.moments) if message.HasField("moments") else Moments())
    if summary.moments.count != valid:
        fail(f"moments: of {summary.moments.count} values, where the counters leave {valid}")
    held = 0
    for row, count in bins:
        summary.bins[row.edges_hash] = row
        held += count
    if message.HasField("exact"):
        summary.exact = read_exact(message.exact)
        held += summary.exact.count
    if message.HasField("histogram"):
        summary.histogram = read_histogram(message.histogram)
        held += summary.histogram.count
    summary.quantiles = _quantiles(message)
    if summary.quantiles is not None:
        # Quantiles and a histogram hold the same values; a server may know only one of them.
        if summary.histogram is None:
            held += summary.quantiles.count
        elif summary.histogram.count != summary.quantiles.count:
            fail(f"quantiles of {summary.quantiles.count} values, histogram of {summary.histogram.count}")
    if held != valid:
        fail(f"sketches of {held} values, where the counters leave {valid}")
    return summary


def read_moments(message: pb.Moments) -> Moments:
    """Finite moments of at least one value.

    Raises:
        CorruptSnapshotError: They contradict themselves.
    """
    moments = Moments(message.count, message.mean, message.m2, message.min, message.max)
    low, high = moments.minimum, moments.maximum
    if not all(map(math.isfinite, (moments.mean, moments.m2, low, high))):
        fail("moments: not finite")
    if moments.m2 == sys.float_info.max:
        # Stands for what overflowed, or is not known.
        moments.m2 = math.inf
    slack = 1e-9 * max(abs(low), abs(high))  # a mean is rounded
    if moments.count == 0 or moments.m2 < 0 or not low <= high or not low - slack <= moments.mean <= high + slack:
        fail(f"moments: count {moments.count}, mean {moments.mean}, m2 {moments.m2}, range [{low}, {high}]")
    return moments


def read_exact(message: pb.ExactCounts) -> ExactCounts:
    """Counts per value.

    Raises:
        CorruptSnapshotError: They contradict themselves.
    """
    if not len(message.values) == len(message.counts) <= exact.LIMIT:
        fail(f"exact: {len(message.values)} values with {len(message.counts)} counts (as many, at most {exact.LIMIT})")
    values, counts = np.array(message.values, np.float64), read_counts(message.counts, "exact")
    if not (np.isfinite(values).all() and (values[1:] > values[:-1]).all() and counts.all()):
        fail("exact: values are not finite and increasing, or have not been seen")
    return ExactCounts(values, counts)


def read_counts(container: RepeatedScalarFieldContainer[int], subject: str) -> CountArray:
    """Counts, each small enough for their sum not to overflow.

    Raises:
        CorruptSnapshotError: One is too large.
    """
    # Newer versions of protobuf lend their memory, so that this is a copy of it; older ones are iterated.
    counts = np.array(container, np.uint64)
    if len(counts) and int(counts.max()) > MAX_COUNT:
        fail(f"{subject}: a count of {int(counts.max())} (at most {MAX_COUNT})")
    return counts.view(np.int64)


def read_histogram(message: pb.ExponentialHistogram) -> ExponentialHistogram:
    """Counts by sign and magnitude.

    Raises:
        CorruptSnapshotError: One is too large, or of a bucket that there is not.
    """
    if not MIN_SCALE <= message.scale <= MAX_SCALE:
        fail(f"histogram: scale {message.scale} ({MIN_SCALE} to {MAX_SCALE})")
    if message.zero_count > MAX_COUNT:
        fail(f"histogram: zero_count {message.zero_count} (at most {MAX_COUNT})")
    return ExponentialHistogram(
        message.scale,
        message.zero_count,
        _buckets(message.positive, message.scale),
        _buckets(message.negative, message.scale),
    )


@cache
def bucket_range(scale: int) -> tuple[int, int]:
    """The buckets of the smallest and of the greatest normal double, at one of the scales that there are."""
    # Bounds are inclusive above.
    return math.floor(math.ldexp(-1022, scale)) - 1, math.ceil(math.ldexp(1024, scale)) - 1


def fail(what: str) -> NoReturn:
    """Refuse what was read."""
    raise CorruptSnapshotError(what)


def _buckets(message: pb.ExponentialHistogram.Buckets, scale: int) -> Buckets:
    size = len(message.counts)
    if size > MAX_BUCKETS:
        fail(f"histogram: {size} buckets (at most {MAX_BUCKETS})")
    if size == 0:
        return Buckets()
    lowest, highest = bucket_range(scale)
    if message.offset < lowest or message.offset + size - 1 > highest:
        fail(f"histogram: buckets from {message.offset} on at scale {scale} ({lowest} to {highest})")
    return Buckets(message.offset, read_counts(message.counts, "histogram"))


def _quantiles(message: pb.Feature | pb.Numbers) -> QuantileSketch | None:
    doubles, floats = message.kll_doubles, message.kll_floats
    if doubles and floats:
        fail("has quantiles as doubles and as floats")
    if doubles:
        return QuantileSketch.from_image(doubles, "doubles")
    return QuantileSketch.from_image(floats, "floats") if floats else None

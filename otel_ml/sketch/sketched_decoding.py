"""Reading the columns that are nothing but a histogram, with quantiles or without, all at once.

Of each feature only the frame is read by itself; counts of buckets, images of quantile sketches and whatever they have
to agree with are read and checked for all columns together. As in column_decoding.py, what is unusual in any way is
left to the reader of single features, who accepts it or says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from otel_ml.errors import CorruptSketchError, CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.proto.views import views, with_bytes
from otel_ml.sketch.column_heads import checked_moments, read_counter_columns, read_keys
from otel_ml.sketch.exponential import MAX_BUCKETS, MAX_SCALE, MIN_SCALE
from otel_ml.sketch.feature import FeatureKey
from otel_ml.sketch.feature_decoding import NAME_LENGTH, read_exemplars
from otel_ml.sketch.histogram_columns import HistogramColumns
from otel_ml.sketch.kll_image import MAX_COUNT, KllKind, parse_all
from otel_ml.sketch.moment_columns import MomentColumns
from otel_ml.sketch.numbers_decoding import bucket_range, fail, read_counts
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketch import CountArray
from otel_ml.sketch.sketched_columns import SketchedColumns, fills_matrix

# Of a histogram the counts of a side stay bytes, which are a chunk of them on the wire.
_Feature: Final = with_bytes(
    pb.DESCRIPTOR,
    "otel_ml.sketched",
    "Feature",
    {
        ("ExponentialHistogram", "counts"),
        *[
            ("Feature", field)
            for field in ("name", "counters", "exact", "categories", "booleans", "text", "datetime", "embedding")
        ],
    },
)
_Chunk: Final = views("otel_ml.chunk", {"Buckets": {"counts": (2, "bytes")}})["Buckets"]
_RANGES: Final = np.array([bucket_range(scale) for scale in range(MIN_SCALE, MAX_SCALE + 1)]).T
_MORE: Final = 0x80
"""No byte of a varint is below it but the last."""


class Sketched(NamedTuple):
    """What was read.

    Attributes:
        blocks: With the places of their features in the snapshot.
        places: Of all of them.
        keys: Likewise.
    """

    blocks: Sequence[tuple[SketchedColumns, Sequence[int]]] = ()
    places: frozenset[int] = frozenset()
    keys: frozenset[FeatureKey] = frozenset()


def read_sketched(features: Sequence[bytes], binned: Container[int]) -> Sketched:
    """The features that are nothing but sketches; none where there is anything unusual about one of them.

    Args:
        binned: Places of those that have bins.
    """
    alike: dict[bool, dict[int, Any]] = {}
    try:
        for place, encoded in enumerate(features):
            if place in binned:
                continue
            feature = _Feature.FromString(encoded)
            if feature.kind == pb.KIND_NUMERIC and not feature.exact and feature.HasField("histogram"):
                if not _is_usual(feature, encoded):
                    return Sketched()
                alike.setdefault(bool(feature.kll_floats or feature.kll_doubles), {})[place] = feature
        blocks: list[tuple[SketchedColumns, Sequence[int]]] = []
        keys: frozenset[FeatureKey] = frozenset()
        for has_quantiles, by_place in alike.items():
            read = _read(list(by_place.values()), has_quantiles=has_quantiles)
            if read is None:
                return Sketched()
            blocks.append((read[0], list(by_place)))
            keys |= read[1]
    except (DecodeError, CorruptSnapshotError, CorruptSketchError):
        return Sketched()
    places = frozenset(place for _, of_block in blocks for place in of_block)
    return Sketched(blocks, places, keys) if len(keys) == len(places) else Sketched()


def _is_usual(feature: Any, encoded: bytes) -> bool:
    """Whether a feature has each field at most once, and none that does not belong to it."""
    # Counts that are not in one chunk are unknown here.
    feature.histogram.DiscardUnknownFields()
    return not (
        # A field that is there twice, or has nothing to say, is not written again.
        feature.ByteSize() != len(encoded)
        or len(feature.name) > NAME_LENGTH
        or (feature.kll_doubles and feature.kll_floats)
        or feature.hll
        or feature.categories
        or feature.booleans
        or feature.text
        or feature.datetime
        or feature.embedding
    )


def _read(features: Sequence[Any], *, has_quantiles: bool) -> tuple[SketchedColumns, frozenset[FeatureKey]] | None:
    """Columns, and what they are as a set; None where it takes a closer look.

    Raises:
        CorruptSnapshotError: One of them contradicts itself.
        CorruptSketchError: One of their images does.
    """
    keys, distinct = read_keys(
        tuple([feature.name for feature in features]), tuple([feature.role for feature in features])
    )
    counters, valid = read_counter_columns([feature.counters for feature in features])
    moments = _moments([feature.moments for feature in features], valid)
    histograms = _histograms([feature.histogram for feature in features])
    if moments is None or histograms is None or (histograms.totals != valid).any():
        return None
    quantiles: list[Sequence[QuantileSketch]] = []
    if has_quantiles:
        contents = parse_all([_image(feature) for feature in features])
        if [of_one.count for of_one in contents] != valid.tolist():
            return None
        quantiles.append(list(map(QuantileSketch.of_contents, contents)))
    exemplars = {
        position: kept
        for position, feature in enumerate(features)
        if feature.exemplars and (kept := read_exemplars(feature.exemplars))
    }
    return SketchedColumns(keys, counters, moments, exemplars, [histograms], quantiles), distinct


def _image(feature: Any) -> tuple[bytes, KllKind]:
    floats = feature.kll_floats
    return (floats, "floats") if floats else (feature.kll_doubles, "doubles")


def _moments(messages: Sequence[Any], valid: CountArray) -> MomentColumns | None:
    if [message.count for message in messages] != valid.tolist():
        return None
    rows = [(message.mean, message.m2, message.min, message.max) for message in messages]
    return checked_moments(MomentColumns(valid, *np.ascontiguousarray(np.array(rows).T)), valid)


def _histograms(messages: Sequence[Any]) -> HistogramColumns | None:
    """The histograms; None where one contradicts itself or has empty buckets at an end, or matrices would swell."""
    scales = [message.scale for message in messages]
    zero_counts = [message.zero_count for message in messages]
    # Row by row the negative side, then the positive one.
    sides = [side for message in messages for side in (message.negative, message.positive)]
    chunks = [side.counts for side in sides]
    if min(scales) < MIN_SCALE or max(scales) > MAX_SCALE or max(zero_counts) > MAX_COUNT or max(map(len, chunks)) > 1:
        return None
    counts, lengths = _counts([chunk[0] if chunk else b"" for chunk in chunks])
    is_used = lengths > 0
    offsets = np.where(is_used, [side.offset for side in sides], 0)
    lowest, highest = _RANGES[:, np.repeat(scales, 2) - MIN_SCALE]
    is_outside = (offsets < lowest) | (offsets + lengths - 1 > highest)
    if (is_outside & is_used).any() or int(lengths.max()) > MAX_BUCKETS or not fills_matrix(lengths.tolist()):
        return None
    ends = lengths.cumsum()
    if not (counts[(ends - lengths)[is_used]].all() and counts[ends[is_used] - 1].all()):
        return None
    below = np.zeros((len(sides), int(lengths.max()) + 1), np.int64)
    below[:, 1:][np.arange(below.shape[1] - 1) < lengths[:, np.newaxis]] = counts
    return HistogramColumns(
        np.array(scales, np.int64),
        np.array(zero_counts, np.int64),
        offsets.reshape(-1, 2),
        lengths.reshape(-1, 2),
        below.cumsum(axis=1).reshape(len(messages), 2, -1),
    )


def _counts(chunks: Sequence[bytes]) -> tuple[CountArray, CountArray]:
    """The counts in all chunks, one after the other, and how many there are in each.

    Raises:
        CorruptSnapshotError: A chunk ends within a count, or one is too large.
    """
    joined = b"".join(chunks)
    if not joined:
        return np.empty(0, np.int64), np.zeros(len(chunks), np.int64)
    is_last = np.frombuffer(joined, np.uint8) < _MORE
    ends = np.array(list(accumulate(map(len, chunks))))
    if not is_last[ends - 1].all():
        fail("histogram: cut off within a count")
    # A chunk that says it all, read by those who know how.
    message = pb.ExponentialHistogram.Buckets.FromString(_Chunk(counts=[joined]).SerializeToString())
    lengths = np.diff(np.flatnonzero(is_last).searchsorted(ends), prepend=0)
    return read_counts(message.counts, "histogram"), lengths

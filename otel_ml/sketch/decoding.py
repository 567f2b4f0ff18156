"""Reading a snapshot that may have been written by anybody.

Nothing is taken on trust: sizes come before allocation, and what is said twice must agree. Every failure is a
CorruptSnapshotError that names the place.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NoReturn, TypeAlias

import numpy as np
from google.protobuf.internal.containers import RepeatedScalarFieldContainer
from google.protobuf.message import DecodeError

from otel_ml.errors import CorruptSketchError, CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import categories, exact
from otel_ml.sketch.bins import MAX_BINS, AnchoredBins
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exponential import MAX_BUCKETS, MAX_SCALE, MIN_SCALE, Buckets, ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.sketch import CountArray
from otel_ml.sketch.snapshot import FORMAT_VERSION, Snapshot
from otel_ml.sketch.summary import (
    BooleanSummary,
    CategoricalSummary,
    Content,
    FeatureSummary,
    NumericSummary,
    OpaqueSummary,
)

MAX_BYTES: Final = 1024 * 1024
MAX_FEATURES: Final = 10_000
NAME_LENGTH: Final = 256

_PRODUCER_ID_BYTES: Final = 16
_MAX_INTEGER: Final = (1 << 63) - 1
_ROLES: Final[dict[int, FeatureRole]] = {
    pb.ROLE_FEATURE: FeatureRole.FEATURE,
    pb.ROLE_PREDICTION: FeatureRole.PREDICTION,
    pb.ROLE_SCORE: FeatureRole.SCORE,
}
_BinRow: TypeAlias = tuple[AnchoredBins, int]
"""Counts of one feature, and their sum."""
# Tag bytes of features and of bin matrices, the repeated messages.
_MESSAGE_TAGS: Final = (b"\x52", b"\x5a")


def decode(payload: bytes) -> Snapshot:
    """The snapshot in a payload of at most 1 MiB. Fields unknown to this version are ignored.

    Raises:
        CorruptSnapshotError: The payload is not a snapshot, or contradicts itself.
    """
    if len(payload) > MAX_BYTES:
        _refuse(f"{len(payload)} bytes (at most {MAX_BYTES})")
    # An empty message takes 2 bytes on the wire and 150 when parsed. Hardly a genuine snapshot has this many bytes
    # that look like its tag, so that only suspects are counted properly.
    if sum(map(payload.count, _MESSAGE_TAGS)) > MAX_FEATURES and _has_more_fields(payload, 2 * MAX_FEATURES):
        _refuse(f"more fields than {MAX_FEATURES} features can have")
    try:
        message = pb.Snapshot.FromString(payload)
    except DecodeError:
        raise CorruptSnapshotError(f"snapshot: {len(payload)} bytes are no otel_ml.v1.Snapshot") from None
    _check_header(message)
    bins = _bin_rows(message)
    features: list[FeatureSummary] = []
    try:
        for feature in message.features:
            features.append(read_feature(feature, bins.get(len(features), ())))
    except (CorruptSnapshotError, CorruptSketchError) as error:
        place = len(features)
        name = message.features[place].name[:NAME_LENGTH]
        raise CorruptSnapshotError(f"features[{place}] {name!r}: {error}") from error
    _check_unique(features)
    return Snapshot(
        producer_id=message.producer_id,
        sequence=message.sequence,
        model=ModelKey(message.model_name, message.model_version),
        start_time_unix_nano=message.start_time_unix_nano,
        end_time_unix_nano=message.end_time_unix_nano,
        rows=message.rows,
        dropped_rows=message.dropped_rows,
        features=features,
    )


def read_feature(message: pb.Feature, bins: Sequence[_BinRow] = ()) -> FeatureSummary:
    """A column's summary, with those rows of bin matrices that belong to it.

    Raises:
        CorruptSnapshotError: It contradicts itself.
        CorruptSketchError: One of its images does.
    """
    name, kind = message.name, message.kind
    role = _ROLES.get(message.role)
    if len(name) > NAME_LENGTH:
        _fail(f"a name of {len(name)} characters (at most {NAME_LENGTH})")
    if role is None:
        _fail(f"unknown role {message.role}")
    counters = _counters(message.counters)
    content: Content
    if kind == pb.KIND_NUMERIC:
        content = _numeric(message, bins, counters.valid)
    elif kind == pb.KIND_BOOLEAN:
        content = _boolean(message.booleans, counters.valid)
    elif kind == pb.KIND_CATEGORICAL:
        content = _categorical(message, counters.valid)
    elif kind == pb.KIND_OPAQUE:
        content = OpaqueSummary()
    else:
        _fail(f"unknown kind {kind}")
    if (
        (kind != pb.KIND_NUMERIC and (bins or _is_numeric(message)))
        or (kind != pb.KIND_BOOLEAN and message.HasField("booleans"))
        or (kind != pb.KIND_CATEGORICAL and (message.HasField("categories") or message.hll))
    ):
        _fail(f"has sketches that do not belong to {pb.Kind.Name(kind)}")
    return FeatureSummary(FeatureKey(role, name), content, counters)


def read_exact(message: pb.ExactCounts) -> ExactCounts:
    """Counts per value.

    Raises:
        CorruptSnapshotError: They contradict themselves.
    """
    if not len(message.values) == len(message.counts) <= exact.LIMIT:
        _fail(f"exact: {len(message.values)} values with {len(message.counts)} counts (as many, at most {exact.LIMIT})")
    values, counts = np.array(message.values, np.float64), _counts(message.counts, "exact")
    if not (np.isfinite(values).all() and (values[1:] > values[:-1]).all() and counts.all()):
        _fail("exact: values are not finite and increasing, or have not been seen")
    return ExactCounts(values, counts)


def _refuse(what: str) -> NoReturn:
    raise CorruptSnapshotError(f"snapshot: {what}")


def _fail(what: str) -> NoReturn:
    raise CorruptSnapshotError(what)


def _check_header(message: pb.Snapshot) -> None:
    start, end = message.start_time_unix_nano, message.end_time_unix_nano
    if message.format_version != FORMAT_VERSION:
        _refuse(f"format_version {message.format_version} (this reader knows {FORMAT_VERSION})")
    if len(message.producer_id) != _PRODUCER_ID_BYTES:
        _refuse(f"producer_id of {len(message.producer_id)} bytes ({_PRODUCER_ID_BYTES})")
    if not 1 <= message.sequence <= _MAX_INTEGER:
        _refuse(f"sequence {message.sequence} (1 to {_MAX_INTEGER})")
    if not start < end <= _MAX_INTEGER:
        _refuse(f"interval from {start} to {end} (must end after its start, before 2^63)")
    if max(len(message.model_name), len(message.model_version)) > NAME_LENGTH:
        _refuse(f"model name or version of more than {NAME_LENGTH} characters")
    if max(message.rows, message.dropped_rows) > MAX_COUNT:
        _refuse(f"rows {message.rows}, dropped_rows {message.dropped_rows} (at most {MAX_COUNT})")
    if len(message.features) > MAX_FEATURES:
        _refuse(f"{len(message.features)} features (at most {MAX_FEATURES})")


def _check_unique(features: list[FeatureSummary]) -> None:
    seen: dict[FeatureKey, int] = {}
    for index, feature in enumerate(features):
        first = seen.setdefault(feature.key, index)
        if first != index:
            _fail(f"features[{index}] {feature.key.name!r}: is there already as features[{first}]")


def _bin_rows(message: pb.Snapshot) -> dict[int, list[_BinRow]]:
    """The rows of all bin matrices, by the position of the feature they belong to."""
    rows: dict[int, list[_BinRow]] = defaultdict(list)
    for place, matrix in enumerate(message.bin_matrices):
        _read_matrix(matrix, f"bin_matrices[{place}]", len(message.features), rows)
    return rows


def _read_matrix(matrix: pb.BinMatrix, subject: str, features: int, rows: dict[int, list[_BinRow]]) -> None:
    bins, indexes, hashes = matrix.bins, matrix.feature_indexes, matrix.edges_hashes
    if not 2 <= bins <= MAX_BINS:
        _fail(f"{subject}: {bins} bins (2 to {MAX_BINS})")
    if len(hashes) != len(indexes) or len(matrix.counts) != bins * len(indexes):
        _fail(f"{subject}: {len(indexes)} indexes, {len(hashes)} hashes, {len(matrix.counts)} counts of {bins} bins")
    counts = _counts(matrix.counts, subject).reshape(-1, bins)
    for index, edges_hash, row, held in zip(indexes, hashes, counts, counts.sum(axis=1).tolist(), strict=True):
        if index >= features:
            _fail(f"{subject}: feature index {index} of {features} features")
        present = rows[index]
        if present and any(other.edges_hash == edges_hash for other, _ in present):
            _fail(f"{subject}: feature index {index} comes twice with the same edges")
        present.append((AnchoredBins(edges_hash, row), held))


def _is_numeric(message: pb.Feature) -> bool:
    return (
        message.HasField("moments")
        or message.HasField("histogram")
        or message.HasField("exact")
        or bool(message.kll_doubles or message.kll_floats)
    )


def _counters(message: pb.Counters) -> Counters:
    counters = Counters(
        message.rows, message.missing, message.mismatched, message.positive_infinite, message.negative_infinite
    )
    if counters.rows > MAX_COUNT or counters.valid < 0:
        _fail(f"counters: {counters.rows - counters.valid} rows without a finite value, of {counters.rows} rows")
    return counters


def _numeric(message: pb.Feature, bins: Sequence[_BinRow], valid: int) -> NumericSummary:
    summary = NumericSummary(_moments(message.moments) if message.HasField("moments") else Moments())
    if summary.moments.count != valid:
        _fail(f"moments: of {summary.moments.count} values, where the counters leave {valid}")
    held = 0
    for row, count in bins:
        summary.bins[row.edges_hash] = row
        held += count
    if message.HasField("exact"):
        summary.exact = read_exact(message.exact)
        held += summary.exact.count
    if message.HasField("histogram"):
        summary.histogram = _histogram(message.histogram)
        held += summary.histogram.count
    summary.quantiles = _quantiles(message)
    if summary.quantiles is not None:
        # Quantiles and a histogram hold the same values; a server may know only one of them.
        if summary.histogram is None:
            held += summary.quantiles.count
        elif summary.histogram.count != summary.quantiles.count:
            _fail(f"quantiles of {summary.quantiles.count} values, histogram of {summary.histogram.count}")
    if held != valid:
        _fail(f"sketches of {held} values, where the counters leave {valid}")
    return summary


def _moments(message: pb.Moments) -> Moments:
    moments = Moments(message.count, message.mean, message.m2, message.min, message.max)
    low, high = moments.minimum, moments.maximum
    if not all(map(math.isfinite, (moments.mean, moments.m2, low, high))):
        _fail("moments: not finite")
    slack = 1e-9 * max(abs(low), abs(high))  # a mean is rounded
    if moments.count == 0 or moments.m2 < 0 or not low <= high or not low - slack <= moments.mean <= high + slack:
        _fail(f"moments: count {moments.count}, mean {moments.mean}, m2 {moments.m2}, range [{low}, {high}]")
    return moments


def _histogram(message: pb.ExponentialHistogram) -> ExponentialHistogram:
    if not MIN_SCALE <= message.scale <= MAX_SCALE:
        _fail(f"histogram: scale {message.scale} ({MIN_SCALE} to {MAX_SCALE})")
    if message.zero_count > MAX_COUNT:
        _fail(f"histogram: zero_count {message.zero_count} (at most {MAX_COUNT})")
    return ExponentialHistogram(
        message.scale,
        message.zero_count,
        _buckets(message.positive, message.scale),
        _buckets(message.negative, message.scale),
    )


def _buckets(message: pb.ExponentialHistogram.Buckets, scale: int) -> Buckets:
    size = len(message.counts)
    if size > MAX_BUCKETS:
        _fail(f"histogram: {size} buckets (at most {MAX_BUCKETS})")
    if size == 0:
        return Buckets()
    # The buckets of the smallest and of the greatest normal double; bounds are inclusive above.
    lowest = math.floor(math.ldexp(-1022, scale)) - 1
    highest = math.ceil(math.ldexp(1024, scale)) - 1
    if message.offset < lowest or message.offset + size - 1 > highest:
        _fail(f"histogram: buckets from {message.offset} on at scale {scale} ({lowest} to {highest})")
    return Buckets(message.offset, _counts(message.counts, "histogram"))


def _quantiles(message: pb.Feature) -> QuantileSketch | None:
    doubles, floats = message.kll_doubles, message.kll_floats
    if doubles and floats:
        _fail("has quantiles as doubles and as floats")
    if doubles:
        return QuantileSketch.from_image(doubles, "doubles")
    return QuantileSketch.from_image(floats, "floats") if floats else None


def _boolean(message: pb.Booleans, valid: int) -> BooleanSummary:
    if message.false_count + message.true_count != valid:
        _fail(f"booleans: {message.false_count} + {message.true_count}, where the counters leave {valid}")
    return BooleanSummary(message.false_count, message.true_count)


def _categorical(message: pb.Feature, valid: int) -> CategoricalSummary:
    counted = message.categories
    size = len(counted.names)
    if not size == len(counted.counts) <= categories.LIMIT:
        _fail(f"categories: {size} names with {len(counted.counts)} counts (as many, at most {categories.LIMIT})")
    names, counts = list(counted.names), list(counted.counts)
    if len(set(names)) != len(names) or not all(counts):
        _fail("categories: a name comes twice or has not been seen")
    if any(len(name) > categories.NAME_LENGTH for name in names):
        _fail(f"categories: a name of more than {categories.NAME_LENGTH} characters")
    if not counted.error_bound <= counted.other or bool(counted.error_bound) != bool(counted.other):
        _fail(f"categories: error_bound {counted.error_bound} for other {counted.other} (from 1 to it, or both 0)")
    summary = CategoryCounts(
        counts=dict(zip(names, counts, strict=True)), other=counted.other, error_bound=counted.error_bound
    )
    if summary.count != valid:
        _fail(f"categories: of {summary.count} values, where the counters leave {valid}")
    return CategoricalSummary(summary, HyperLogLog.from_image(message.hll) if message.hll else HyperLogLog())


def _counts(container: RepeatedScalarFieldContainer[int], subject: str) -> CountArray:
    # Newer versions of protobuf lend their memory, so that this is a copy of it; older ones are iterated.
    counts = np.array(container, np.uint64)
    if len(counts) and int(counts.max()) > MAX_COUNT:
        _fail(f"{subject}: a count of {int(counts.max())} (at most {MAX_COUNT})")
    return counts.view(np.int64)


def _has_more_fields(payload: bytes, limit: int) -> bool:
    """Whether the outermost message has more fields than that, or is not well formed."""
    position = fields = 0
    try:
        while position < len(payload):
            tag, position = _varint(payload, position)
            wire_type = tag & 7
            if wire_type == 0:
                _, position = _varint(payload, position)
            elif wire_type == 2:
                length, position = _varint(payload, position)
                position += length
            else:
                position += {1: 8, 5: 4}[wire_type]
            fields += 1
            if fields > limit:
                return True
    except LookupError:
        return True
    return False


def _varint(payload: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = payload[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
    raise LookupError(position)

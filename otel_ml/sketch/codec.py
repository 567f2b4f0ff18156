"""Snapshots as bytes and back; the format is otel_ml/proto/snapshot.proto."""

from __future__ import annotations

import hashlib
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.decoding import MAX_BYTES, MAX_FEATURES, NAME_LENGTH, decode
from otel_ml.sketch.exponential import Buckets, ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKind, FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.snapshot import FORMAT_VERSION, Snapshot
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, FeatureSummary, NumericSummary
from otel_ml.sketch.text import bounded

__all__ = ["MAX_BYTES", "SPLIT_BYTES", "decode", "encode", "split", "write_feature"]

SPLIT_BYTES: Final = 512 * 1024

_ROLES: Final = {
    FeatureRole.FEATURE: pb.ROLE_FEATURE,
    FeatureRole.PREDICTION: pb.ROLE_PREDICTION,
    FeatureRole.SCORE: pb.ROLE_SCORE,
}
_KINDS: Final = {
    FeatureKind.NUMERIC: pb.KIND_NUMERIC,
    FeatureKind.BOOLEAN: pb.KIND_BOOLEAN,
    FeatureKind.CATEGORICAL: pb.KIND_CATEGORICAL,
    FeatureKind.OPAQUE: pb.KIND_OPAQUE,
}


def encode(snapshot: Snapshot) -> bytes:
    """The bytes that `decode` reads.

    Names that are too long, or that UTF-8 cannot encode, are altered but stay different from each other. Moments that
    overflowed become the largest double.
    """
    message = pb.Snapshot(
        format_version=FORMAT_VERSION,
        producer_id=snapshot.producer_id,
        sequence=snapshot.sequence,
        model_name=_name(snapshot.model.name),
        model_version=_name(snapshot.model.version),
        start_time_unix_nano=snapshot.start_time_unix_nano,
        end_time_unix_nano=snapshot.end_time_unix_nano,
        rows=snapshot.rows,
        dropped_rows=snapshot.dropped_rows,
    )
    by_bins: dict[int, list[tuple[int, AnchoredBins]]] = defaultdict(list)
    for index, summary in enumerate(snapshot.features):
        write_feature(message.features.add(), summary)
        if isinstance(summary.content, NumericSummary):
            for bins in summary.content.bins.values():
                by_bins[len(bins.counts)].append((index, bins))
    for bin_count, rows in by_bins.items():
        message.bin_matrices.add(
            bins=bin_count,
            feature_indexes=[index for index, _ in rows],
            edges_hashes=[bins.edges_hash for _, bins in rows],
            counts=np.concatenate([bins.counts for _, bins in rows]).tolist(),
        )
    return message.SerializeToString()


def split(snapshot: Snapshot, next_sequence: Callable[[], int], *, limit: int = SPLIT_BYTES) -> list[Snapshot]:
    """The snapshot itself, or, where its bytes would exceed `limit`, parts that add up to it.

    The first part keeps the sequence number and the rows; each other one gets a number of its own and states no rows.
    A single column is never split, and stays far below the limit.

    Args:
        snapshot: What is to be sent; it stays as it is.
        next_sequence: Called once for each further part.
        limit: In bytes.
    """
    parts = [replace(snapshot, features=features) for features in _fitting(snapshot, snapshot.features, limit)]
    return [
        parts[0],
        *(replace(part, sequence=next_sequence(), rows=0, dropped_rows=0) for part in parts[1:]),
    ]


def write_feature(message: pb.Feature, summary: FeatureSummary) -> None:
    """Fill an empty message with a column's summary, except for its bins, which stand in a matrix of their own."""
    message.name = _name(summary.key.name)
    message.role = _ROLES[summary.key.role]
    message.kind = _KINDS[summary.kind]
    message.counters.CopyFrom(_counters(summary.counters))
    content = summary.content
    if isinstance(content, NumericSummary):
        _write_numeric(message, content)
    elif isinstance(content, BooleanSummary):
        message.booleans.false_count = content.false_count
        message.booleans.true_count = content.true_count
    elif isinstance(content, CategoricalSummary):
        categories = content.categories
        message.categories.names.extend(categories.counts.keys())
        message.categories.counts.extend(categories.counts.values())
        message.categories.other = categories.other
        message.categories.error_bound = categories.error_bound
        if not content.cardinality.is_empty:
            message.hll = content.cardinality.image()


def _fitting(snapshot: Snapshot, features: Sequence[FeatureSummary], limit: int) -> list[Sequence[FeatureSummary]]:
    if len(features) <= 1 or (
        len(features) <= MAX_FEATURES and len(encode(replace(snapshot, features=features))) <= limit
    ):
        return [features]
    middle = len(features) // 2
    return [*_fitting(snapshot, features[:middle], limit), *_fitting(snapshot, features[middle:], limit)]


def _name(text: str) -> str:
    kept = bounded(text, NAME_LENGTH)
    if kept == text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept[: NAME_LENGTH - 9]}~{digest}"


def _write_numeric(message: pb.Feature, content: NumericSummary) -> None:
    if content.moments.count:
        message.moments.CopyFrom(_moments(content.moments))
    if content.exact is not None and len(content.exact.values):
        message.exact.values.extend(content.exact.values.tolist())
        message.exact.counts.extend(content.exact.counts.tolist())
    if content.histogram is not None and content.histogram.count:
        _write_histogram(message.histogram, content.histogram)
    if content.quantiles is not None and content.quantiles.count:
        if content.quantiles.image_kind == "floats":
            message.kll_floats = content.quantiles.image()
        else:
            message.kll_doubles = content.quantiles.image()


def _write_histogram(message: pb.ExponentialHistogram, histogram: ExponentialHistogram) -> None:
    message.scale = histogram.scale
    message.zero_count = histogram.zero_count
    _write_buckets(message.positive, histogram.positive)
    _write_buckets(message.negative, histogram.negative)


def _write_buckets(message: pb.ExponentialHistogram.Buckets, buckets: Buckets) -> None:
    if len(buckets.counts):
        message.offset = buckets.offset
        message.counts.extend(buckets.counts.tolist())


def _counters(counters: Counters) -> pb.Counters:
    return pb.Counters(
        rows=counters.rows,
        missing=counters.missing,
        mismatched=counters.mismatched,
        positive_infinite=counters.positive_infinite,
        negative_infinite=counters.negative_infinite,
    )


def _moments(moments: Moments) -> pb.Moments:
    # Sums of values near 1e308 overflow; readers accept finite moments only.
    low, high = moments.minimum, moments.maximum
    mean = low / 2 + high / 2 if math.isnan(moments.mean) else min(max(moments.mean, low), high)
    m2 = sys.float_info.max if math.isnan(moments.m2) else min(moments.m2, sys.float_info.max)
    return pb.Moments(count=moments.count, mean=mean, m2=m2, min=low, max=high)

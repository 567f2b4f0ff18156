"""Snapshots as bytes and back; the format is otel_ml/proto/snapshot.proto."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.binned_columns import packed
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.calls_codec import write_calls
from otel_ml.sketch.decoding import DIGEST_LENGTH, MAX_BYTES, MAX_FEATURES, decode, decode_all
from otel_ml.sketch.feature_encoding import bounded_name, write_feature
from otel_ml.sketch.packed_columns import write_packed_columns
from otel_ml.sketch.row_sample_codec import write_row_sample
from otel_ml.sketch.snapshot import FORMAT_VERSION, PACKED_FORMAT_VERSION, Snapshot
from otel_ml.sketch.summary import FeatureSummary, numbers_of
from otel_ml.sketch.text import bounded

__all__ = ["MAX_BYTES", "SPLIT_BYTES", "decode", "decode_all", "encode", "split"]

SPLIT_BYTES: Final = 512 * 1024


def encode(snapshot: Snapshot, *, pack: bool = True) -> bytes:
    """The bytes that `decode` reads.

    Names that are too long, or that UTF-8 cannot encode, are altered but stay different from each other. Moments that
    overflowed become the largest double.

    Args:
        pack: Columns that are nothing but bins come first, as arrays. Otherwise readers of the first version of the
            format understand all.
    """
    binned, features = packed(snapshot.features) if pack else ([], snapshot.features)
    message = pb.Snapshot(
        format_version=PACKED_FORMAT_VERSION if binned else FORMAT_VERSION,
        producer_id=snapshot.producer_id,
        sequence=snapshot.sequence,
        model_name=bounded_name(snapshot.model.name),
        model_version=bounded_name(snapshot.model.version),
        start_time_unix_nano=snapshot.start_time_unix_nano,
        end_time_unix_nano=snapshot.end_time_unix_nano,
        rows=snapshot.rows,
        dropped_rows=snapshot.dropped_rows,
        packages_digest=bounded(snapshot.packages_digest, DIGEST_LENGTH),
    )
    if snapshot.segment is not None:
        message.segment.dimension = bounded_name(snapshot.segment.dimension)
        message.segment.value = bounded_name(snapshot.segment.value)
    if snapshot.row_sample is not None and len(snapshot.row_sample):
        write_row_sample(message.row_sample, snapshot.row_sample)
    if snapshot.calls is not None and snapshot.calls.count:
        write_calls(message.calls, snapshot.calls)
    by_bins: dict[int, list[tuple[int, AnchoredBins]]] = defaultdict(list)
    edges: dict[int, BinLayout] = {}
    for columns in binned:
        write_packed_columns(message.packed_columns.add(), columns)
    for index, summary in enumerate(features):
        write_feature(message.features.add(), summary)
        if (numbers := numbers_of(summary.content)) is not None:
            for bins in numbers.bins.values():
                by_bins[len(bins.counts)].append((index, bins))
                # Whoever knows a baseline knows its edges; the bounds of a plain histogram nobody else knows.
                if summary.counters.unchecked and bins.layout is not None:
                    edges[bins.edges_hash] = bins.layout
    for layout in edges.values():
        message.edges.add(values=layout.edges.tolist())
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

    The first part keeps the sequence number, the rows with their sample, and the calls; each other one gets a number of
    its own and states none of them. A single column is never split, and stays far below the limit.

    Args:
        snapshot: What is to be sent; it stays as it is.
        next_sequence: Called once for each further part.
        limit: In bytes.
    """
    first, *rest = _fitting(snapshot, snapshot.features, limit)
    stated = replace(snapshot, rows=0, dropped_rows=0, row_sample=None, calls=None)
    return [
        replace(snapshot, features=first),
        *(replace(stated, features=features, sequence=next_sequence()) for features in rest),
    ]


def _fitting(snapshot: Snapshot, features: Sequence[FeatureSummary], limit: int) -> list[Sequence[FeatureSummary]]:
    if len(features) <= 1 or (
        len(features) <= MAX_FEATURES and len(encode(replace(snapshot, features=features))) <= limit
    ):
        return [features]
    middle = len(features) // 2
    return [*_fitting(snapshot, features[:middle], limit), *_fitting(snapshot, features[middle:], limit)]

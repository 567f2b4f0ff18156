"""A baseline as a message of otel_ml/proto/baseline.proto and back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from google.protobuf.message import DecodeError

from otel_ml.baseline.baseline import Baseline
from otel_ml.baseline.importances import checked_importances
from otel_ml.baseline.joint import Joint
from otel_ml.baseline.joint_message import read_joint, write_joint
from otel_ml.errors import BaselineError, CorruptSnapshotError, OtelMLError
from otel_ml.proto import baseline_pb2 as pb
from otel_ml.sketch.bins import MAX_BINS, AnchoredBins, BinLayout
from otel_ml.sketch.categories import NAME_LENGTH
from otel_ml.sketch.confusion import MAX_CLASSES, ConfusionCounts
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.feature_decoding import read_feature
from otel_ml.sketch.feature_encoding import numbers_in, write_feature, write_projection_layout
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.numbers_decoding import read_exact
from otel_ml.sketch.row_sample import RowSample
from otel_ml.sketch.row_sample_codec import read_row_sample, write_row_sample
from otel_ml.sketch.summary import FeatureSummary, NumericSummary, numbers_of

_ID_BYTES: Final = 8


def to_bytes(baseline: Baseline) -> bytes:
    """The serialized message."""
    message = pb.Baseline(
        model_name=baseline.model.name,
        model_version=baseline.model.version,
        id=baseline.id,
        created_unix_nano=baseline.created_unix_nano,
        rows=baseline.rows,
    )
    for key, summary in baseline.features.items():
        _write(message.features.add(), summary, baseline.layouts.get(key))
    if (confusion := baseline.confusion) is not None:
        message.confusion.predictions.extend(confusion.predictions)
        message.confusion.labels.extend(confusion.labels)
        message.confusion.counts.extend(confusion.counts.ravel().tolist())
    message.importances.update(baseline.importances)
    if baseline.joint is not None:
        write_joint(message.joint, baseline.joint)
    if baseline.row_sample is not None:
        write_row_sample(message.row_sample, baseline.row_sample)
    return message.SerializeToString(deterministic=True)


def content_id(baseline: Baseline) -> str:
    """Hex digits that name what the baseline says, whoever says it and when."""
    contents = to_bytes(replace(baseline, id="", created_unix_nano=0))
    return hashlib.sha256(contents).digest()[:_ID_BYTES].hex()


def from_bytes(payload: bytes, source: str) -> Baseline:
    """The baseline in a serialized message.

    Args:
        payload: The message's bytes.
        source: Where it comes from, for messages.

    Raises:
        BaselineError: It is not such a message, or contradicts itself.
    """
    try:
        message = pb.Baseline.FromString(payload)
    except DecodeError as error:
        raise BaselineError(f"{source}: {len(payload)} bytes are no otel_ml.v1.Baseline") from error
    if not message.model_name or not message.id:
        raise BaselineError(f"{source}: has no {'id' if message.model_name else 'model name'}")
    if message.rows > MAX_COUNT:
        raise BaselineError(f"{source}: {message.rows} rows (at most {MAX_COUNT})")
    features: dict[FeatureKey, FeatureSummary] = {}
    layouts: dict[FeatureKey, BinLayout] = {}
    for place, feature in enumerate(message.features):
        try:
            summary, layout = _read(feature, message.rows)
            if summary.key in features:
                raise BaselineError("is there already")
        except (OtelMLError, ValueError) as error:
            raise BaselineError(f"{source}: features[{place}] {feature.summary.name[:100]!r}: {error}") from error
        features[summary.key] = summary
        if layout is not None:
            layouts[summary.key] = layout
    model = ModelKey(message.model_name, message.model_version)
    return Baseline(
        model,
        message.id,
        message.created_unix_nano,
        message.rows,
        features,
        layouts,
        importances=_read_importances(message, features, source),
        confusion=_read_confusion(message, features, source) if message.HasField("confusion") else None,
        joint=_read_joint(message, features, source) if message.HasField("joint") else None,
        row_sample=_read_rows(message, source) if message.HasField("row_sample") else None,
    )


def _read_rows(message: pb.Baseline, source: str) -> RowSample:
    try:
        sample = read_row_sample(message.row_sample)
    except CorruptSnapshotError as error:
        raise BaselineError(f"{source}: {error}") from error
    if len(sample) > message.rows:
        raise BaselineError(f"{source}: row_sample: of {len(sample)} rows, where the baseline has {message.rows}")
    return sample


def _read_importances(message: pb.Baseline, features: Iterable[FeatureKey], source: str) -> dict[str, float]:
    if not message.importances:
        return {}
    names = [key.name for key in features if key.role is FeatureRole.FEATURE]
    weights = checked_importances(message.importances, names, f"{source}: importances")
    # A map has no order of its own.
    return {name: weights[name] for name in names if name in weights}


def _read_joint(message: pb.Baseline, features: Mapping[FeatureKey, FeatureSummary], source: str) -> Joint:
    numeric = [
        key.name
        for key, summary in features.items()
        if key.role is FeatureRole.FEATURE and summary.kind is FeatureKind.NUMERIC
    ]
    return read_joint(message.joint, numeric, message.rows, source)


def _read_confusion(
    message: pb.Baseline, features: Mapping[FeatureKey, FeatureSummary], source: str
) -> ConfusionCounts:
    """The counts of predictions by label, which must fit the column of predictions."""
    subject = f"{source}: confusion"
    predictions, labels = tuple(message.confusion.predictions), tuple(message.confusion.labels)
    for what, names in (("predictions", predictions), ("labels", labels)):
        if not 1 <= len(names) <= MAX_CLASSES:
            raise BaselineError(f"{subject}: {len(names)} {what} (1 to {MAX_CLASSES})")
        if len(set(names)) < len(names):
            raise BaselineError(f"{subject}: a name among the {what} is there twice")
        if max(map(len, names)) > NAME_LENGTH:
            raise BaselineError(f"{subject}: a name of {max(map(len, names))} characters (at most {NAME_LENGTH})")
    if len(message.confusion.counts) != len(predictions) * len(labels):
        expected = f"{len(predictions)} predictions by {len(labels)} labels"
        raise BaselineError(f"{subject}: {len(message.confusion.counts)} counts (expected {expected})")
    predicted = [summary for key, summary in features.items() if key.role is FeatureRole.PREDICTION]
    if len(predicted) != 1:
        raise BaselineError(f"{subject}: goes with one column of predictions, not {len(predicted)}")
    # Before they become an array, in which their sum could overflow.
    if sum(message.confusion.counts) > predicted[0].counters.valid:
        counted = f"{sum(message.confusion.counts)} rows, where {predicted[0].counters.valid} have a prediction"
        raise BaselineError(f"{subject}: of {counted}")
    counts = np.array(message.confusion.counts, dtype=np.int64).reshape(len(predictions), len(labels))
    if not counts.any(axis=0).all() or not counts.any(axis=1).all():
        raise BaselineError(f"{subject}: a prediction or label has no row (at least one)")
    return ConfusionCounts(predictions, labels, counts)


def _write(message: pb.BaselineFeature, summary: FeatureSummary, layout: BinLayout | None) -> None:
    write_feature(message.summary, summary)
    if isinstance(summary.content, EmbeddingSummary):
        write_projection_layout(message.summary, summary.content)
    numbers = numbers_of(summary.content)
    if numbers is None:
        return
    # In `summary` each number is in one place, as in a snapshot; what else is known of them stands beside.
    if numbers.exact is not None:
        numbers_in(message.summary).ClearField("exact")
        message.exact.values.extend(numbers.exact.values.tolist())
        message.exact.counts.extend(numbers.exact.counts.tolist())
    if layout is not None:
        message.edges.extend(layout.edges.tolist())
        message.bin_counts.extend(numbers.bins[layout.hash].counts.tolist())


def _read(message: pb.BaselineFeature, rows: int) -> tuple[FeatureSummary, BinLayout | None]:
    summary = read_feature(message.summary)
    if summary.counters.rows != rows:
        raise BaselineError(f"counters: of {summary.counters.rows} rows, where the baseline has {rows}")
    numbers = numbers_of(summary.content)
    if numbers is None:
        if message.edges or message.bin_counts or message.HasField("exact"):
            raise BaselineError(f"has bins or exact counts, which do not belong to {summary.kind.value} columns")
        return summary, None
    return summary, _read_numbers(message, numbers)


def _read_numbers(message: pb.BaselineFeature, numbers: NumericSummary) -> BinLayout | None:
    """Add to a column's numbers what stands beside them; returns their bins, if there is any number."""
    count = numbers.count
    if message.HasField("exact"):
        numbers.exact = read_exact(message.exact)
        if numbers.exact.count != count:
            raise BaselineError(f"exact: of {numbers.exact.count} values, where the counters leave {count}")
    if not count and not message.edges:
        return None
    if not 1 <= len(message.edges) < MAX_BINS or len(message.bin_counts) != len(message.edges) + 1:
        raise BaselineError(
            f"{len(message.bin_counts)} bins for {len(message.edges)} edges (one more, 2 to {MAX_BINS})"
        )
    if sum(message.bin_counts) != count:
        raise BaselineError(f"bins: of {sum(message.bin_counts)} values, where the counters leave {count}")
    layout = BinLayout(np.array(message.edges, dtype=np.float64))
    numbers.bins[layout.hash] = AnchoredBins(layout.hash, np.array(message.bin_counts, dtype=np.int64), layout)
    return layout

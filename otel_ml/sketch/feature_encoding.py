"""Writing one column's summary."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Collection
from typing import Final

from google.protobuf.internal.containers import RepeatedCompositeFieldContainer

from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.exemplar import Exemplar, merged_exemplars
from otel_ml.sketch.exponential import Buckets, ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKind, FeatureRole
from otel_ml.sketch.feature_decoding import NAME_LENGTH, REASONS
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.summary import (
    BooleanSummary,
    CategoricalSummary,
    DatetimeSummary,
    FeatureSummary,
    NumericSummary,
    TextSummary,
)
from otel_ml.sketch.text import bounded
from otel_ml.sketch.text_codec import write_text_sums
from otel_ml.sketch.vector_sums import upper_triangle

ROLE_NUMBERS: Final = {
    FeatureRole.FEATURE: pb.ROLE_FEATURE,
    FeatureRole.PREDICTION: pb.ROLE_PREDICTION,
    FeatureRole.SCORE: pb.ROLE_SCORE,
    FeatureRole.JOINT: pb.ROLE_JOINT,
}
_KINDS: Final = {
    FeatureKind.NUMERIC: pb.KIND_NUMERIC,
    FeatureKind.BOOLEAN: pb.KIND_BOOLEAN,
    FeatureKind.CATEGORICAL: pb.KIND_CATEGORICAL,
    FeatureKind.TEXT: pb.KIND_TEXT,
    FeatureKind.DATETIME: pb.KIND_DATETIME,
    FeatureKind.EMBEDDING: pb.KIND_EMBEDDING,
    FeatureKind.OPAQUE: pb.KIND_OPAQUE,
}
_REASONS: Final = {reason: number for number, reason in REASONS.items()}


def write_feature(message: pb.Feature, summary: FeatureSummary) -> None:
    """Fill an empty message with a column's summary, except for its bins, which stand in a matrix of their own."""
    message.name = bounded_name(summary.key.name)
    message.role = ROLE_NUMBERS[summary.key.role]
    message.kind = _KINDS[summary.kind]
    message.counters.CopyFrom(_counters(summary.counters))
    content = summary.content
    if isinstance(content, NumericSummary):
        _write_numbers(message, content)
    elif isinstance(content, BooleanSummary):
        message.booleans.false_count = content.false_count
        message.booleans.true_count = content.true_count
    elif isinstance(content, CategoricalSummary):
        categories = content.categories
        message.categories.names.extend(categories.counts.keys())
        message.categories.counts.extend(categories.counts.values())
        message.categories.other = categories.other
        message.categories.error_bound = categories.error_bound
        _write_cardinality(message, content.cardinality)
    elif isinstance(content, TextSummary):
        _write_numbers(message.text.lengths, content.lengths)
        _write_numbers(message.text.words, content.words)
        message.text.empty = content.empty
        write_text_sums(message.text, content.characters, content.vocabulary)
        _write_cardinality(message, content.cardinality)
    elif isinstance(content, DatetimeSummary):
        _write_datetime(message.datetime, content)
    elif isinstance(content, EmbeddingSummary):
        write_vectors(message.embedding, content)
    if summary.exemplars:
        write_exemplars(message.exemplars, summary.exemplars)


def numbers_in(message: pb.Feature) -> pb.Feature | pb.Numbers:
    """Where a message has the fields that `summary.numbers_of` tells of."""
    return {pb.KIND_TEXT: message.text.lengths, pb.KIND_EMBEDDING: message.embedding.norms}.get(message.kind, message)


def bounded_name(text: str) -> str:
    """A name that fits and that UTF-8 can encode; altered ones stay different from each other."""
    kept = bounded(text, NAME_LENGTH)
    if kept == text:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{kept[: NAME_LENGTH - 9]}~{digest}"


def _write_numbers(message: pb.Feature | pb.Numbers, content: NumericSummary) -> None:
    if content.moments.count:
        message.moments.CopyFrom(_moments(content.moments))
    if content.exact is not None and len(content.exact.values):
        message.exact.values.extend(content.exact.values.tolist())
        message.exact.counts.extend(content.exact.counts.tolist())
    if content.histogram is not None and content.histogram.count:
        write_histogram(message.histogram, content.histogram)
    if content.quantiles is not None and content.quantiles.count:
        if content.quantiles.image_kind == "floats":
            message.kll_floats = content.quantiles.image()
        else:
            message.kll_doubles = content.quantiles.image()


def _write_cardinality(message: pb.Feature, cardinality: HyperLogLog) -> None:
    if not cardinality.is_empty:
        message.hll = cardinality.image()


def _write_datetime(message: pb.Datetime, content: DatetimeSummary) -> None:
    if content.count:
        message.epochs.CopyFrom(_moments(content.epochs))
        message.hours.extend(content.hours.tolist())
        message.weekdays.extend(content.weekdays.tolist())
    _write_numbers(message.ages, content.ages)


def write_vectors(message: pb.Embedding, content: EmbeddingSummary) -> None:
    """Fill an empty message with what is known of vectors."""
    _write_numbers(message.norms, content.norms)
    if not content.count:
        return
    message.dimensions = content.dimensions
    mean, scatter = content.bounded_moments()
    message.mean.extend(mean.tolist())
    message.scatter.extend(scatter[upper_triangle(len(mean))].tolist())
    radial = content.bounded_radial_moments()
    # Of vectors that are all the same they are 0, and go without saying.
    if radial is not None and radial[1]:
        message.radial_third.extend(radial[0].tolist())
        message.radial_fourth = radial[1]
    if content.projected is not None:
        message.projections.layout_hash = content.projected.layout_hash
        message.projections.waves.extend((content.projected.waves / content.count).tolist())
        message.projections.counts.extend(content.projected.counts.ravel().tolist())


def write_projection_layout(message: pb.Feature, content: EmbeddingSummary) -> None:
    """Add to a baseline's message how vectors are projected; a window's names it by its hash only."""
    layout = content.projected.layout if content.projected is not None else None
    if layout is not None:
        message.embedding.projections.scale = layout.scale
        message.embedding.projections.centres.extend(layout.centres.tolist())
        message.embedding.projections.deviations.extend(layout.deviations.tolist())


def write_histogram(message: pb.ExponentialHistogram, histogram: ExponentialHistogram) -> None:
    """Fill an empty message with a histogram."""
    message.scale = histogram.scale
    message.zero_count = histogram.zero_count
    _write_buckets(message.positive, histogram.positive)
    _write_buckets(message.negative, histogram.negative)


def write_exemplars(messages: RepeatedCompositeFieldContainer[pb.Exemplar], exemplars: Collection[Exemplar]) -> None:
    """Append the few that are kept of a column's or of the calls' exemplars."""
    for exemplar in merged_exemplars(exemplars):
        traced = exemplar.trace_id != 0 and exemplar.span_id != 0
        messages.add(
            reason=_REASONS[exemplar.reason],
            trace_id=exemplar.trace_id.to_bytes(16, "big") if traced else b"",
            span_id=exemplar.span_id.to_bytes(8, "big") if traced else b"",
            time_unix_nano=exemplar.time_unix_nano,
            prediction_id=bounded(exemplar.prediction_id, NAME_LENGTH),
            value=exemplar.value if exemplar.value is not None and math.isfinite(exemplar.value) else None,
        )


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
        unchecked=counters.unchecked,
    )


def _moments(moments: Moments) -> pb.Moments:
    # Sums of values near 1e308 overflow; readers accept finite moments only.
    low, high = moments.minimum, moments.maximum
    mean = low / 2 + high / 2 if math.isnan(moments.mean) else min(max(moments.mean, low), high)
    m2 = sys.float_info.max if math.isnan(moments.m2) else min(moments.m2, sys.float_info.max)
    return pb.Moments(count=moments.count, mean=mean, m2=m2, min=low, max=high)

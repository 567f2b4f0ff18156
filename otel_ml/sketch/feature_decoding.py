"""Reading one column's summary, written by anybody."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from google.protobuf.internal.containers import RepeatedScalarFieldContainer

from otel_ml.errors import CorruptSketchError, CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import categories
from otel_ml.sketch.cardinality import HyperLogLog
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.datetime_summary import HOURS, WEEKDAYS, DatetimeSummary
from otel_ml.sketch.embedding_decoding import read_vectors
from otel_ml.sketch.exemplar import OF_CALLS, Exemplar, ExemplarReason, merged_exemplars
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.numbers_decoding import BinRow, fail, read_counts, read_moments, read_numbers
from otel_ml.sketch.numeric_summary import NumericSummary
from otel_ml.sketch.sketch import CountArray
from otel_ml.sketch.summary import BooleanSummary, CategoricalSummary, Content, FeatureSummary, OpaqueSummary
from otel_ml.sketch.text_codec import read_characters, read_vocabulary
from otel_ml.sketch.text_summary import TextSummary

NAME_LENGTH: Final = 256
MAX_EXEMPLARS: Final = 16
"""Of one feature."""
MAX_INTEGER: Final = (1 << 63) - 1

ROLES: Final[dict[int, FeatureRole]] = {
    pb.ROLE_FEATURE: FeatureRole.FEATURE,
    pb.ROLE_PREDICTION: FeatureRole.PREDICTION,
    pb.ROLE_SCORE: FeatureRole.SCORE,
    pb.ROLE_JOINT: FeatureRole.JOINT,
}
REASONS: Final[dict[int, ExemplarReason]] = {
    pb.REASON_LARGEST: ExemplarReason.LARGEST,
    pb.REASON_SMALLEST: ExemplarReason.SMALLEST,
    pb.REASON_MISSING: ExemplarReason.MISSING,
    pb.REASON_UNSEEN: ExemplarReason.UNSEEN,
    pb.REASON_OUT_OF_RANGE: ExemplarReason.OUT_OF_RANGE,
    pb.REASON_MISMATCHED: ExemplarReason.MISMATCHED,
    pb.REASON_SLOWEST: ExemplarReason.SLOWEST,
    pb.REASON_FAILED: ExemplarReason.FAILED,
}
_OF_COLUMNS: Final = {number: reason for number, reason in REASONS.items() if reason not in OF_CALLS}
_OF_KIND: Final = {
    pb.KIND_NUMERIC: ("moments", "histogram", "exact"),
    pb.KIND_BOOLEAN: ("booleans",),
    pb.KIND_CATEGORICAL: ("categories",),
    pb.KIND_TEXT: ("text",),
    pb.KIND_DATETIME: ("datetime",),
    pb.KIND_EMBEDDING: ("embedding",),
    pb.KIND_OPAQUE: (),
}
_OF_OTHER_KINDS: Final[dict[int, tuple[str, ...]]] = {
    kind: tuple(name for other, names in _OF_KIND.items() if other != kind for name in names) for kind in _OF_KIND
}
_HAS_CARDINALITY: Final = frozenset((pb.KIND_CATEGORICAL, pb.KIND_TEXT))
_HAS_NUMBERS: Final = frozenset((pb.KIND_NUMERIC, pb.KIND_TEXT, pb.KIND_EMBEDDING))
_TRACE_ID_BYTES: Final = 16
_SPAN_ID_BYTES: Final = 8


def read_feature(message: pb.Feature, bins: Sequence[BinRow] = ()) -> FeatureSummary:
    """A column's summary, with those rows of bin matrices that belong to it.

    Raises:
        CorruptSnapshotError: It contradicts itself.
        CorruptSketchError: One of its images does.
    """
    name, kind = message.name, message.kind
    role = ROLES.get(message.role)
    if len(name) > NAME_LENGTH:
        fail(f"a name of {len(name)} characters (at most {NAME_LENGTH})")
    if role is None:
        fail(f"unknown role {message.role}")
    if role is FeatureRole.JOINT and (kind != pb.KIND_EMBEDDING or message.embedding.HasField("norms") or bins):
        fail(f"several features together of {pb.Kind.Name(kind) if kind in _OF_KIND else kind}, or with norms")
    counters = read_counters(message.counters)
    content: Content
    if kind == pb.KIND_NUMERIC:
        content = read_numbers(message, counters.valid, bins)
    elif kind == pb.KIND_BOOLEAN:
        content = _boolean(message.booleans, counters.valid)
    elif kind == pb.KIND_CATEGORICAL:
        content = _categorical(message, counters.valid)
    elif kind == pb.KIND_TEXT:
        content = _text(message, counters.valid, bins)
    elif kind == pb.KIND_DATETIME:
        content = _datetime(message.datetime, counters.valid)
    elif kind == pb.KIND_EMBEDDING:
        norms = NumericSummary()
        if role is not FeatureRole.JOINT:
            norms = _not_negative("norms", message.embedding.norms, counters.valid, bins)
        content = read_vectors(message.embedding, counters.valid, norms)
    elif kind == pb.KIND_OPAQUE:
        content = OpaqueSummary()
    else:
        fail(f"unknown kind {kind}")
    if (
        any(map(message.HasField, _OF_OTHER_KINDS[kind]))  # type: ignore[arg-type]  # these are names of fields
        or (bins and kind not in _HAS_NUMBERS)
        or (message.hll and kind not in _HAS_CARDINALITY)
        or (kind != pb.KIND_NUMERIC and (message.kll_doubles or message.kll_floats))
    ):
        fail(f"has sketches that do not belong to {pb.Kind.Name(kind)}")
    return FeatureSummary(FeatureKey(role, name), content, counters, read_exemplars(message.exemplars))


def read_counters(message: pb.Counters) -> Counters:
    """Counters that leave at least no value.

    Raises:
        CorruptSnapshotError: They contradict themselves.
    """
    counters = Counters(
        message.rows,
        message.missing,
        message.mismatched,
        message.positive_infinite,
        message.negative_infinite,
        message.unchecked,
    )
    if counters.rows > MAX_COUNT or counters.valid < 0:
        fail(f"counters: {counters.rows - counters.valid} rows without a finite value, of {counters.rows} rows")
    if counters.unchecked > counters.valid:
        fail(f"counters: {counters.unchecked} rows that came as a histogram, of {counters.valid} finite values")
    return counters


def _boolean(message: pb.Booleans, valid: int) -> BooleanSummary:
    if message.false_count + message.true_count != valid:
        fail(f"booleans: {message.false_count} + {message.true_count}, where the counters leave {valid}")
    return BooleanSummary(message.false_count, message.true_count)


def _categorical(message: pb.Feature, valid: int) -> CategoricalSummary:
    counted = message.categories
    size = len(counted.names)
    if not size == len(counted.counts) <= categories.LIMIT:
        fail(f"categories: {size} names with {len(counted.counts)} counts (as many, at most {categories.LIMIT})")
    names, counts = list(counted.names), list(counted.counts)
    if len(set(names)) != len(names) or not all(counts):
        fail("categories: a name comes twice or has not been seen")
    if any(len(name) > categories.NAME_LENGTH for name in names):
        fail(f"categories: a name of more than {categories.NAME_LENGTH} characters")
    if not counted.error_bound <= counted.other or bool(counted.error_bound) != bool(counted.other):
        fail(f"categories: error_bound {counted.error_bound} for other {counted.other} (from 1 to it, or both 0)")
    summary = CategoryCounts(
        counts=dict(zip(names, counts, strict=True)), other=counted.other, error_bound=counted.error_bound
    )
    if summary.count != valid:
        fail(f"categories: of {summary.count} values, where the counters leave {valid}")
    return CategoricalSummary(summary, _cardinality(message))


def _text(message: pb.Feature, valid: int, bins: Sequence[BinRow]) -> TextSummary:
    text = message.text
    if text.empty > valid:
        fail(f"text: {text.empty} empty ones, where the counters leave {valid}")
    lengths = _not_negative("lengths", text.lengths, valid, bins)
    summary = TextSummary(lengths, _not_negative("words", text.words, valid), text.empty, _cardinality(message))
    if text.HasField("characters"):
        summary.characters = read_characters(text.characters, valid)
    if text.HasField("vocabulary"):
        summary.vocabulary = read_vocabulary(text.vocabulary)
    return summary


def _datetime(message: pb.Datetime, valid: int) -> DatetimeSummary:
    summary = DatetimeSummary()
    if message.HasField("epochs"):
        summary.epochs = read_moments(message.epochs)
    if summary.epochs.count != valid:
        fail(f"epochs: of {summary.epochs.count} values, where the counters leave {valid}")
    summary.hours = _parts_of(valid, message.hours, HOURS, "hours")
    summary.weekdays = _parts_of(valid, message.weekdays, WEEKDAYS, "weekdays")
    if message.ages.moments.count > valid:
        fail(f"ages: of {message.ages.moments.count} values, where the counters leave {valid}")
    summary.ages = _described("ages", message.ages, message.ages.moments.count)
    return summary


def _described(subject: str, message: pb.Numbers, valid: int, bins: Sequence[BinRow] = ()) -> NumericSummary:
    try:
        return read_numbers(message, valid, bins)
    except (CorruptSnapshotError, CorruptSketchError) as error:
        raise CorruptSnapshotError(f"{subject}: {error}") from error


def _not_negative(subject: str, message: pb.Numbers, valid: int, bins: Sequence[BinRow] = ()) -> NumericSummary:
    numbers = _described(subject, message, valid, bins)
    if numbers.moments.minimum < 0.0:
        fail(f"{subject}: from {numbers.moments.minimum} on (at least 0)")
    return numbers


def _parts_of(valid: int, counts: RepeatedScalarFieldContainer[int], size: int, subject: str) -> CountArray:
    """`size` counts that add up to all values; none may be there where there are no values."""
    if not valid and not counts:
        return np.zeros(size, np.int64)
    if len(counts) != size:
        fail(f"{subject}: {len(counts)} counts ({size})")
    parts = read_counts(counts, subject)
    if int(parts.sum()) != valid:
        fail(f"{subject}: of {int(parts.sum())} values, where the counters leave {valid}")
    return parts


def _cardinality(message: pb.Feature) -> HyperLogLog:
    return HyperLogLog.from_image(message.hll) if message.hll else HyperLogLog()


def read_exemplars(
    messages: Sequence[pb.Exemplar], reasons: Mapping[int, ExemplarReason] = _OF_COLUMNS
) -> list[Exemplar]:
    """Those of reasons known here, and no more of each than are kept anyway.

    Args:
        reasons: By their number in a message; by default, those of columns.

    Raises:
        CorruptSnapshotError: There are too many, or one contradicts itself.
    """
    if not messages:
        return []
    if len(messages) > MAX_EXEMPLARS:
        fail(f"{len(messages)} exemplars (at most {MAX_EXEMPLARS})")
    return merged_exemplars(
        [_exemplar(message, reasons[message.reason]) for message in messages if message.reason in reasons]
    )


def _exemplar(message: pb.Exemplar, reason: ExemplarReason) -> Exemplar:
    trace_id, span_id = message.trace_id, message.span_id
    if bool(trace_id) != bool(span_id):
        fail("exemplars: a trace id without a span id, or the reverse")
    if trace_id and (len(trace_id) != _TRACE_ID_BYTES or not any(trace_id)):
        fail(f"exemplars: trace id {trace_id[:20].hex()} ({_TRACE_ID_BYTES} bytes, not all zero)")
    if span_id and (len(span_id) != _SPAN_ID_BYTES or not any(span_id)):
        fail(f"exemplars: span id {span_id[:20].hex()} ({_SPAN_ID_BYTES} bytes, not all zero)")
    if message.time_unix_nano > MAX_INTEGER:
        fail(f"exemplars: time {message.time_unix_nano} (before 2^63)")
    if len(message.prediction_id) > NAME_LENGTH:
        fail(f"exemplars: a prediction id of {len(message.prediction_id)} characters (at most {NAME_LENGTH})")
    value = message.value if message.HasField("value") else None
    if value is not None and not math.isfinite(value):
        fail(f"exemplars: value {value} (must be finite)")
    return Exemplar(
        reason,
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        message.time_unix_nano,
        message.prediction_id,
        value,
    )

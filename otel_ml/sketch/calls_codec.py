"""What is known of calls as a message and back; what is read may have been written by anybody."""

from __future__ import annotations

from typing import Final

import numpy as np
from google.protobuf.message import DecodeError

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.semconv import OTHER_LABEL
from otel_ml.sketch.calls import ERROR_LIMIT, SCALE, TYPE_LENGTH, CallSummary, durations_of
from otel_ml.sketch.exemplar import OF_CALLS, Exemplar
from otel_ml.sketch.exponential import MAX_BUCKETS, Buckets, ExponentialHistogram
from otel_ml.sketch.feature_decoding import REASONS, read_exemplars
from otel_ml.sketch.feature_encoding import write_exemplars, write_histogram
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.numbers_decoding import bucket_range, fail, read_histogram

_REASONS: Final = {number: reason for number, reason in REASONS.items() if reason in OF_CALLS}
# Far more than 17 names, 160 counts and 4 exemplars take: what is small cannot become large when it is read.
_MAX_BYTES: Final = 16 * 1024
_LOWEST, _HIGHEST = bucket_range(SCALE)
_NONE: Final = Buckets()


def write_calls(message: pb.Calls, calls: CallSummary) -> None:
    """Fill an empty message."""
    message.count = calls.count
    for name, count in sorted(calls.errors.items()):
        message.errors.add(type=name, count=count)
    if calls.durations.count:
        write_histogram(message.durations_s, calls.durations)
    if calls.exemplars:
        write_exemplars(message.exemplars, calls.exemplars)


def read_calls(encoded: bytes) -> CallSummary:
    """The calls in an encoded message.

    Raises:
        CorruptSnapshotError: It contradicts itself, or says more than there is to say.
    """
    if len(encoded) > _MAX_BYTES:
        fail(f"calls: {len(encoded)} bytes (at most {_MAX_BYTES})")
    try:
        message = pb.Calls.FromString(encoded)
    except DecodeError:
        fail(f"calls: {len(encoded)} bytes are no otel_ml.v1.Calls")
    if message.count > MAX_COUNT:
        fail(f"calls: count {message.count} (at most {MAX_COUNT})")
    errors = _errors(message) if message.errors else {}
    return CallSummary(message.count, errors, _durations(message), _exemplars(message) if message.exemplars else [])


def _durations(message: pb.Calls) -> ExponentialHistogram:
    histogram = message.durations_s
    first, counts = histogram.positive.offset, histogram.positive.counts[:]
    if (
        # As our own library writes them; there is one of them in every snapshot.
        histogram.scale == SCALE
        and 0 < len(counts) <= MAX_BUCKETS
        and counts[0]
        and counts[-1]
        and sum(counts) + histogram.zero_count <= message.count
        and _LOWEST <= first <= _HIGHEST - len(counts)
        and not histogram.HasField("negative")
    ):
        return ExponentialHistogram(SCALE, histogram.zero_count, Buckets(first, np.fromiter(counts, np.int64)), _NONE)
    try:
        found = read_histogram(histogram)
    except CorruptSnapshotError as error:
        raise CorruptSnapshotError(f"calls: {error}") from error
    if len(found.negative.counts):
        fail("calls: durations_s below zero")
    if found.count > message.count:
        fail(f"calls: {found.count} durations of {message.count} calls")
    return durations_of(found)


def _exemplars(message: pb.Calls) -> list[Exemplar]:
    try:
        return read_exemplars(message.exemplars, _REASONS)
    except CorruptSnapshotError as error:
        raise CorruptSnapshotError(f"calls: {error}") from error


def _errors(message: pb.Calls) -> dict[str, int]:
    errors = {error.type: error.count for error in message.errors}
    if len(errors) < len(message.errors):
        fail("calls: a type of error that is there twice")
    if len(errors) - (OTHER_LABEL in errors) > ERROR_LIMIT:
        fail(f"calls: {len(errors)} types of errors (at most {ERROR_LIMIT}, and {OTHER_LABEL!r})")
    for name in errors:
        if not 0 < len(name) <= TYPE_LENGTH:
            fail(f"calls: a type of error of {len(name)} characters (1 to {TYPE_LENGTH})")
    if sum(errors.values()) > message.count:
        fail(f"calls: {sum(errors.values())} errors of {message.count} calls")
    return errors

import math
import random

import numpy as np
import pytest
from hypothesis import given
from sketch.mutation import mutated
from sketch.test_calls import call, summaries, summary_of, view

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import codec
from otel_ml.sketch.calls import ERROR_LIMIT, SCALE
from otel_ml.sketch.exemplar import ExemplarReason
from otel_ml.sketch.exponential import MAX_BUCKETS
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.kll_image import MAX_COUNT
from otel_ml.sketch.snapshot import Segment, Snapshot
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary

PRODUCER = bytes(range(16))
MINUTE = 60_000_000_000
CALLS = summary_of([0.0, 0.01, 0.01, 0.02, 0.5], {"ValueError": 2, "httpx.ReadTimeout": 1})
# 5 calls; errors ValueError 2 and httpx.ReadTimeout 1; scale 3, zero_count 1, from bucket -54 on.
GOLDEN = (
    "0805"
    "120e0a0a56616c75654572726f721002"
    "12150a1168747470782e5265616454696d656f75741001"
    "1a38080610011a32086b122e"
    "02" + "00" * 7 + "01" + "00" * 36 + "01"
)


def snapshot_of(calls, features=(), rows=0, **more):
    return Snapshot(PRODUCER, 1, ModelKey("m"), 0, MINUTE, rows, 0, list(features), calls=calls, **more)


def decoded(message):
    """What becomes of a snapshot with these calls, a message or its bytes."""
    encoded = message if isinstance(message, bytes) else message.SerializeToString()
    snapshot = pb.Snapshot.FromString(codec.encode(snapshot_of(None))).SerializeToString()
    length = bytes([len(encoded) & 127 | 128, len(encoded) >> 7 & 127 | 128, len(encoded) >> 14])
    return codec.decode(snapshot + b"\x8a\x01" + length + encoded).calls


def written(calls=CALLS):
    return pb.Snapshot.FromString(codec.encode(snapshot_of(calls))).calls


@given(summaries)
def test_what_is_written_is_read_again(calls):
    """Every count, every name, every bucket; of no calls, nothing."""
    found = codec.decode(codec.encode(snapshot_of(calls))).calls

    assert found is None if not calls.count else view(found) == view(calls)


def test_the_bytes_are_those_that_were_published():
    """Any language can write them; a change here breaks readers."""
    assert written().SerializeToString().hex() == GOLDEN
    assert view(decoded(bytes.fromhex(GOLDEN))) == view(CALLS)


def test_calls_worth_a_look_are_published_as_exemplars():
    """At most four are written, of reasons that calls have."""
    calls = summary_of([0.5], exemplars=[call(ExemplarReason.SLOWEST, time, time / 8, 5) for time in range(1, 5)])

    message = written(calls)

    assert [(found.reason, found.value) for found in message.exemplars] == [(7, 0.5), (7, 0.375)]
    assert message.exemplars[0].SerializeToString().hex() == (
        "08071210" + "00" * 15 + "05" + "1a08" + "00" * 7 + "03" + "21" + "04" + "00" * 7 + "31" + "00" * 6 + "e03f"
    )


def test_a_reason_that_calls_do_not_have_is_overlooked():
    """One of columns, or of a version to come."""
    message = written(summary_of([0.5], exemplars=[call(ExemplarReason.SLOWEST, 1, 0.5)]))
    message.exemplars[0].reason = pb.REASON_MISSING
    message.exemplars.add(reason=99)

    assert decoded(message).exemplars == []


def test_calls_take_few_bytes():
    """In the spread that latencies have, and at worst."""
    usual = summary_of(np.random.default_rng(1).lognormal(-4, 0.5, 10_000), {"ValueError": 12})
    widest = summary_of(10.0 ** np.random.default_rng(1).uniform(-12, 6, 100_000))

    assert len(written(usual).SerializeToString()) < 150
    assert len(written(widest).SerializeToString()) < 600


def test_a_snapshot_with_calls_is_of_no_newer_format():
    """A reader that does not know them overlooks calls, and nothing else."""
    message = pb.Snapshot.FromString(codec.encode(snapshot_of(CALLS)))

    assert message.format_version == 1


def test_only_the_first_part_of_a_snapshot_has_the_calls():
    """Parts of one interval are added up, and calls would count twice."""
    columns = [
        FeatureSummary(FeatureKey(FeatureRole.FEATURE, f"f{place}"), BooleanSummary(1, 1), Counters(2))
        for place in range(40)
    ]
    parts = codec.split(snapshot_of(CALLS, columns, rows=9), iter(range(2, 99)).__next__, limit=400)

    assert len(parts) > 2
    assert [part.calls for part in parts] == [CALLS] + [None] * (len(parts) - 1)
    assert [part.rows for part in parts] == [9] + [0] * (len(parts) - 1)


def test_calls_of_a_segment_are_read():
    """Nobody should send them, and whoever merges skips them: no reason to refuse the rest."""
    found = codec.decode(codec.encode(snapshot_of(CALLS, segment=Segment("country", "NO"))))

    assert found.calls is not None


def test_any_scale_will_do():
    """Whoever has an OTLP histogram of durations sends it as it is."""
    message = pb.Calls(count=6)
    message.durations_s.scale = 20
    message.durations_s.positive.offset = -(5 << 20)
    message.durations_s.positive.counts.extend([0, 1, 2, 3, 0])

    found = decoded(message)

    assert (found.count, found.durations.scale, found.durations.count) == (6, SCALE, 6)
    assert found.quantile(0.5) == pytest.approx(2.0**-5, rel=0.05)


def test_empty_buckets_at_the_ends_leave_no_trace():
    """What is sent of them is lumped together by the buckets that hold something."""
    counts = list(written().durations_s.positive.counts)

    assert view(decoded(changed(positive=(-57, [0, 0, 0, *counts, 0, 0])))) == view(CALLS)


def test_durations_may_be_known_of_some_calls_only():
    """Or of none."""
    assert decoded(pb.Calls(count=7)).quantile(0.5) is None
    assert decoded(pb.Calls(count=7)).count == 7


def changed(**fields):
    """The message with some fields replaced; those of the histogram by their own names, and positive buckets."""
    message = written()
    for name, value in fields.items():
        if name == "errors":
            del message.errors[:]
            for kind, count in value:
                message.errors.add(type=kind, count=count)
        elif name in ("positive", "negative"):
            offset, counts = value
            buckets = getattr(message.durations_s, name)
            buckets.offset = offset
            buckets.ClearField("counts")
            buckets.counts.extend(counts)
        elif name == "count":
            message.count = value
        else:
            setattr(message.durations_s, name, value)
    return message


def with_exemplars(*exemplars):
    """The message with these, of slow calls, each given by its fields."""
    message = written()
    for fields in exemplars:
        message.exemplars.add(reason=pb.REASON_SLOWEST, **fields)
    return message


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (changed(count=MAX_COUNT + 1), "calls: count 9007199254740993"),
        (changed(count=2**64 - 1), "calls: count 18446744073709551615"),
        (changed(count=4, errors=[]), "calls: 5 durations of 4 calls"),
        (changed(count=2), "calls: 3 errors of 2 calls"),
        (changed(errors=[("A", 1), ("A", 1)]), "calls: a type of error that is there twice"),
        (changed(errors=[("", 1)]), "calls: a type of error of 0 characters"),
        (changed(errors=[("A" * 129, 1)]), "of 129 characters"),
        (changed(errors=[("A", 2**64 - 1)]), "errors of 5 calls"),
        (changed(errors=[("A", 2**63), ("B", 2**63)]), "18446744073709551616 errors of 5 calls"),
        (changed(errors=[(f"E{number}", 0) for number in range(ERROR_LIMIT + 1)]), "17 types of errors"),
        (changed(scale=21), r"calls: histogram: scale 21 \(-10 to 20\)"),
        (changed(scale=-11), "calls: histogram: scale -11"),
        (changed(zero_count=2**64 - 1), "calls: histogram: zero_count"),
        (changed(zero_count=6), "calls: 10 durations of 5 calls"),
        (changed(positive=(0, [2**64 - 1])), "calls: histogram: a count of 18446744073709551615"),
        (changed(positive=(0, [2**53] * MAX_BUCKETS)), "durations of 5 calls"),
        (changed(positive=(0, [0] * (MAX_BUCKETS + 1))), "calls: histogram: 161 buckets"),
        (changed(positive=(8192, [1])), "calls: histogram: buckets from 8192 on at scale 3"),
        (changed(positive=(-(2**31), [1])), "calls: histogram: buckets from -2147483648 on"),
        (changed(positive=(2**31 - 1, [1])), "calls: histogram: buckets from 2147483647 on"),
        (changed(negative=(0, [1])), "calls: durations_s below zero"),
        (changed(negative=(0, [0])), "calls: durations_s below zero"),
        (with_exemplars(*[{}] * 17), r"calls: 17 exemplars \(at most 16\)"),
        (with_exemplars({"trace_id": b"\1" * 16}), "calls: exemplars: a trace id without a span id"),
        (with_exemplars({"trace_id": bytes(16), "span_id": b"\1" * 8}), "calls: exemplars: trace id 0000"),
        (with_exemplars({"trace_id": b"\1" * 17, "span_id": b"\1" * 8}), "calls: exemplars: trace id 0101"),
        (with_exemplars({"value": math.nan}), "calls: exemplars: value nan"),
        (with_exemplars({"prediction_id": "x" * 257}), "calls: exemplars: a prediction id of 257 characters"),
        (with_exemplars({"time_unix_nano": 2**63}), "calls: exemplars: time 9223372036854775808"),
        (b"\x08\x05" * 10_000, r"calls: 20000 bytes \(at most 16384\)"),
        (b"\x12\x03\x0a\x01\xff", "calls: 5 bytes are no otel_ml.v1.Calls"),
        (b"\x08", "calls: 1 bytes are no otel_ml.v1.Calls"),
    ],
)
def test_calls_that_contradict_themselves_are_refused(message, complaint):
    """With the place and what would be valid."""
    with pytest.raises(CorruptSnapshotError, match=complaint):
        decoded(message)


def test_a_megabyte_of_errors_is_refused_before_it_is_read():
    """Two bytes on the wire are a hundred in memory."""
    payload = codec.encode(snapshot_of(None))
    errors = b"\x12\x00" * 500_000
    length = bytes([len(errors) & 127 | 128, len(errors) >> 7 & 127 | 128, len(errors) >> 14])

    with pytest.raises(CorruptSnapshotError, match="calls: 1000000 bytes"):
        codec.decode(payload + b"\x8a\x01" + length + errors)


def test_one_refused_beside_sound_ones_costs_none_of_these():
    """Read together, each for itself."""
    sound = codec.encode(snapshot_of(CALLS))
    corrupt = sound.replace(b"ValueError", b"Value\xffrror")

    first, refused, last = codec.decode_all([sound, corrupt, sound])

    assert isinstance(refused, CorruptSnapshotError)
    assert view(first.calls) == view(last.calls) == view(CALLS)


def test_mutated_calls_are_refused_or_consistent():
    """Cut, extended and flipped payloads: refused, or as trustworthy as any."""
    worth_a_look = [call(reason, 5, 0.5) for reason in (ExemplarReason.SLOWEST, ExemplarReason.FAILED)]
    payload = written(summary_of([0.01, 0.5], {"ValueError": 1}, worth_a_look)).SerializeToString()
    chance = random.Random(6)
    refused = 0
    for _ in range(3_000):
        try:
            calls = decoded(mutated(chance, payload, header=len(payload)))
        except CorruptSnapshotError:
            refused += 1
        else:
            if calls is None:
                continue
            assert 0 <= calls.durations.count <= calls.count <= MAX_COUNT
            assert 0 <= calls.error_count <= calls.count
            view(calls)
            calls.quantiles([0.5, 0.99])
            assert not calls.count or view(codec.decode(codec.encode(snapshot_of(calls))).calls) == view(calls)

    assert refused > 1_000

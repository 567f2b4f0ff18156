import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sketch.mutation import mutated

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import codec
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.row_sample import EVERY_ROW, MAX_COLUMNS, MAX_ROWS, RowSample, SampledColumn
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary

PRODUCER = bytes(range(16))
MINUTE = 60_000_000_000
AMOUNT = SampledColumn("amount", is_numeric=True)
COUNTRY = SampledColumn("country", is_numeric=False)
AGE = SampledColumn("age", is_numeric=True)
SAMPLE = RowSample.of(
    [7, 11, 13],
    {AMOUNT: [1.5, math.nan, -2.0], AGE: [30.0, 40.0, 50.0], COUNTRY: ["NO", None, "SE"]},
    threshold=17,
)
# priorities 7, 11, 13; threshold 17; names age and amount, 30 40 50 1.5 NaN -2; country, NO and SE, codes 1 0 2.
GOLDEN = (
    "0a1807000000000000000b000000000000000d00000000000000"
    "111100000000000000"
    "1a036167651a06616d6f756e74"
    "22300000000000003e4000000000000044400000000000004940000000000000f83f000000000000f87f00000000000000c0"
    "2a07636f756e747279"
    "32024e4f32025345"
    "3a03010002"
)


def snapshot_of(sample, features=(), rows=100):
    return Snapshot(PRODUCER, 1, ModelKey("m"), 0, MINUTE, rows, 0, list(features), row_sample=sample)


def decoded(message):
    """What becomes of a snapshot with this row sample."""
    snapshot = pb.Snapshot.FromString(codec.encode(snapshot_of(None)))
    snapshot.row_sample.CopyFrom(message)
    return codec.decode(snapshot.SerializeToString()).row_sample


def written(sample=SAMPLE):
    return pb.Snapshot.FromString(codec.encode(snapshot_of(sample))).row_sample


texts = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=5))
numbers = st.one_of(st.floats(allow_infinity=False), st.just(-0.0))


@given(
    rows=st.lists(st.tuples(st.integers(0, EVERY_ROW - 1), numbers, texts, texts), min_size=1, max_size=20),
    max_rows=st.integers(1, 30),
)
def test_what_is_written_is_read_again(rows, max_rows):
    """Every finite number, NaN, every category, and a threshold up to 2^64 - 1."""
    priorities, amounts, countries, regions = zip(*rows, strict=True)
    columns = {AMOUNT: amounts, COUNTRY: countries, SampledColumn("région", is_numeric=False): regions}
    sample = RowSample.of(priorities, columns, max_rows=max_rows)
    if not len(sample):
        return

    assert codec.decode(codec.encode(snapshot_of(sample))).row_sample == sample


def test_the_bytes_are_those_that_were_published():
    """Any language can write them; a change here breaks readers."""
    assert written().SerializeToString().hex() == GOLDEN
    assert decoded(pb.RowSample.FromString(bytes.fromhex(GOLDEN))) == SAMPLE


def test_only_the_first_part_of_a_snapshot_has_the_rows():
    """Parts of one interval are added up, and rows would be in the window twice."""
    columns = [
        FeatureSummary(FeatureKey(FeatureRole.FEATURE, f"f{place}"), BooleanSummary(1, 1), Counters(2))
        for place in range(40)
    ]
    parts = codec.split(snapshot_of(SAMPLE, columns), iter(range(2, 99)).__next__, limit=350)

    assert len(parts) > 2
    assert [part.row_sample for part in parts] == [SAMPLE] + [None] * (len(parts) - 1)


def test_names_that_no_wire_can_carry_are_altered():
    """Lone surrogates and long names, as everywhere else."""
    odd = SampledColumn("a" * 300, is_numeric=True)
    sample = RowSample.of([1], {odd: [1.0], COUNTRY: ["\ud800" + "b" * 200]})

    [name] = [column.name for column in decoded(written(sample)).columns if column.is_numeric]
    assert len(name) <= 256
    assert len(decoded(written(sample)).columns[COUNTRY][0]) == 128


def changed(**fields):
    """The sample's message with some fields replaced."""
    message = written()
    for name, value in fields.items():
        message.ClearField(name)
        if isinstance(value, list):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (pb.RowSample(), "0 rows"),
        (changed(priorities=list(range(MAX_ROWS + 1)), threshold=EVERY_ROW), "2001 rows"),
        (changed(priorities=[7, 13, 11]), "decrease"),
        (changed(priorities=[7, 11, 17]), "not below the threshold 17"),
        (changed(threshold=0), "not below the threshold 0"),
        (changed(number_names=["age"]), "6 numbers and 3 codes"),
        (changed(numbers=[1.0]), "1 numbers and 3 codes"),
        (changed(codes=[0, 1]), "6 numbers and 2 codes"),
        (changed(number_names=["age", "age"]), "2 of them distinct"),
        (changed(number_names=[], numbers=[], category_names=[], codes=[], categories=[]), "0 columns"),
        (changed(number_names=[f"{place}" for place in range(MAX_COLUMNS)]), "101 columns"),
        (changed(number_names=["age", "a" * 257]), "name of 257 characters"),
        (changed(numbers=[math.inf, 1, 1, 1, 1, 1]), "infinite"),
        (changed(codes=[0, 3, 1]), "code 3 of 2 categories"),
        (changed(codes=[0, 1 << 31, 1]), "code 2147483648"),
        (changed(categories=["NO", "NO"]), "twice"),
        (changed(categories=["NO", "a" * 129]), "more than 128 characters"),
        (changed(categories=["a", "b", "c", "d"]), "4 categories of 3 values"),
    ],
)
def test_a_sample_that_contradicts_itself_is_refused(message, complaint):
    """With the place and what would be valid."""
    with pytest.raises(CorruptSnapshotError, match=complaint):
        decoded(message)


def test_bytes_that_are_no_text_are_refused():
    """A category that is not UTF-8 makes the payload no snapshot at all."""
    payload = codec.encode(snapshot_of(SAMPLE)).replace(b"\x02NO", b"\x02\xff\xfe")

    with pytest.raises(CorruptSnapshotError):
        codec.decode(payload)


def test_mutated_samples_are_refused_or_consistent():
    """Cut, extended and flipped payloads: refused, or as trustworthy as any."""
    payload = written().SerializeToString()
    chance = random.Random(5)
    refused = 0
    for _ in range(3_000):
        snapshot = bytearray(codec.encode(snapshot_of(None)))
        hostile = mutated(chance, payload, header=len(payload))
        if len(hostile) > 127:
            hostile = hostile[:127]
        try:
            sample = codec.decode(bytes(snapshot) + bytes([14 << 3 | 2, len(hostile)]) + hostile).row_sample
        except CorruptSnapshotError:
            refused += 1
        else:
            assert 1 <= len(sample) <= MAX_ROWS
            assert int(sample.priorities[-1]) < sample.threshold
            for column, values in sample.columns.items():
                assert len(values) == len(sample)
                assert not column.is_numeric or not np.isinf(values).any()
            assert codec.decode(codec.encode(snapshot_of(sample))).row_sample == sample

    assert refused > 1_000

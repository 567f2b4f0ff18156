"""Columns of sketches read all at once are the columns that are read one by one."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import Producer, categorical, numeric
from sketch.mutation import mutated

from benchmarks.fuzz.mutations import _meant
from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import codec
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import FeatureRole
from otel_ml.sketch.sketched_decoding import read_sketched

LAYOUT = BinLayout(np.array([0.0, 1.0, 2.0]))


def features():
    """Columns in sketches: of one sign and of both, with zeros, as doubles and as floats, missing values, exemplars."""
    chance = np.random.default_rng(1)
    normal = chance.normal(size=(4, 900))
    found = [
        numeric("normal", normal[0]),
        numeric("positive", chance.lognormal(size=400), missing=3),
        numeric("negative, with zeros", -np.maximum(normal[1], 0.0), mismatched=300),
        numeric("large offset", normal[2] + 1e9),
        numeric("without quantiles", normal[3][:50]),
        numeric("score", chance.random(300), role=FeatureRole.SCORE),
    ]
    found[4].content.quantiles = None
    found[5].exemplars.append(Exemplar(ExemplarReason.LARGEST, 1, 2, 3, "id", 0.5))
    return found


def payload(*extra):
    return codec.encode(Producer().snapshot(*features(), *extra, rows=900), pack=False)


def one_by_one(encoded):
    """The same snapshot, of which nothing is read at once: every feature says its kind twice."""
    message = pb.Snapshot.FromString(encoded)
    whole = [with_kind_twice(feature) for feature in message.features]
    del message.features[:]
    return message.SerializeToString() + b"".join(b"\x52" + varint(len(one)) + one for one in whole)


def with_kind_twice(feature):
    return feature.SerializeToString() + b"\x18" + varint(feature.kind % (1 << 64))


def varint(value):
    return bytes([value & 127 | 128]) + varint(value >> 7) if value > 127 else bytes([value])


def read(encoded):
    """All that is known of the features, or what is wrong with them."""
    try:
        snapshot = codec.decode(encoded)
    except CorruptSnapshotError as error:
        return str(error)
    blocks = [(block.identity, block.counters.tolist(), *map(seen, block.summaries())) for block in snapshot.sketched]
    matrices = [repr([matrix.tolist() for matrix in columns_of(block.histograms)]) for block in snapshot.sketched]
    return codec.encode(snapshot, pack=False), repr(blocks), matrices, len(snapshot.unbinned)


def columns_of(histograms):
    return histograms.scales, histograms.zero_counts, histograms.offsets, histograms.lengths, histograms.below


def seen(summary):
    quantiles = summary.content.quantiles
    known = None if quantiles is None else (quantiles.image(), quantiles.rank_error, quantiles.minimum)
    return summary.key, summary.counters, summary.content.moments, summary.exemplars, known


@pytest.mark.parametrize(
    "extra",
    [
        (),
        (categorical("country", {"DE": 3}), numeric("few values", np.arange(10.0))),
        (numeric("in bins", np.arange(100.0), layout=LAYOUT), numeric("without values", [], missing=9)),
        (numeric("é" * 100, np.arange(100.0)),),
        (numeric("é" * 200, np.arange(100.0)),),
    ],
    ids=["plain", "others", "bins", "foreign name", "long name"],
)
def test_reading_at_once_reads_the_same(extra):
    """In the same order, beside whatever other columns."""
    encoded = payload(*extra)

    assert read(encoded) == read(one_by_one(encoded))
    assert isinstance(read(encoded), tuple)


def test_what_well_behaved_senders_send_is_read_at_once():
    """With quantiles and without, in the order in which the first of each comes."""
    message = pb.Snapshot.FromString(payload(categorical("country", {"DE": 3})))

    found = read_sketched([feature.SerializeToString() for feature in message.features], ())

    assert [list(places) for _, places in found.blocks] == [[0, 1, 2, 3, 5], [4]]
    assert found.places == frozenset(range(6))
    assert read_sketched([with_kind_twice(feature) for feature in message.features], ()).blocks == ()


def test_what_is_wrong_is_wrong_either_way():
    """Whatever somebody changes in the message, and with the same words."""
    encoded = payload(categorical("country", {"DE": 50}))
    outcomes = set()
    for seed in range(600):
        changed = _meant(random.Random(seed), pb.Snapshot, encoded)
        found = read(changed)
        outcomes.add(isinstance(found, tuple))

        assert found == read(one_by_one(changed)), seed
    assert outcomes == {True, False}


@settings(max_examples=200)
@given(place=st.integers(0, 5), rng=st.randoms(use_true_random=False))
def test_a_mutated_image_is_wrong_either_way(place, rng):
    """Quantiles of one column among others that are sound."""
    message = pb.Snapshot.FromString(payload())
    feature = message.features[place]
    kind = "kll_doubles" if feature.kll_doubles else "kll_floats"
    setattr(feature, kind, mutated(rng, getattr(feature, kind) or bytes(30)))
    changed = message.SerializeToString()

    assert read(changed) == read(one_by_one(changed))


@settings(max_examples=200)
@given(place=st.integers(0, 5), rng=st.randoms(use_true_random=False))
def test_a_mutated_feature_is_wrong_either_way(place, rng):
    """Also where fields come twice, lack, are cut off, or stand for nothing that is known."""
    message = pb.Snapshot.FromString(payload())
    encoded = [feature.SerializeToString() for feature in message.features]
    encoded[place] = mutated(rng, encoded[place], header=300)
    twice = [one + b"\x18" + varint(pb.KIND_NUMERIC) for one in encoded]
    twice[place] = encoded[place]
    del message.features[:]
    header = message.SerializeToString()

    at_once, not_at_once = (
        header + b"".join(b"\x52" + varint(len(one)) + one for one in features_of) for features_of in (encoded, twice)
    )

    assert read(at_once) == read(not_at_once)


@pytest.mark.parametrize("side", ["positive", "negative"])
@pytest.mark.parametrize(("before", "after"), [(0, 1), (2, 0), (1, 3)])
def test_empty_buckets_at_an_end_count_for_nothing(side, before, after):
    """Some libraries send all the buckets that they have."""
    message = pb.Snapshot.FromString(payload())
    _, *expected = read(message.SerializeToString())
    buckets = getattr(message.features[0].histogram, side)
    counts = [0] * before + list(buckets.counts) + [0] * after
    buckets.offset -= before
    del buckets.counts[:]
    buckets.counts.extend(counts)
    encoded = message.SerializeToString()

    assert read(encoded) == read(one_by_one(encoded))
    assert list(read(encoded)[1:]) == expected


def test_counts_may_come_one_by_one():
    """Packed or not is the same to protobuf; in pieces, too."""
    message = pb.Snapshot.FromString(payload())
    expected = read(message.SerializeToString())
    histogram = message.features[0].histogram
    counts = list(histogram.positive.counts)
    half = len(counts) // 2
    packed = b"".join(map(varint, counts[:half]))
    pieces = b"\x12" + varint(len(packed)) + packed + b"".join(b"\x10" + varint(count) for count in counts[half:])
    del histogram.positive.counts[:]
    loose = pb.ExponentialHistogram(positive=histogram.positive).SerializeToString()
    positive = loose[2:] + pieces
    del message.features[0].histogram.positive.counts[:]
    message.features[0].histogram.ClearField("positive")
    feature = message.features[0].SerializeToString()
    inner = b"\x1a" + varint(len(positive)) + positive
    feature += b"\x32" + varint(len(inner)) + inner
    rest = [one.SerializeToString() for one in message.features][1:]
    del message.features[:]
    encoded = message.SerializeToString() + b"".join(b"\x52" + varint(len(one)) + one for one in (feature, *rest))

    assert read(encoded) == expected


def test_a_key_comes_once():
    """Among the columns in sketches and between them and the others."""
    message = pb.Snapshot.FromString(payload(categorical("country", {"DE": 50})))
    message.features[6].name = message.features[1].name

    with pytest.raises(CorruptSnapshotError, match="is there already as"):
        codec.decode(message.SerializeToString())


def test_features_are_those_that_came_even_if_their_block_has_grown():
    """A window adds to the matrices of the first snapshot it is given."""
    snapshot, other = codec.decode(payload()), codec.decode(payload())

    for block, more in zip(snapshot.sketched, other.sketched, strict=True):
        block.merge(more)

    assert [feature.content.count for feature in snapshot.features] == [
        feature.content.count for feature in other.features
    ]

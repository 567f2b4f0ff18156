"""Packed columns say what features of their own would, and nobody can make them say anything else."""

import random
import struct
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import Producer, categorical, numeric

from benchmarks.fuzz.mutations import _meant
from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import codec, packed_columns
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import FeatureRole
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import NumericSummary

FOUR, SIX = BinLayout(np.array([0.0, 1.0, 2.0])), BinLayout(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]))
MAX_COUNT = 1 << 53
EXEMPLAR = Exemplar(ExemplarReason.LARGEST, 1, 2, 3, "id", 0.5)

values = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=20)
columns = st.lists(
    st.builds(
        numeric,
        name=st.text(max_size=10),
        values=values,
        layout=st.sampled_from([None, FOUR, SIX, BinLayout(np.array([0.5, 1.0, 7.0]))]),
        missing=st.sampled_from([0, 1, 255, 256, 70_000, 1 << 40]),
        mismatched=st.integers(0, 300),
        role=st.sampled_from([FeatureRole.FEATURE, FeatureRole.SCORE]),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda summary: summary.key,
)


def sample():
    """Columns of two layouts, with and without values, one with exemplars, and one that is no number."""
    chance = np.random.default_rng(1)
    features = [
        numeric("age", chance.normal(size=50), layout=FOUR, missing=3),
        numeric("height", chance.normal(size=500), layout=SIX),
        categorical("country", {"DE": 50}),
        numeric("nothing", [], layout=FOUR, missing=9),
        numeric("score", np.zeros(20), layout=FOUR, role=FeatureRole.SCORE),
    ]
    features[4].exemplars.append(EXEMPLAR)
    return Producer().snapshot(*features)


def knowledge(snapshot):
    """All that is known of numeric columns, by column; floats to the bit."""
    return {
        summary.key: repr((summary, [bins.counts.tolist() for bins in summary.content.bins.values()]))
        for summary in snapshot.features
        if isinstance(summary.content, NumericSummary)
    }


def blocks(snapshot):
    """All that is in the matrices."""
    return sorted(
        repr((block.identity, block.counts.tolist(), block.counters.tolist(), block.moments.columns(), block.exemplars))
        for block in snapshot.binned
    )


@settings(max_examples=80, deadline=None)
@given(features=columns)
def test_packed_or_not_is_the_same_to_readers(features):
    """Whatever was recorded: the same columns, in the same matrices."""
    snapshot = Producer().snapshot(*features)

    packed, unpacked = (codec.decode(codec.encode(snapshot, pack=pack)) for pack in (True, False))

    assert knowledge(packed) == knowledge(unpacked)
    assert blocks(packed) == blocks(unpacked)


@settings(max_examples=40, deadline=None)
@given(first=values, second=values)
def test_producers_of_both_kinds_add_up(first, second):
    """While servers are brought up to date, some pack and some do not: the order of merging is all that counts."""
    sent = [
        Producer().snapshot(numeric("x", one, layout=FOUR), numeric("y", one, layout=FOUR)) for one in (first, second)
    ]
    sums = []
    for packs in ((True, True), (True, False), (False, True), (False, False)):
        mine, theirs = (
            codec.decode(codec.encode(snapshot, pack=pack)).binned[0]
            for snapshot, pack in zip(sent, packs, strict=True)
        )
        mine.merge(theirs)
        sums.append(repr(mine.summaries()))
        assert mine.totals.tolist() == mine.counts.sum(axis=1).tolist()

    assert len(set(sums)) == 1


def test_only_columns_in_bins_are_packed_and_the_version_says_so():
    """Who knows only the first version must not overlook columns; others stay readable for it."""
    message = pb.Snapshot.FromString(codec.encode(sample()))
    other = pb.Snapshot.FromString(codec.encode(Producer().snapshot(categorical("country", {"DE": 50}))))

    assert message.format_version == 2
    assert [list(packed.head.names) for packed in message.packed_columns] == [["age", "nothing", "score"], ["height"]]
    assert [feature.name for feature in message.features] == ["country"]
    assert (other.format_version, len(other.packed_columns)) == (1, 0)


@pytest.mark.parametrize(("rows", "width"), [(255, 1), (256, 2), (1 << 16, 4), (1 << 32, 8)])
def test_counts_take_as_many_bytes_as_the_largest_needs(rows, width):
    """One, two, four or eight; all are read."""
    column = numeric("x", [0.5], layout=FOUR)
    column.counters.rows = column.content.moments.count = rows
    column.content.bins[FOUR.hash].counts = np.array([0, rows, 0, 0])
    snapshot = Producer().snapshot(column)

    message = pb.Snapshot.FromString(codec.encode(snapshot))

    (packed,) = message.packed_columns
    assert (len(packed.counts), len(packed.counters)) == (4 * width, 5 * width)
    assert codec.decode(message.SerializeToString()).binned[0].counts.tolist() == [[0, rows, 0, 0]]


def test_what_columns_are_is_understood_once():
    """Snapshots that name the same columns share the keys, so that telling whether they match takes no time."""
    first, second = (codec.decode(codec.encode(sample())).binned for _ in range(2))

    assert [block.keys for block in first] == [block.keys for block in second]
    assert all(mine.keys is theirs.keys for mine, theirs in zip(first, second, strict=True))


def test_heads_are_remembered_within_bounds(monkeypatch):
    """Names come from whoever sends."""
    monkeypatch.setattr(packed_columns, "_REMEMBERED_BYTES", 10_000)
    heads = packed_columns._Heads()
    for number in range(100):
        heads.read(pb.PackedColumns.Head(names=[str(number)], roles=[1], edges_hashes=[1], bins=2).SerializeToString())

        assert heads._size <= 10_000
        assert 0 < len(heads._known) < 10


def test_moments_that_overflowed_become_the_largest_double():
    """Readers accept finite ones only, and know what stands for infinity."""
    column = numeric("huge", [-1.0, 1.0], layout=FOUR)
    column.content.moments = Moments(2, np.nan, np.nan, -1.5e308, 1.5e308)

    payload = codec.encode(Producer().snapshot(column))

    moments = codec.decode(payload).features[0].content.moments
    assert struct.pack("<d", sys.float_info.max) in payload
    assert moments == Moments(2, 0.0, np.inf, -1.5e308, 1.5e308)


def test_a_mean_may_be_rounded_beyond_its_range_by_a_little():
    """As in features of their own: servers in other languages round as they like."""
    message = pb.Snapshot.FromString(codec.encode(Producer().snapshot(numeric("x", [1.0, 1.0], layout=FOUR))))
    message.packed_columns[0].moments = struct.pack("<4d", 1.0, 1.0 + 1e-12, 1.0, 0.0)

    assert codec.decode(message.SerializeToString()).features[0].content.moments.mean == 1.0 + 1e-12


def test_packed_columns_are_split_like_others():
    """Parts fit, and have every column once."""
    features = [numeric(f"feature {number}", [0.5, 1.5], layout=FOUR) for number in range(200)]
    sequence = iter(range(2, 1_000))

    parts = codec.split(Producer().snapshot(*features), lambda: next(sequence), limit=2_000)

    payloads = [codec.encode(part) for part in parts]
    assert len(parts) > 2
    assert max(map(len, payloads)) <= 2_000
    names = [summary.key.name for payload in payloads for summary in codec.decode(payload).features]
    assert names == [feature.key.name for feature in features]


def broken(change):
    message = pb.Snapshot.FromString(codec.encode(sample()))
    change(message, message.packed_columns[0])
    return message


def of_packed(**changes):
    def change(_, packed):
        for name, value in changes.items():
            setattr(packed, name, value)

    return broken(change)


def of_head(**changes):
    def change(_, packed):
        for name, value in changes.items():
            if isinstance(value, list):
                packed.head.ClearField(name)
                getattr(packed.head, name).extend(value)
            else:
                setattr(packed.head, name, value)

    return broken(change)


def moments(*of_age, of_nothing=(0.0, 0.0, 0.0, 0.0)):
    """Of age, nothing and score."""
    rows = np.array([of_age, of_nothing, (0.0, 0.0, 0.0, 0.0)])
    return of_packed(moments=np.ascontiguousarray(rows.T).tobytes())


def doubled(message, packed):
    message.packed_columns.add().CopyFrom(packed)


def named_country(_, packed):
    packed.head.names[0] = "country"


def of_first_version(message, _):
    message.format_version = 1


def counts(dtype, *of_age):
    return of_packed(counts=np.array([[*of_age], [0] * 4, [20, 0, 0, 0]]).astype(dtype).tobytes())


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (broken(of_first_version), "snapshot: packed columns in format_version 1"),
        (broken(doubled), "'age': is there already as"),
        (broken(named_country), "'country': is there already as"),
        (broken(lambda _, packed: packed.Clear()), r"packed_columns\[0\]: head: 0 names"),
        (of_head(names=["age", "nothing"]), r"packed_columns\[0\]: head: 2 names, 3 roles, 3 hashes"),
        (of_head(names=["age", "age", "score"], roles=[1, 1, 1]), "head: a column is there already"),
        (of_head(names=["age", "n" * 257, "score"]), "head: a name of more than 256"),
        (of_head(roles=[1, 1, 4]), "head: a role that is unknown, or that of several"),
        (of_head(roles=[1, 1, 0]), "head: a role that is unknown"),
        (of_head(bins=1), r"head: 1 bins \(2 to 128\)"),
        (of_head(bins=1 << 31), "head: 2147483648 bins"),
        (of_head(bins=5), "counts: 12 bytes for 3 times 5"),
        (of_packed(counters=b""), "counters: 0 bytes for 3 times 5"),
        (of_packed(counters=bytes(14)), "counters: 14 bytes"),
        (of_packed(counters=bytes(45)), "counters: 45 bytes"),
        (of_packed(counters=bytes(15)), "'age': bins of 50 values, where the counters leave 0"),
        (of_packed(counters=b"\xff" * 120), "counters: a count of 18446744073709551615"),
        (of_packed(counts=bytes(12)), "'age': bins of 0 values, where the counters leave 50"),
        (counts("<u8", MAX_COUNT + 1, 0, 0, 0), "counts: a count of 9007199254740993"),
        (counts("<u8", 1 << 63, 1 << 63, 50, 0), "counts: a count of 9223372036854775808"),
        (of_packed(moments=bytes(88)), "moments: 88 bytes for 3 columns"),
        (moments(np.nan, 0.0, 1.0, 1.0), "moments: not finite"),
        (moments(-np.inf, 0.0, 1.0, 1.0), "moments: not finite"),
        (moments(0.0, 0.0, np.inf, 1.0), "moments: not finite"),
        (moments(0.0, 0.0, 1.0, np.inf), "moments: not finite"),
        (moments(0.0, 0.0, 1.0, np.nan), "moments: not finite"),
        (moments(0.0, 0.0, 1.0, -1.0), "moments: not finite, or a mean out of its range, or a negative m2"),
        (moments(0.0, 1.1, 1.0, 1.0), "mean out of its range"),
        (moments(0.0, -0.1, 1.0, 1.0), "mean out of its range"),
        (moments(1.0, 1.0, 1.0 - 1e-15, 1.0), "mean out of its range"),
        (moments(0.0, 0.0, 1.0, 1.0, of_nothing=(0.0, 0.0, 0.0, 1.0)), "of 'nothing', which has no values"),
        (broken(lambda _, packed: packed.exemplar_columns.append(0)), "exemplars: 1 with 2 columns"),
        (broken(lambda _, packed: packed.ClearField("exemplar_columns")), "exemplars: 1 with 0 columns"),
        (broken(lambda _, packed: packed.ClearField("exemplars")), "exemplars: 0 with 1 columns"),
        (broken(lambda _, packed: packed.exemplar_columns.__setitem__(0, 3)), "each below 3"),
        (broken(lambda _, packed: setattr(packed.exemplars[0], "trace_id", b"short")), "exemplars: trace id"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(message, complaint):
    """The error says where, what, and what would be valid."""
    with pytest.raises(CorruptSnapshotError, match=complaint):
        codec.decode(message.SerializeToString())


def test_a_column_has_few_exemplars():
    """As many as a feature of its own."""
    message = pb.Snapshot.FromString(codec.encode(sample()))
    (packed, _) = message.packed_columns
    packed.exemplars.extend([packed.exemplars[0]] * 16)
    packed.exemplar_columns.extend([2] * 16)

    with pytest.raises(CorruptSnapshotError, match="more than 16 of one column"):
        codec.decode(message.SerializeToString())


def test_columns_beyond_number_are_refused():
    """10,000, packed or not."""
    names = [f"{number:x}" for number in range(6_000)]
    message = pb.Snapshot.FromString(codec.encode(sample()))
    del message.packed_columns[:]
    for half in (names, [f"{name}'" for name in names]):
        message.packed_columns.add(
            head=pb.PackedColumns.Head(names=half, roles=[1] * 6_000, edges_hashes=[1] * 6_000, bins=2),
            counters=bytes(5 * 6_000),
            counts=bytes(2 * 6_000),
            moments=bytes(32 * 6_000),
        )

    with pytest.raises(CorruptSnapshotError, match="12001 or more columns"):
        codec.decode(message.SerializeToString())


def test_mutated_snapshots_are_refused_or_consistent():
    """Whatever somebody changes in the message: what is read adds up, and can be sent again."""
    encoded = codec.encode(sample())
    outcomes = set()
    for seed in range(1_500):
        try:
            decoded = codec.decode(_meant(random.Random(seed), pb.Snapshot, encoded))
        except CorruptSnapshotError:
            outcomes.add("refused")
            continue
        outcomes.add("read")
        for block in decoded.binned:
            assert block.totals.tolist() == [summary.counters.valid for summary in block.summaries()]
        assert knowledge(codec.decode(codec.encode(decoded))) == knowledge(decoded)
    assert outcomes == {"refused", "read"}


def test_snapshots_read_together_are_what_they_are_alone():
    """Replicas that say the same of the same columns, other models, what is empty or overflows, what is corrupt: to the
    bit, and what is wrong with one, in the same words, is no concern of the others.
    """
    rng = random.Random(5)
    chance = np.random.default_rng(2)
    corpus = [codec.encode(sample())]
    for scale in (1.0, 1.0, 1e3, 1e300):
        alike = [numeric(name, chance.normal(size=9) * scale, layout=FOUR) for name in ("age", "height")]
        corpus += [codec.encode(Producer().snapshot(*alike)), codec.encode(Producer().snapshot(numeric("age", [])))]
    payloads = [rng.choice(corpus) for _ in range(400)]
    payloads = [_meant(rng, pb.Snapshot, one) if rng.random() < 0.3 else one for one in payloads]

    together = codec.decode_all(payloads)

    for payload, found in zip(payloads, together, strict=True):
        if isinstance(found, CorruptSnapshotError):
            with pytest.raises(CorruptSnapshotError) as refused:
                codec.decode(payload)
            assert str(refused.value) == str(found)
        else:
            alone = codec.decode(payload)
            assert (knowledge(found), blocks(found)) == (knowledge(alone), blocks(alone))
    assert {type(found) for found in together} == {CorruptSnapshotError, Snapshot}

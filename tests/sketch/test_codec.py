import math
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sketch.mutation import mutated
from sketch.test_calls import summaries as call_summaries
from sketch.test_calls import view as calls_view

from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch import codec
from otel_ml.sketch.bins import AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.datetime_summary import DatetimeSummary
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exemplar import OF_CALLS, Exemplar, ExemplarReason, merged_exemplars
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.projected import SLICES, ProjectionLayout
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.snapshot import Segment, Snapshot
from otel_ml.sketch.summary import (
    BooleanSummary,
    CategoricalSummary,
    FeatureSummary,
    NumericSummary,
    OpaqueSummary,
)
from otel_ml.sketch.text_summary import TextSummary

REASONS = [reason for reason in ExemplarReason if reason not in OF_CALLS]
PRODUCER = bytes(range(16))
MINUTE = 60_000_000_000
PROJECTIONS = ProjectionLayout(2.0, np.zeros(SLICES), np.ones(SLICES))
LAYOUT = layout_from_quantiles(np.sort(np.random.default_rng(1).normal(size=10_000)))


def moments_of(values):
    moments = Moments()
    moments.update(values)
    return moments


def numeric(name, values, *, layout=None, missing=0):
    values = np.asarray(values, np.float64)
    content = NumericSummary(moments_of(values))
    if layout is not None:
        content.bins[layout.hash] = AnchoredBins.of(layout, values)
    elif len(np.unique(values)) <= 256:
        content.exact = ExactCounts.of(values)
    else:
        content.histogram = ExponentialHistogram.of(values)
        content.quantiles = QuantileSketch()
        content.quantiles.update(values)
    return FeatureSummary(FeatureKey(FeatureRole.FEATURE, name), content, Counters(len(values) + missing, missing))


def categorical(name, counts):
    content = CategoricalSummary()
    content.categories.update(counts)
    content.cardinality.update(counts)
    return FeatureSummary(FeatureKey(FeatureRole.FEATURE, name), content, Counters(sum(counts.values())))


def boolean(name, false_count, true_count):
    content = BooleanSummary(false_count, true_count)
    return FeatureSummary(FeatureKey(FeatureRole.PREDICTION, name), content, Counters(false_count + true_count))


def described(name, content, batch, *more, role=FeatureRole.FEATURE):
    content.update(batch, *more)
    return FeatureSummary(FeatureKey(role, name), content, Counters(len(batch)))


def text(name, texts, layout=None):
    return described(name, TextSummary.anchored(layout), texts)


def when(name, epochs, now=2e9):
    return described(name, DatetimeSummary(), np.asarray(epochs, np.float64), now)


def vector(name, matrix, layout=None, projections=None):
    return described(name, EmbeddingSummary.anchored(layout, projections=projections), np.asarray(matrix, np.float64))


EXEMPLARS = [
    Exemplar(ExemplarReason.LARGEST, 1 << 127, 1, MINUTE, "a", 3.5),
    Exemplar(ExemplarReason.LARGEST, 2, 2, MINUTE, "b", 3.0),
    Exemplar(ExemplarReason.MISSING, 0, 0, MINUTE, "without a trace"),
]


def snapshot_of(*features, rows=100, sequence=1, model=ModelKey("fraud", "3"), **more):  # noqa: B008 - immutable
    return Snapshot(PRODUCER, sequence, model, MINUTE, 2 * MINUTE, rows, 0, features, **more)


def a_bit_of_everything():
    values = np.random.default_rng(2).normal(size=2_000)
    age = numeric("age", values, layout=LAYOUT, missing=7)
    age.exemplars = EXEMPLARS
    return snapshot_of(
        age,
        numeric("rating", np.round(values)),
        numeric("amount", values * 1e4),
        numeric("nothing", [], missing=100),
        categorical("carrier", {"AA": 12, "": 3, "Übersee": 1}),
        categorical("user", {f"user {number}": 1 + number % 3 for number in range(1_000)}),
        boolean("late", 40, 60),
        FeatureSummary(FeatureKey(FeatureRole.SCORE, "opaque"), OpaqueSummary(), Counters(100, 1, 2)),
        text("question", ["how are you", "", "  ", "é" * 20, "what " * 300]),
        when("pickup", np.arange(300.0) * 40_000),
        vector("meaning", np.random.default_rng(3).normal(size=(300, 5))),
        vector("picture", np.random.default_rng(3).normal(size=(20, 200)), layout=BinLayout(np.array([14.0]))),
        vector("seen", np.random.default_rng(3).normal(size=(50, 3)), projections=PROJECTIONS),
        segment=Segment("country", "NO"),
        packages_digest="0123456789abcdef",
    )


def message_of(snapshot):
    return pb.Snapshot.FromString(codec.encode(snapshot, pack=False))


def view(summary):
    """What two equal summaries have in common."""
    content = summary.content
    seen = [summary.key, summary.kind, summary.counters, summary.exemplars]
    if isinstance(content, NumericSummary):
        seen += numbers_view(content)
    elif isinstance(content, CategoricalSummary):
        categories = content.categories
        seen.append((categories.counts, categories.other, categories.error_bound))
        seen.append(content.cardinality.registers().tolist())
    elif isinstance(content, BooleanSummary):
        seen.append(content)
    elif isinstance(content, TextSummary):
        seen += [*numbers_view(content.lengths), *numbers_view(content.words), content.empty]
        seen += [repr(content.characters), repr(content.vocabulary), content.vocabulary.totals.tolist()]
        seen.append(content.cardinality.registers().tolist())
    elif isinstance(content, DatetimeSummary):
        seen += [content.epochs, *numbers_view(content.ages), content.hours.tolist(), content.weekdays.tolist()]
    elif isinstance(content, EmbeddingSummary):
        seen += [content.dimensions, content.count, *numbers_view(content.norms)]
        seen += [Rounded(content.total), Rounded(content.products)]
        radial, projected = content.bounded_radial_moments(), content.projected
        seen += [radial is None, *([Rounded(np.append(radial[0], radial[1] ** 0.75))] if radial else [])]
        if projected is not None:
            seen += [projected.layout_hash, projected.count, Rounded(projected.waves), projected.counts.tolist()]
    return seen


class Rounded:
    """Sums that went over the wire as floats."""

    def __init__(self, sums):
        self.sums = sums

    def __eq__(self, other):
        largest = np.abs(self.sums).max(initial=0.0)
        return np.allclose(self.sums, other.sums, rtol=0, atol=1e-5 * largest + 1e-30)

    __hash__ = None


def numbers_view(content):
    seen = [content.moments, {h: bins.counts.tolist() for h, bins in content.bins.items()}]
    if content.exact is not None and content.exact.count:
        seen.append((content.exact.values.tolist(), content.exact.counts.tolist()))
    if content.histogram is not None and content.histogram.count:
        histogram = content.histogram
        seen.append((histogram.scale, histogram.zero_count))
        seen += [(side.offset, side.counts.tolist()) for side in (histogram.positive, histogram.negative)]
    if content.quantiles is not None and content.quantiles.count:
        quantiles = content.quantiles
        seen.append((quantiles.count, quantiles.image_kind, quantiles.image()))
    return seen


def views(snapshot):
    """By column: packed ones come first."""
    return {summary.key: view(summary) for summary in snapshot.features}


def assert_same(decoded, snapshot):
    for name in ("producer_id", "sequence", "model", "start_time_unix_nano", "end_time_unix_nano", "rows"):
        assert getattr(decoded, name) == getattr(snapshot, name)
    assert decoded.dropped_rows == snapshot.dropped_rows
    assert (decoded.segment, decoded.packages_digest) == (snapshot.segment, snapshot.packages_digest)
    calls = snapshot.calls if snapshot.calls is not None and snapshot.calls.count else None
    assert (decoded.calls and calls_view(decoded.calls)) == (calls and calls_view(calls))
    assert views(decoded) == views(snapshot)


def test_every_kind_comes_back_as_it_was():
    """Counters, moments and every sketch survive the wire."""
    snapshot = a_bit_of_everything()

    assert_same(codec.decode(codec.encode(snapshot)), snapshot)


finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
moderate = st.floats(-1e100, 1e100, allow_subnormal=False)
numerics = st.builds(
    numeric,
    name=st.text(max_size=20),
    values=st.one_of(st.lists(moderate, max_size=40), st.integers(257, 400).map(lambda size: np.arange(size) / 7)),
    layout=st.sampled_from([None, LAYOUT, BinLayout(np.array([0.0])), BinLayout(np.array([0.0, 1.0]))]),
    missing=st.integers(0, 1 << 40),
)
categoricals = st.builds(
    categorical, name=st.text(max_size=20), counts=st.dictionaries(st.text(max_size=10), st.integers(1, 1 << 40))
)
booleans = st.builds(boolean, name=st.text(max_size=20), false_count=st.integers(0, 9), true_count=st.integers(0, 9))
texts = st.builds(
    text,
    name=st.text(max_size=20),
    texts=st.lists(st.text(max_size=30), max_size=30),
    layout=st.sampled_from([None, BinLayout(np.array([0.0, 3.0]))]),
)
moments_in_time = st.builds(when, name=st.text(max_size=20), epochs=st.lists(st.floats(-1e11, 1e11), max_size=30))
vectors = st.builds(
    vector,
    name=st.text(max_size=20),
    matrix=st.sampled_from([2, 3, 128, 129, 300]).flatmap(
        lambda dimensions: st.lists(
            st.builds(
                lambda seed, scale: np.random.default_rng(seed).normal(size=dimensions) * scale,
                st.integers(0, 99),
                st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e6]),
            ),
            min_size=1,
            max_size=4,
        )
    ),
    layout=st.sampled_from([None, BinLayout(np.array([0.5, 3.0]))]),
    projections=st.sampled_from([None, PROJECTIONS]),
)
exemplars = st.lists(
    st.builds(
        Exemplar,
        st.sampled_from(REASONS),
        st.integers(1, (1 << 128) - 1),
        st.integers(1, (1 << 64) - 1),
        st.integers(0, (1 << 63) - 1),
        st.text(max_size=20),
        st.none() | finite,
    ),
    max_size=20,
).map(merged_exemplars)


def with_exemplars(summary, exemplars):
    summary.exemplars = exemplars
    return summary


snapshots = st.builds(
    Snapshot,
    producer_id=st.binary(min_size=16, max_size=16),
    sequence=st.integers(1, (1 << 63) - 1),
    model=st.builds(ModelKey, st.text(max_size=50), st.text(max_size=50)),
    start_time_unix_nano=st.integers(0, 1 << 62),
    end_time_unix_nano=st.integers((1 << 62) + 1, (1 << 63) - 1),
    rows=st.integers(0, 1 << 50),
    dropped_rows=st.integers(0, 1 << 50),
    features=st.lists(
        st.builds(
            with_exemplars, st.one_of(numerics, categoricals, booleans, texts, moments_in_time, vectors), exemplars
        ),
        max_size=8,
        unique_by=lambda summary: summary.key,
    ),
    segment=st.none() | st.builds(Segment, st.text(min_size=1, max_size=50), st.text(max_size=50)),
    packages_digest=st.text(max_size=32),
    calls=st.none() | call_summaries,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(snapshot=snapshots)
def test_any_snapshot_survives_the_wire(snapshot):
    """What can be recorded can be sent, packed or not, and is read back equal."""
    assert_same(codec.decode(codec.encode(snapshot)), snapshot)
    assert_same(codec.decode(codec.encode(snapshot, pack=False)), snapshot)


@settings(max_examples=30, deadline=None)
@given(left=st.lists(moderate, max_size=300), right=st.lists(moderate, max_size=300))
def test_merging_decoded_snapshots_equals_merging_what_was_sent(left, right):
    """Bins and counters that travelled add up to what one process would have counted."""
    sent = [codec.decode(codec.encode(snapshot_of(numeric("x", values, layout=LAYOUT)))) for values in (left, right)]
    merged, other = (snapshot.features[0] for snapshot in sent)
    merged.merge(other)

    whole = numeric("x", left + right, layout=LAYOUT)
    assert merged.counters == whole.counters
    assert merged.content.bins[LAYOUT.hash].counts.tolist() == whole.content.bins[LAYOUT.hash].counts.tolist()


def test_features_of_one_bin_count_share_a_matrix():
    """Columns packed together: one matrix per bin count, however many layouts."""
    values = np.random.default_rng(0).normal(size=100)
    two, four = BinLayout(np.array([0.0])), BinLayout(np.array([0.0, 1.0, 2.0]))
    message = message_of(
        snapshot_of(
            numeric("a", values, layout=two),
            numeric("b", values, layout=four),
            numeric("c", values, layout=BinLayout(np.array([5.0]))),
        )
    )

    assert [(matrix.bins, list(matrix.feature_indexes)) for matrix in message.bin_matrices] == [(2, [0, 2]), (4, [1])]


@pytest.mark.parametrize(
    ("rows", "layout", "limit"), [(10_000, LAYOUT, 400), (100_000, LAYOUT, 400), (100_000, None, 3_500)]
)
def test_a_feature_takes_few_bytes(rows, layout, limit):
    """The design's budgets: 1 KB with a baseline, and less than half in fact; 3.5 KB without."""
    random_state = np.random.default_rng(5)
    features = [numeric(f"feature_{number}", random_state.normal(size=rows), layout=layout) for number in range(5)]

    assert len(codec.encode(snapshot_of(*features))) / 5 < limit


def test_names_that_do_not_fit_stay_different():
    """Long names and lone surrogates reach the other side as names of their own."""
    names = ["x" * 300 + "a", "x" * 300 + "b", "\udc80", "\\udc80"]
    decoded = codec.decode(codec.encode(snapshot_of(*(boolean(name, 1, 1) for name in names))))

    received = [summary.key.name for summary in decoded.features]
    assert len(set(received)) == 4
    assert max(map(len, received)) <= 256


def test_moments_that_overflowed_are_sent_as_the_largest_double():
    """Values near the end of the range make infinite sums; readers refuse those."""
    summary = numeric("huge", [-1.0, 1.0])
    summary.content.moments = Moments(2, math.nan, math.inf, -1.5e308, 1.5e308)

    moments = codec.decode(codec.encode(snapshot_of(summary))).features[0].content.moments

    assert moments.minimum <= moments.mean <= moments.maximum
    assert moments.m2 == math.inf


def test_a_window_of_several_layouts_can_be_sent():
    """Replicas that knew different baselines: two layouts for one feature, and both come back."""
    other = BinLayout(np.linspace(-1, 1, len(LAYOUT.edges)))
    merged = numeric("x", [0.5, 1.5], layout=LAYOUT)
    merged.merge(numeric("x", [2.5], layout=other))
    merged.merge(numeric("x", [3.5]))

    decoded = codec.decode(codec.encode(snapshot_of(merged)))

    assert_same(decoded, snapshot_of(merged))
    assert set(decoded.features[0].content.bins) == {LAYOUT.hash, other.hash}


def test_unknown_fields_are_ignored():
    """A newer writer may add fields without losing older readers."""
    snapshot = a_bit_of_everything()
    payload = codec.encode(snapshot) + b"\xfa\x3f\x03new"

    assert_same(codec.decode(payload), snapshot)


# --- splitting


def test_a_small_snapshot_is_not_split():
    """One record an interval is the rule."""
    snapshot = a_bit_of_everything()

    assert codec.split(snapshot, next_sequence=pytest.fail) == [snapshot]


def test_parts_fit_and_add_up():
    """Only the first part states rows; each has a sequence number of its own; all features arrive once, in order."""
    features = [boolean(f"feature {number}", number, 1) for number in range(50)]
    snapshot = snapshot_of(*features, sequence=7)
    sequence = iter(range(8, 100))

    parts = codec.split(snapshot, lambda: next(sequence), limit=600)

    assert len(parts) > 2
    assert all(len(codec.encode(part)) <= 600 for part in parts)
    assert [part.sequence for part in parts] == list(range(7, 7 + len(parts)))
    assert [part.rows for part in parts] == [100] + [0] * (len(parts) - 1)
    assert [summary for part in parts for summary in part.features] == features


# --- refusing


def broken(**changes):
    message = message_of(a_bit_of_everything())
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def broken_feature(place, change):
    message = message_of(a_bit_of_everything())
    change(message.features[place])
    return message


def changed(place, path, value):
    *parents, name = path.split(".")

    def change(feature):
        for parent in parents:
            feature = getattr(feature, parent)
        field = getattr(feature, name)
        if isinstance(value, list):
            del field[:]
            field.extend(value)
        else:
            setattr(feature, name, value)

    return broken_feature(place, change)


def changed_matrix(**changes):
    message = message_of(a_bit_of_everything())
    for name, value in changes.items():
        if isinstance(value, list):
            message.bin_matrices[0].ClearField(name)
            getattr(message.bin_matrices[0], name).extend(value)
        else:
            setattr(message.bin_matrices[0], name, value)
    return message


def changed_exemplar(**changes):
    def change(age):
        for name, value in changes.items():
            setattr(age.exemplars[0], name, value)

    return broken_feature(AGE, change)


def broken_segment(**changes):
    message = message_of(a_bit_of_everything())
    for name, value in changes.items():
        setattr(message.segment, name, value)
    return message


AGE, RATING, AMOUNT, CARRIER, USER, LATE, OPAQUE, QUESTION, PICKUP, MEANING, PICTURE, SEEN = (
    0,
    1,
    2,
    4,
    5,
    6,
    7,
    8,
    9,
    10,
    11,
    12,
)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (broken(format_version=3), r"snapshot: format_version 3 \(this reader knows 1 and 2\)"),
        (broken(producer_id=b"short"), "snapshot: producer_id of 5 bytes"),
        (broken(sequence=0), "snapshot: sequence 0"),
        (broken(sequence=1 << 63), "snapshot: sequence 9223372036854775808"),
        (broken(end_time_unix_nano=MINUTE), "snapshot: interval from 60000000000 to 60000000000"),
        (broken(end_time_unix_nano=1 << 63), "snapshot: interval"),
        (broken(model_name="m" * 257), "snapshot: model name or version"),
        (broken(rows=1 << 60), "snapshot: rows"),
        (changed(RATING, "name", "age"), r"features\[1\] 'age': is there already as features\[0\]"),
        (changed(AGE, "name", "n" * 257), r"features\[0\] 'n+': a name of 257 characters"),
        (changed(AGE, "role", 9), r"features\[0\] 'age': unknown role 9"),
        (changed(AGE, "kind", 0), "features.* 'age': unknown kind 0"),
        (changed(AGE, "kind", pb.KIND_OPAQUE), "'age': has sketches that do not belong to KIND_OPAQUE"),
        (changed(AGE, "booleans.true_count", 1), "'age': has sketches that do not belong to KIND_NUMERIC"),
        (changed(CARRIER, "exact.values", [1.0]), "'carrier': has sketches that do not belong to KIND_CATEGORICAL"),
        (changed(LATE, "hll", b"x"), "'late': has sketches that do not belong to KIND_BOOLEAN"),
        (changed(AGE, "counters.missing", 1 << 40), "'age': counters: 1099511627776 rows without"),
        (changed(AGE, "counters.rows", 1 << 60), "'age': counters"),
        (changed(AGE, "counters.rows", 2_008), "'age': moments: of 2000 values, where the counters leave 2001"),
        (changed(AGE, "moments.mean", math.nan), "'age': moments: not finite"),
        (changed(AGE, "moments.m2", math.inf), "'age': moments: not finite"),
        (changed(AGE, "moments.m2", -1.0), "'age': moments: count"),
        (changed(AGE, "moments.mean", 99.0), "'age': moments: count"),
        (changed(RATING, "exact.counts", [1]), "'rating': exact: . values with 1 counts"),
        (changed(RATING, "exact.values", [math.nan] * 7), "'rating': exact"),
        (changed(AMOUNT, "histogram.scale", 21), "'amount': histogram: scale 21"),
        (changed(AMOUNT, "histogram.positive.counts", [1] * 161), "'amount': histogram: 161 buckets"),
        (changed(AMOUNT, "histogram.positive.offset", 1 << 30), "'amount': histogram: buckets from 1073741824 on"),
        (changed(AMOUNT, "histogram.positive.counts", [1 << 63]), "'amount': histogram: a count of 92233"),
        (changed(AMOUNT, "histogram.zero_count", 5), "'amount': quantiles of 2000 values, histogram of 2005"),
        (changed(AMOUNT, "kll_floats", b"hostile!"), "'amount': KLL image: family"),
        (changed(AMOUNT, "kll_doubles", b"x"), "'amount': has quantiles as doubles and as floats"),
        (changed(CARRIER, "categories.names", ["a", "a", "b"]), "'carrier': categories: a name comes twice"),
        (changed(CARRIER, "categories.names", ["a", "b"]), "'carrier': categories: 2 names with 3 counts"),
        (changed(CARRIER, "categories.names", ["a", "b", "c" * 129]), "'carrier': categories: a name of more than 128"),
        (changed(CARRIER, "categories.counts", [1, 0, 15]), "'carrier': categories: a name comes twice or has not"),
        (changed(CARRIER, "categories.error_bound", 1), "'carrier': categories: error_bound 1 for other 0"),
        (changed(USER, "categories.error_bound", 0), "'user': categories: error_bound 0 for other"),
        (changed(CARRIER, "categories.counts", [1, 1, 1]), "'carrier': categories: of 3 values"),
        (changed(CARRIER, "hll", b"hostile!"), "'carrier': HLL image"),
        (changed(LATE, "booleans.true_count", 61), "'late': booleans: 40 \\+ 61, where the counters leave 100"),
        (changed_matrix(bins=1), r"bin_matrices\[0\]: 1 bins"),
        (changed_matrix(bins=1 << 31), r"bin_matrices\[0\]: 2147483648 bins"),
        (changed_matrix(feature_indexes=[13]), r"bin_matrices\[0\]: feature index 13 of 13 features"),
        (changed_matrix(feature_indexes=[0, 0]), r"bin_matrices\[0\]: 2 indexes, 1 hashes"),
        (changed_matrix(counts=[1, 2, 3]), r"bin_matrices\[0\]: 1 indexes, 1 hashes, 3 counts"),
        (changed_matrix(bins=2, counts=[1, 1]), r"features\[0\] 'age': sketches of 2 values"),
        (changed_matrix(bins=2, counts=[1, (1 << 64) - 1]), r"bin_matrices\[0\]: a count of"),
        (
            changed_matrix(bins=2, feature_indexes=[0, 0], edges_hashes=[1, 1], counts=[1] * 4),
            r"bin_matrices\[0\]: feature index 0 comes twice",
        ),
        (changed_matrix(feature_indexes=[OPAQUE]), r"'age': sketches of 0 values"),
        (broken_segment(dimension=""), "snapshot: segment: has no dimension"),
        (broken_segment(value="v" * 257), "snapshot: segment: dimension or value of more than 256"),
        (broken(packages_digest="d" * 129), "snapshot: packages_digest of 129 characters"),
        (changed(QUESTION, "text.empty", 6), "'question': text: 6 empty ones, where the counters leave 5"),
        (changed(QUESTION, "text.words.moments.count", 4), "'question': words: moments: of 4 values"),
        (changed(QUESTION, "text.lengths.moments.min", -1.0), "'question': lengths: from -1.0 on"),
        (changed(QUESTION, "text.lengths.exact.counts", [1]), "'question': lengths: exact: . values with 1 counts"),
        (changed(QUESTION, "hll", b"hostile!"), "'question': HLL image"),
        (changed(QUESTION, "kind", pb.KIND_CATEGORICAL), "'question': categories: of 0 values"),
        (changed(AGE, "text.empty", 1), "'age': has sketches that do not belong to KIND_NUMERIC"),
        (changed(AGE, "datetime.hours", [1]), "'age': has sketches that do not belong to KIND_NUMERIC"),
        (changed(AGE, "embedding.dimensions", 2), "'age': has sketches that do not belong to KIND_NUMERIC"),
        (changed(PICKUP, "datetime.epochs.count", 3), "'pickup': epochs: of 3 values, where the counters leave 300"),
        (changed(PICKUP, "datetime.hours", [300]), "'pickup': hours: 1 counts \\(24\\)"),
        (changed(PICKUP, "datetime.hours", [1] * 24), "'pickup': hours: of 24 values"),
        (changed(PICKUP, "datetime.weekdays", [(1 << 64) - 1] * 7), "'pickup': weekdays: a count of 18446744"),
        (changed(PICKUP, "datetime.ages.moments.count", 301), "'pickup': ages: of 301 values"),
        (changed(PICKUP, "datetime.ages.moments.count", 299), "'pickup': ages: sketches of 300 values"),
        (changed(MEANING, "embedding.dimensions", 0), "'meaning': embedding: 0 dimensions of 300 vectors"),
        (changed(MEANING, "embedding.dimensions", 65_537), "'meaning': embedding: 65537 dimensions"),
        (changed(MEANING, "embedding.dimensions", 6), "a mean of 5 and a scatter of 15 numbers, for 6 .*6 and 21"),
        (changed(PICTURE, "embedding.mean", [0.0] * 63), "'picture': embedding: a mean of 63 .*64 and 2080"),
        (changed(MEANING, "embedding.mean", [math.inf] * 5), "'meaning': embedding: mean or scatter are not finite"),
        (changed(MEANING, "embedding.scatter", [math.nan] * 15), "'meaning': embedding: mean or scatter are not"),
        (changed(MEANING, "embedding.scatter", [-1.0] * 15), "'meaning': embedding: .* a variance is negative"),
        (changed(MEANING, "embedding.scatter", [0.0] + [1.0] * 14), "'meaning': embedding: a covariance is larger"),
        (changed(MEANING, "embedding.norms.moments.min", -1.0), "'meaning': norms: from -1.0 on"),
        (
            changed(MEANING, "embedding.radial_third", []),
            "'meaning': embedding: a radial_third without a radial_fourth",
        ),
        (changed(MEANING, "embedding.radial_third", [0.0] * 4), "'meaning': embedding: a radial_third of 4 numbers .5"),
        (changed(MEANING, "embedding.radial_third", [1e30] * 5), "'meaning': embedding: radial_third is larger than"),
        (
            changed(MEANING, "embedding.radial_third", [math.nan] * 5),
            "'meaning': embedding: radial moments are not fin",
        ),
        (changed(MEANING, "embedding.radial_fourth", math.inf), "'meaning': embedding: radial moments are not finite"),
        (changed(MEANING, "embedding.radial_fourth", -1.0), "'meaning': embedding: radial_fourth is smaller than the"),
        (changed(MEANING, "embedding.radial_fourth", 1.0), "'meaning': embedding: radial_fourth is smaller than the"),
        (
            changed(MEANING, "embedding.projections.layout_hash", 1),
            "'meaning': projections: 0 waves and 0 counts of 300",
        ),
        (changed(SEEN, "embedding.projections.waves", [0.0] * 255), "'seen': projections: 255 waves .* .256 and 512"),
        (changed(SEEN, "embedding.projections.waves", [0.8] * 256), "'seen': projections: a mean cosine and sine are"),
        (changed(SEEN, "embedding.projections.waves", [math.nan] * 256), "'seen': projections: a mean cosine and sine"),
        (changed(SEEN, "embedding.projections.counts", [1] * 512), "'seen': projections: counts of a slice are not of"),
        (changed(SEEN, "embedding.projections.counts", [1 << 63] * 512), "'seen': projections: a count of 92233720368"),
        (changed(SEEN, "embedding.projections.scale", 2.0), "'seen': projections: layout: 1 numbers .must be 33"),
        (changed_exemplar(trace_id=b"short"), "'age': exemplars: trace id 73686f7274 .16 bytes"),
        (changed_exemplar(trace_id=bytes(16)), "'age': exemplars: trace id 0000"),
        (changed_exemplar(span_id=bytes(8)), "'age': exemplars: span id 0000"),
        (changed_exemplar(span_id=b""), "'age': exemplars: a trace id without a span id"),
        (changed_exemplar(value=math.nan), "'age': exemplars: value nan"),
        (changed_exemplar(time_unix_nano=1 << 63), "'age': exemplars: time 9223372036854775808"),
        (changed_exemplar(prediction_id="i" * 257), "'age': exemplars: a prediction id of 257 characters"),
        (broken_feature(AGE, lambda age: age.exemplars.extend([age.exemplars[0]] * 14)), "'age': 17 exemplars"),
    ],
)
def test_what_contradicts_itself_is_refused_by_name(message, complaint):
    """The error says where, what, and what would be valid."""
    with pytest.raises(CorruptSnapshotError, match=complaint):
        codec.decode(message.SerializeToString())


def test_a_feature_needs_no_histogram_or_no_quantiles():
    """A server that knows only one of the two may send it alone."""
    for missing in ("histogram", "kll_floats"):
        message = message_of(snapshot_of(numeric("amount", np.arange(2_000) / 3)))
        message.features[0].ClearField(missing)

        content = codec.decode(message.SerializeToString()).features[0].content

        assert (content.histogram is None) != (content.quantiles is None)


def test_too_much_is_refused_unparsed():
    """1 MiB and 10,000 features are the limits; half a million empty features never become objects."""
    with pytest.raises(CorruptSnapshotError, match="at most 1048576"):
        codec.decode(bytes(codec.MAX_BYTES + 1))
    with pytest.raises(CorruptSnapshotError, match="10000 features"):
        codec.decode(b"\x52\x00" * 500_000)
    with pytest.raises(CorruptSnapshotError, match="10000 features"):
        codec.decode(b"\x5a\x00" * 500_000)
    with pytest.raises(CorruptSnapshotError, match="10001 features"):
        codec.decode(codec.encode(snapshot_of()) + b"\x52\x00" * 10_001)


@pytest.mark.parametrize(
    "tag",
    [b"\x52", b"\xd2\x00", b"\xda\x80\x80\x80\x00"],
    ids=["features", "features, spelled longer", "matrices, spelled as long as can be"],
)
def test_a_tag_may_be_spelled_longer_than_need_be(tag):
    """Protobuf reads it all the same, so that it counts as one."""
    with pytest.raises(CorruptSnapshotError, match="10000 features"):
        codec.decode((tag + b"\x00") * 20_001)


@pytest.mark.parametrize("tag", [b"\x82\x01", b"\x82\x81\x00"], ids=["exemplars", "exemplars, spelled longer"])
def test_exemplars_beyond_number_are_refused_unparsed(tag):
    """A third of a million empty exemplars of one feature, or of packed columns, take 1 MB, and 50 when parsed."""
    exemplars = (tag + b"\x00") * 200_000
    length = pb.Exemplar(prediction_id="x" * len(exemplars)).SerializeToString()[1:4]

    for field in (b"\x52", b"\x82\x01"):
        with pytest.raises(CorruptSnapshotError, match="more fields"):
            codec.decode(field + length + exemplars)


def test_as_many_exemplars_as_fit_are_read():
    """Where every column has some of each reason, they are as many as in a genuine snapshot of 512 KB."""
    features = [boolean(f"feature {number}", 1, 1) for number in range(1_300)]
    for feature in features:
        feature.exemplars = merged_exemplars(
            Exemplar(reason, 1 + time, 1, time) for reason in REASONS for time in range(2)
        )
    payload = codec.encode(snapshot_of(*features))

    decoded = codec.decode(payload)

    assert len(payload) > codec.SPLIT_BYTES
    assert sum(len(feature.exemplars) for feature in decoded.features) == 15_600


def test_exemplars_of_unknown_reasons_are_skipped():
    """A newer writer may know more of them, and its snapshot counts as any."""
    message = message_of(a_bit_of_everything())
    message.features[AGE].exemplars[0].reason = 99

    assert codec.decode(message.SerializeToString()).features[AGE].exemplars == EXEMPLARS[1:]


def test_vectors_too_large_for_floats_are_sent_as_the_largest():
    """As with moments: what overflowed is finite on the wire, and consistent."""
    huge = np.array([[1e200, 1.0, -1e200], [-1e200, 2.0, 1e190], [1e20, 3.0, 0.0]])

    with np.errstate(all="raise"):
        decoded = codec.decode(codec.encode(snapshot_of(vector("huge", huge))))

    content = decoded.features[0].content
    assert content.count == 3
    assert np.isfinite(content.total).all()
    assert np.isfinite(content.products).all()


def test_many_letters_that_look_like_tags_are_no_reason_to_refuse():
    """ "R" and "Z" are the tag bytes of the repeated messages; names may be made of them."""
    features = [
        categorical(f"letters {number}", {f"{category:03}" + "RZ" * 60: 1 for category in range(256)})
        for number in range(4)
    ]

    assert len(codec.decode(codec.encode(snapshot_of(*features))).features) == 4


@settings(max_examples=300)
@given(payload=st.binary(max_size=400))
def test_random_bytes_are_refused(payload):
    """Nothing but CorruptSnapshotError comes of bytes that are no snapshot."""
    with pytest.raises(CorruptSnapshotError):
        codec.decode(payload)


def test_mutated_snapshots_are_refused_or_consistent():
    """Cut, extended and flipped payloads: refused, or as trustworthy as any."""
    corpus = [codec.encode(a_bit_of_everything()), codec.encode(snapshot_of(boolean("late", 1, 2)))]
    rng = random.Random(3)
    refused = 0
    for _ in range(4_000):
        payload = mutated(rng, rng.choice(corpus), header=400)
        try:
            decoded = codec.decode(payload)
        except CorruptSnapshotError:
            refused += 1
        else:
            for summary in decoded.features:
                assert summary.counters.valid >= 0
                assert summary.kind in FeatureKind
            codec.decode(codec.encode(decoded))

    assert refused > 1_500

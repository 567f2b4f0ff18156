import json
from itertools import chain

import numpy as np
import pytest
from histogram_samples import CUMULATIVE, DELTA, explicit, exponential, request_of
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import MINUTE, MODEL, SECOND, START, numeric

from collector_processor.errors import UndecodableRequestError
from collector_processor.processors.plain_histograms import Increments, sources
from collector_processor.processors.windows import LimitSettings, WindowSettings, WindowStore
from collector_processor.receivers.plain_histograms import HistogramReader
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.snapshot import Snapshot

READER = HistogramReader(sources({}))
SETTINGS = WindowSettings(window="5m")
AMOUNT = FeatureKey(FeatureRole.FEATURE, "amount")


def increments(settings=SETTINGS, now=START + 60 * MINUTE):
    return Increments(settings, wall_clock_ns=lambda: now)


def points(*metrics, **kwargs):
    found = READER.read(request_of(*metrics, **kwargs))
    assert not found.rejected
    return found.points


def taken(into, *metrics, **kwargs):
    """How many values of "amount" some metrics add."""
    return sum(
        summary.counters.rows
        for snapshot in into.take(points(*metrics, **kwargs))
        for summary in snapshot.features
        if summary.key == AMOUNT
    )


def restarted(into):
    twin = increments()
    twin.restore(into.encode())
    return twin


kinds = pytest.mark.parametrize("kind", [explicit, exponential])


@kinds
def test_a_delta_counts_once(kind):
    """The same interval again is a retry."""
    into = increments()
    metric = kind([1.0, 2.0], START, START + MINUTE)

    assert [taken(into, metric), taken(into, metric)] == [2, 0]
    assert into.outcomes == {"duplicate": 1}


@kinds
def test_deltas_that_overtook_each_other_all_count(kind):
    """The later interval first, then the earlier one; each once."""
    into = increments()
    later, earlier = kind([1.0], START + MINUTE, START + 2 * MINUTE), kind([2.0, 3.0], START, START + MINUTE)

    assert [taken(into, metric) for metric in (later, earlier, earlier, later)] == [1, 2, 0, 0]


@kinds
def test_a_cumulative_series_counts_what_is_new(kind):
    """A new series as a whole, then the difference from point to point."""
    into = increments()
    first = kind([1.0, 20.0], START, START + MINUTE, temporality=CUMULATIVE)
    second = kind([1.0, 20.0, 0.0, -7000.0, 9000.0], START, START + 2 * MINUTE, temporality=CUMULATIVE)

    assert [taken(into, first), taken(into, second), taken(into, second), taken(into, first)] == [2, 3, 0, 0]
    assert into.outcomes == {"duplicate": 1, "too_old": 1}


@kinds
def test_what_a_long_running_service_counted_before_is_only_a_reference(kind):
    """Its first point holds days of values; nobody knows when they came."""
    into = increments()
    first = kind([1.0] * 100, START - 1000 * MINUTE, START, temporality=CUMULATIVE)
    second = kind([1.0] * 103, START - 1000 * MINUTE, START + MINUTE, temporality=CUMULATIVE)

    assert [taken(into, first), taken(into, second)] == [0, 3]
    assert into.outcomes["reference"] == 1


def test_a_process_that_began_anew_counts_from_its_own_start():
    """Another start time is another series: nothing is taken for a reset by guess."""
    into = increments()
    before = explicit([1.0] * 10, START, START + MINUTE, temporality=CUMULATIVE)
    after = explicit([1.0] * 4, START + 70 * SECOND, START + 2 * MINUTE, temporality=CUMULATIVE)

    assert [taken(into, before), taken(into, after)] == [10, 4]


def test_replicas_that_look_the_same_are_told_apart_by_their_start():
    """Without an instance id, two processes have one identity: each counts on from its own points."""
    into = increments()
    points_of = [
        explicit([1.0] * count, START + begin, START + end * MINUTE, temporality=CUMULATIVE)
        for count, begin, end in ((10, 0, 1), (3, 7, 1), (12, 0, 2), (8, 7, 2))
    ]

    assert [taken(into, metric) for metric in points_of] == [10, 3, 2, 5]


def test_counts_that_go_down_count_nothing():
    """At the same start that cannot be; what follows is compared with the new counts."""
    into = increments()
    counts = [
        taken(into, explicit([1.0] * count, START, START + minute * MINUTE, temporality=CUMULATIVE))
        for minute, count in enumerate((10, 4, 6), 1)
    ]

    assert counts == [10, 0, 2]
    assert into.outcomes["reset"] == 1


def test_a_series_whose_scale_came_down_is_compared_as_coarsely():
    """A value far away widens the buckets; those before count the same in them."""
    into = increments()
    values = list(np.linspace(1.0, 1.1, 50))
    near = exponential(values, START, START + MINUTE, temporality=CUMULATIVE)
    far = exponential([*values, 1e12], START, START + 2 * MINUTE, temporality=CUMULATIVE)
    taken(into, near)

    (snapshot,) = into.take(points(far))

    assert snapshot.features[0].content.moments.count == 1
    assert snapshot.features[0].content.moments.minimum > 1e11


values = st.lists(st.sampled_from((-7000.0, -0.25, 0.0, 0.3, 4.0, 80.0, 1e6)), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    intervals=st.lists(values, min_size=1, max_size=6),
    kind=st.sampled_from((explicit, exponential)),
    order=st.randoms(use_true_random=False),
    restarts=st.sets(st.integers(0, 11)),
    by_changes=st.booleans(),
)
def test_whatever_the_way_each_value_counts_once(intervals, kind, order, restarts, by_changes):
    """Deltas in any order, with retries and restarts, and cumulative points, add up to the values there were."""
    ends = [START + minute * MINUTE for minute in range(len(intervals) + 1)]
    deltas = [kind(found, ends[i], ends[i + 1], temporality=DELTA) for i, found in enumerate(intervals)] * 2
    order.shuffle(deltas)
    so_far = [list(chain.from_iterable(intervals[: i + 1])) for i in range(len(intervals))]
    sums = [kind(found, START, ends[i + 1], temporality=CUMULATIVE) for i, found in enumerate(so_far)]
    totals = []
    for metrics in (deltas, [metric for metric in sums for _ in range(2)]):
        into, kept, store, seen = increments(), {}, WindowStore(SETTINGS, wall_clock_ns=lambda: START), 0
        for step, metric in enumerate(metrics):
            for snapshot in into.take(points(metric)):
                seen += sum(summary.content.moments.count for summary in snapshot.features)
                assert store.merge(snapshot).value == "merged"
            kept.update(into.changes())
            if step in restarts:
                everything = into.encode()
                if by_changes:
                    everything = {key: value for key, value in kept.items() if value is not None}
                into = increments()
                into.restore(everything)
        totals.append(seen)
        windows = [window for stream in store.streams.values() for window in stream.windows.values()]
        assert sum(window.rows for window in windows) == seen
        merged = [part.content.count for window in windows for part in window.parts.values()]
        assert sum(merged) == seen

    assert totals == [sum(map(len, intervals))] * 2


def test_what_is_kept_is_what_was_known():
    """Every kind of state, through the store and back, bit by bit."""
    into = increments()
    into.take(points(explicit([1.0, -2.0], START, START + MINUTE), resource={}))
    into.take(points(explicit([1.0], START, START + MINUTE, feature="age", temporality=CUMULATIVE)))
    into.take(points(exponential([1.0, -3.0, 0.0], START, START + MINUTE, feature="x", temporality=CUMULATIVE)))
    into.snapshot_came(Snapshot(bytes(16), 1, MODEL, START, START + MINUTE, 1, 0, []))

    assert restarted(into).encode() == into.encode()


def test_changes_are_what_another_state_has_more():
    """Nothing twice, and None for what had to make room."""
    settings_of_one = WindowSettings(window="1m", limits=LimitSettings(producers=1))
    into = increments(settings_of_one)
    into.take(points(explicit([1.0], START, START + MINUTE)))
    (before,) = [key for key in into.changes() if key.startswith("series/")]

    into.take(points(explicit([1.0], START + 50 * MINUTE, START + 51 * MINUTE, feature="age")))
    changed = into.changes()

    assert changed[before] is None
    assert [key for key in into.changes() if key.startswith("series/")] == []


def test_beyond_the_limit_new_series_wait_until_others_fall_silent():
    """A crowd of series cannot push out those that are counted right now."""
    into = increments(WindowSettings(window="1m", limits=LimitSettings(producers=2)))
    for name in ("a", "b", "c"):
        into.take(points(explicit([1.0], START, START + MINUTE, feature=name)))
    into.take(points(explicit([1.0], START + 20 * MINUTE, START + 21 * MINUTE, feature="c")))

    assert into.outcomes == {"too_many_series": 1}


def test_what_may_have_been_counted_by_a_forgotten_series_is_not_counted_again():
    """Losing it is better than counting twice."""
    into = increments(WindowSettings(window="1m", limits=LimitSettings(producers=1)))
    metric = explicit([1.0], START, START + MINUTE)
    taken(into, metric)
    taken(into, explicit([1.0], START + 20 * MINUTE, START + 21 * MINUTE, feature="age"))

    assert taken(into, metric) == 0
    assert into.outcomes.total() == 1


def test_points_from_the_future_are_refused():
    """Or they would hold their place in memory for ever."""
    into = increments(now=START)

    assert taken(into, explicit([1.0], START, START + 20 * MINUTE)) == 0
    assert into.outcomes == {"future": 1}


def test_a_model_that_sends_snapshots_needs_no_histograms():
    """They are of the same values; after a window without snapshots they count again."""
    into = increments()
    into.snapshot_came(Snapshot(bytes(16), 1, MODEL, START, START + MINUTE, 1, 0, []))

    assert taken(into, explicit([1.0], START + MINUTE, START + 2 * MINUTE)) == 0
    assert taken(into, explicit([1.0], START + 7 * MINUTE, START + 8 * MINUTE)) == 1
    assert into.outcomes == {"redundant": 1}


def test_rows_are_those_of_the_column_with_most_values():
    """However points are spread over requests, retries and replicas."""
    into = increments()
    first = into.take(
        points(explicit([1.0] * 5, START, START + MINUTE), explicit([1.0] * 3, START, START + MINUTE, feature="age"))
    )
    second = into.take(points(explicit([1.0] * 7, START, START + MINUTE, feature="income")))
    replica = into.take(points(explicit([1.0] * 4, START, START + MINUTE), resource={"service.instance.id": "2"}))

    assert [snapshot.rows for snapshot in (*first, *second, *replica)] == [5, 2, 2]


def test_a_column_comes_with_a_bounded_number_of_bounds():
    """A program that makes up bounds must not fill a window."""
    into = increments()
    for number in range(20):
        into.take(points(explicit([1.0], START + number, START + MINUTE, bounds=(0.0, 1.0 + number))))

    assert into.outcomes == {"too_many_bounds": 12}


def test_a_summary_claims_no_more_than_a_histogram_knows():
    """No missing values are claimed to be absent, and no variance to be known."""
    (snapshot,) = increments().take(points(explicit([1.0, 7.0, 8.0], START, START + MINUTE)))
    (summary,) = snapshot.features

    assert (summary.counters.rows, summary.counters.unchecked) == (3, 3)
    assert summary.content.moments.m2 == np.inf
    assert summary.content.moments.mean == pytest.approx(16 / 3)
    assert (summary.content.moments.minimum, summary.content.moments.maximum) == (1.0, 8.0)


def test_the_range_of_an_increment_is_that_of_its_buckets():
    """The extremes of a cumulative point are those of all its values: what is new lies within its buckets."""
    into = increments()
    into.take(points(explicit([-50.0, 9000.0], START, START + MINUTE, temporality=CUMULATIVE)))
    later = explicit([-50.0, 9000.0, 30.0], START, START + 2 * MINUTE, temporality=CUMULATIVE)

    (snapshot,) = into.take(points(later))
    moments = snapshot.features[0].content.moments

    assert (moments.minimum, moments.maximum, moments.mean) == (25.0, 50.0, 30.0)


def test_a_window_keeps_bounds_and_doubts_over_a_restart():
    """Through the codec that checkpoints are written with."""
    (snapshot,) = increments().take(points(explicit([1.0, 7.0], START, START + MINUTE)))

    (summary,) = codec.decode(codec.encode(snapshot)).features

    (bins,) = summary.content.bins.values()
    assert bins.layout is not None
    assert summary.counters.unchecked == 2
    assert summary.content.moments.m2 == np.inf


def test_keys_of_entries_are_texts_that_tell_their_owner():
    """What an operator sees in the store."""
    into = increments()
    into.take(points(explicit([1.0], START, START + MINUTE)))

    assert {key.partition("/")[0] for key in into.encode()} == {"series", "rows", "forgotten"}
    (place,) = [key for key in into.encode() if key.startswith("rows/")]
    assert json.loads(place.partition("/")[2])[0] == list(MODEL)


def test_windows_merge_histograms_and_snapshots_of_one_column():
    """A fleet in the middle of moving to the library: both are in the window."""
    store = WindowStore(SETTINGS, wall_clock_ns=lambda: START)
    store.merge(Snapshot(b"a" * 16, 1, MODEL, START, START + MINUTE, 30, 0, [numeric("amount", np.arange(30.0))]))
    for snapshot in increments().take(points(explicit([1.0, 7.0], START, START + MINUTE))):
        store.merge(snapshot)

    (window,) = store.close_all()
    (part,) = window.parts.values()

    assert part.content.count == 32
    assert (part.counters.rows, part.counters.unchecked) == (32, 2)


@settings(max_examples=300, deadline=None)
@given(data=st.data(), kind=st.sampled_from((explicit, exponential)), temporality=st.sampled_from((DELTA, CUMULATIVE)))
def test_no_mutation_of_a_request_harms_what_is_known(data, kind, temporality):
    """What still can be read is merged and kept, or counted; nothing is raised, and the memory can be restored."""
    into, store = increments(), WindowStore(SETTINGS, wall_clock_ns=lambda: START)
    sent = [-3.5, 0.0, 1.0, 7.0, 20.0, 20_000.0]
    taken(into, kind(sent, START, START + MINUTE, temporality=temporality))
    body = bytearray(request_of(kind([*sent, 0.5], START, START + 2 * MINUTE, temporality=temporality)))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = READER.read(bytes(body))
    except UndecodableRequestError:
        return

    for snapshot in into.take(found.points):
        store.merge(snapshot)
        assert codec.decode(codec.encode(snapshot)).features[0].counters == snapshot.features[0].counters

    assert restarted(into).encode() == into.encode()


numbers = st.floats(allow_nan=False, allow_infinity=False)


@settings(max_examples=200, deadline=None)
@given(
    found=st.lists(numbers, min_size=1, max_size=8), kind=st.sampled_from((explicit, exponential)), claims=st.booleans()
)
def test_any_values_make_a_summary_that_can_be_kept(found, kind, claims):
    """Also of the largest and the smallest doubles, with or without a sum and extremes: bounds hold every value."""
    with np.errstate(over="ignore"):
        metric = kind(found, START, START + MINUTE)
    if not claims:
        for field in ("sum", "min", "max"):
            getattr(metric, metric.WhichOneof("data")).data_points[0].ClearField(field)

    (snapshot,) = increments().take(points(metric))
    moments = snapshot.features[0].content.moments
    (decoded,) = codec.decode(codec.encode(snapshot)).features

    tiny = np.finfo(float).tiny
    assert moments.minimum <= min(found) or abs(min(found)) < tiny
    assert moments.maximum >= max(found) or abs(max(found)) < tiny
    assert decoded.content.moments == moments

"""Which window a snapshot belongs to, when it closes, and what it holds then."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_samples import MINUTE, SECOND, START, Producer, categorical, numeric

from collector_processor.processors.deduplication import Admission, Deduplicator
from collector_processor.processors.windows import LimitSettings, Outcome, WindowSettings, WindowStore
from otel_ml.sketch import codec
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

AMOUNT = (FeatureKey(FeatureRole.FEATURE, "amount"), FeatureKind.NUMERIC)
FIVE_MINUTES = 5 * MINUTE
LAYOUT = BinLayout(np.array([1.0, 2.0]))


class Clock:
    """A monotonic clock that stands still unless told."""

    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


def store(clock=None, *, wall_clock_ns=lambda: START + 10 * 365 * 86_400 * SECOND, deployments=None, **settings):
    return WindowStore(WindowSettings(**settings), clock or Clock(), wall_clock_ns, deployments=deployments)


def test_a_snapshot_belongs_to_the_window_in_which_its_interval_starts():
    """Windows begin at multiples of their length since 1970."""
    windows = store(window="5m")
    windows.merge(Producer().snapshot(start=START + FIVE_MINUTES - 1, length=MINUTE))

    (window,) = windows.close_all()

    assert (window.start_unix_nano, window.end_unix_nano) == (START, START + FIVE_MINUTES)


def test_a_window_closes_once_event_time_passes_its_end_and_the_lateness():
    """Until then, replicas that lag may still report."""
    windows, producer = store(window="5m", lateness="30s"), Producer()
    windows.merge(producer.snapshot(start=START, length=FIVE_MINUTES))
    windows.merge(producer.snapshot(start=START + FIVE_MINUTES, length=29 * SECOND))
    assert windows.close_due() == []

    windows.merge(producer.snapshot(start=START + FIVE_MINUTES, length=30 * SECOND))

    assert [window.start_unix_nano for window in windows.close_due()] == [START]


def test_a_silent_stream_closes_its_windows_by_the_clock():
    """The last window before a night must not wait for the morning."""
    clock = Clock()
    windows = store(clock, window="5m", lateness="30s")
    windows.merge(Producer().snapshot(start=START, length=MINUTE))
    clock.now_s += 4 * 60 + 29
    assert windows.close_due() == []

    clock.now_s += 1

    assert len(windows.close_due()) == 1


def test_a_late_snapshot_is_told_apart_and_not_merged():
    """What was reported stays as it was reported."""
    windows, producer = store(window="5m", lateness="0s", allowed_lateness="0s"), Producer()
    windows.merge(producer.snapshot(start=START + FIVE_MINUTES))
    windows.close_due()

    assert windows.merge(producer.snapshot(start=START)) is Outcome.LATE


def test_a_snapshot_within_lateness_joins_its_window():
    """Reordering within the lateness changes nothing."""
    windows, producer = store(window="5m", lateness="2m"), Producer()
    windows.merge(producer.snapshot(numeric("amount", [1.0]), start=START + FIVE_MINUTES))
    outcome = windows.merge(producer.snapshot(numeric("amount", [2.0]), start=START))

    assert outcome is Outcome.MERGED
    assert [window.rows for window in windows.close_all()] == [1, 1]


def test_a_clock_that_runs_ahead_moves_nobody_elses_time():
    """One broken clock would otherwise make every other replica late."""
    windows = store(window="5m", max_future="10m", wall_clock_ns=lambda: START)

    outcome = windows.merge(Producer().snapshot(start=START + 3600 * SECOND))

    assert outcome is Outcome.FUTURE
    assert windows.streams == {}


def test_versions_have_windows_of_their_own():
    """A new version is another model."""
    windows = store()
    windows.merge(Producer(model=ModelKey("fraud", "3")).snapshot())
    windows.merge(Producer(model=ModelKey("fraud", "4")).snapshot())

    assert sorted(window.model.version for window in windows.close_all()) == ["3", "4"]


def test_kinds_of_one_column_are_kept_apart():
    """Which replica came first must not decide how a column is read."""
    windows, producer = store(), Producer()
    windows.merge(producer.snapshot(numeric("amount", [1.0, 2.0])))
    windows.merge(producer.snapshot(categorical("amount", {"one": 3})))

    (window,) = windows.close_all()

    assert {kind: part.counters.rows for (_, kind), part in window.parts.items()} == {
        FeatureKind.NUMERIC: 2,
        FeatureKind.CATEGORICAL: 3,
    }


def test_windows_closed_at_the_end_are_marked_as_partial():
    """A result on half a window should say so."""
    windows, producer = store(window="5m", lateness="0s"), Producer()
    windows.merge(producer.snapshot(start=START))
    windows.merge(producer.snapshot(start=START + FIVE_MINUTES))

    assert [window.is_partial for window in windows.close_all()] == [False, True]


def test_more_open_windows_than_may_be_are_refused():
    """Memory is bounded, whoever sends."""
    windows = store(lateness="1h", limits=LimitSettings(open_windows=1))
    windows.merge(Producer().snapshot(start=START))

    outcome = windows.merge(Producer().snapshot(start=START + FIVE_MINUTES))

    assert outcome is Outcome.TOO_MANY_WINDOWS


def test_a_model_without_open_windows_makes_room_for_another():
    """Last year's versions do not keep today's out."""
    windows = store(lateness="0s", allowed_lateness="0s", limits=LimitSettings(models=1))
    windows.merge(Producer().snapshot(start=START, length=FIVE_MINUTES))
    windows.close_due()

    assert windows.merge(Producer(model=ModelKey("other")).snapshot()) is Outcome.MERGED


batches = st.lists(
    st.tuples(st.integers(0, 2), st.lists(st.integers(-50, 50), min_size=1, max_size=30), st.integers(0, 3)),
    min_size=1,
    max_size=8,
)


@given(batches=batches, data=st.data())
def test_any_order_and_repetition_gives_what_one_process_would_have_seen(batches, data):
    """Several replicas behind an unreliable network know together what one replica would have known."""
    producers = [Producer(producer_id=bytes([index]) * 16) for index in range(3)]
    snapshots = [
        lambda index=index, values=values, missing=missing, sequence=sequence: Producer(
            producers[index].producer_id, sequence=sequence
        ).snapshot(numeric("amount", values, missing=missing), categorical("sign", {str(v > 0): 1 for v in values}))
        for sequence, (index, values, missing) in enumerate(batches)
    ]
    deliveries = data.draw(st.permutations(range(len(snapshots))))
    repeated = data.draw(st.lists(st.sampled_from(range(len(snapshots))), max_size=6))
    windows, deduplicator = store(), Deduplicator(10)
    for delivery in [*deliveries, *repeated]:
        # Built anew, as if decoded anew: a window grows in the first summary it is given.
        snapshot = snapshots[delivery]()
        if deduplicator.admit(snapshot.producer_id, snapshot.sequence) is Admission.NEW:
            windows.merge(snapshot)

    (window,) = windows.close_all()

    everything = sorted(value for _, values, _ in batches for value in values)
    amount = window.parts[AMOUNT]
    assert window.rows == len(everything) + sum(missing for _, _, missing in batches)
    assert amount.counters.missing == sum(missing for _, _, missing in batches)
    assert amount.content.moments.count == len(everything)
    assert (amount.content.moments.minimum, amount.content.moments.maximum) == (everything[0], everything[-1])
    in_sketches = sum(sketch.count for sketch in (amount.content.exact, amount.content.quantiles) if sketch is not None)
    assert in_sketches == len(everything)


def test_a_segment_has_windows_beside_those_of_the_whole():
    """Its rows are in the whole's already, so neither is added to the other."""
    windows, producer = store(), Producer()
    windows.merge(producer.snapshot(numeric("amount", [1.0] * 10)))
    windows.merge(replace(producer.snapshot(numeric("amount", [1.0] * 4)), segment=Segment("country", "NO")))
    windows.merge(replace(producer.snapshot(numeric("amount", [1.0] * 3)), segment=Segment("country", "NO")))

    rows = {window.segment: window.rows for window in windows.close_all()}

    assert rows == {None: 10, Segment("country", "NO"): 7}


def test_processes_are_counted_by_what_they_have_installed():
    """A window in which a dependency changed has two digests."""
    windows = store()
    for number, digest in enumerate(("old", "old", "new")):
        producer = Producer(producer_id=bytes([number]) * 16)
        for _ in range(2):
            windows.merge(replace(producer.snapshot(rows=1), packages_digest=digest))

    (window,) = windows.close_all()

    assert {digest: len(heard) for digest, heard in window.producers.items()} == {"old": 2, "new": 1}


def decoded(snapshot):
    """The snapshot as it comes out of its bytes, with bins as matrices."""
    return codec.decode(codec.encode(snapshot))


def test_columns_in_bins_add_up_however_they_came():
    """A replica that knows its baseline, one that knows no bins for one column, and one with other columns."""
    windows, producer = store(), Producer()
    values = [0.5, 1.5, 9.0]
    both = numeric("amount", values, layout=LAYOUT), numeric("age", values, layout=LAYOUT)
    windows.merge(decoded(producer.snapshot(*both)))
    windows.merge(decoded(producer.snapshot(*both)))
    windows.merge(decoded(producer.snapshot(numeric("amount", values))))
    windows.merge(decoded(producer.snapshot(numeric("age", values, layout=LAYOUT))))

    (window,) = windows.close_all()

    parts = {key.name: part.content for (key, _), part in window.parts.items()}
    assert len(window.binned) == 2
    assert (parts["amount"].count, parts["age"].count) == (9, 9)
    assert parts["amount"].bins[LAYOUT.hash].counts.tolist() == [2, 2, 2]
    assert parts["amount"].exact.count == 3
    assert parts["age"].bins[LAYOUT.hash].counts.tolist() == [3, 3, 3]


def test_columns_in_sketches_add_up_however_they_came():
    """Replicas that agree on the columns, one that had few distinct values, and one with other columns."""
    windows, producer = store(), Producer()
    many, few = [value / 7 for value in range(30)], [0.5, 1.5]
    windows.merge(decoded(producer.snapshot(numeric("amount", many), numeric("age", many))))
    windows.merge(decoded(producer.snapshot(numeric("amount", many), numeric("age", many))))
    windows.merge(decoded(producer.snapshot(numeric("amount", few), numeric("age", many))))
    windows.merge(decoded(producer.snapshot(numeric("amount", many, layout=LAYOUT))))

    (window,) = windows.close_all()

    parts = {key.name: part.content for (key, _), part in window.parts.items()}
    assert [len(block.keys) for block in window.sketched] == [2, 1]
    assert (parts["amount"].count, parts["age"].count) == (92, 90)
    assert (parts["amount"].histogram.count, parts["age"].histogram.count) == (62, 90)
    assert (parts["amount"].quantiles.count, parts["age"].quantiles.count) == (62, 90)
    assert parts["amount"].bins[LAYOUT.hash].count == 30


def test_columns_in_sketches_count_towards_the_limit():
    """A matrix has no more columns than were allowed; those beyond are counted."""
    windows, producer = store(limits=LimitSettings(features=2)), Producer()
    columns = [numeric(name, range(30)) for name in ("a", "b", "c")]

    windows.merge(decoded(producer.snapshot(*columns[:2])))
    windows.merge(decoded(producer.snapshot(*columns)))

    (window,) = windows.close_all()
    assert window.features == 2
    counted = {key.name: part.counters.rows for (key, _), part in window.parts.items()}
    assert counted == {"a": 30, "b": 30, "_OTHER": 90}
    assert windows.features_dropped == {"too_many_features": 3}


def test_a_window_of_a_deployment_does_not_grow_with_the_whole():
    """Both take in the same snapshots; sketches of the one are not those of the other."""
    windows = store(deployments="service.version")
    producer = Producer()
    for version in ("1.4", "1.5", "1.4", "1.5"):
        snapshot = decoded(producer.snapshot(numeric("amount", range(30))))
        windows.merge(replace(snapshot, resource={"service.version": version}))

    found = {window.segment: window.parts[AMOUNT].content for window in windows.close_all()}

    counts = {segment and segment.value: content.quantiles.count for segment, content in found.items()}
    assert counts == {None: 120, "1.4": 60, "1.5": 60}
    assert all(content.histogram.count == content.quantiles.count for content in found.values())


def test_looking_at_a_window_does_not_change_it():
    """Its parts are made for who asks, from what it holds."""
    windows, producer = store(), Producer()
    windows.merge(decoded(producer.snapshot(numeric("amount", [0.5], layout=LAYOUT))))
    windows.merge(decoded(producer.snapshot(numeric("amount", [0.5]))))
    (window,) = windows.close_all()

    counts = [part.content.count for _ in range(3) for part in window.parts.values()]

    assert counts == [2, 2, 2]


@pytest.mark.parametrize("first_is_matrix", [True, False])
def test_edges_that_cut_another_number_of_bins_are_refused(first_is_matrix):
    """One hash, two layouts: someone is wrong, and what came first stays."""
    windows, producer = store(), Producer()
    wrong = numeric("amount", [0.5])
    wrong.content.exact = None
    wrong.content.bins[LAYOUT.hash] = AnchoredBins(LAYOUT.hash, np.array([1, 0, 0, 0]))
    right = producer.snapshot(numeric("amount", [0.5], layout=LAYOUT))
    windows.merge(decoded(right) if first_is_matrix else right)

    windows.merge(decoded(producer.snapshot(wrong)))
    windows.merge(producer.snapshot(wrong))

    assert windows.features_dropped == {"incompatible": 2}
    (window,) = windows.close_all()
    assert [part.content.bins[LAYOUT.hash].counts.tolist() for part in window.parts.values()] == [[1, 0, 0]]


def test_too_many_columns_in_bins_are_counted_and_left_out():
    """The bound on columns holds whichever way they come."""
    windows, producer = store(limits={"features": 3}), Producer()
    for names in (["a", "b"], ["c", "d"]):
        windows.merge(decoded(producer.snapshot(*(numeric(name, [0.5], layout=LAYOUT) for name in names))))

    assert windows.features_dropped == {"too_many_features": 1}
    (window,) = windows.close_all()
    assert window.features == 3

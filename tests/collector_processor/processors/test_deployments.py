"""Windows of deployments beside those of the whole model."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import MINUTE, MODEL, SECOND, START, Producer, categorical, numeric
from reference_samples import Shelf

from collector_processor.processors import checkpoint
from collector_processor.processors.alerts import AlertBook, AlertSettings
from collector_processor.processors.deduplication import Deduplicator
from collector_processor.processors.evaluation.correction import Correction
from collector_processor.processors.windows import LimitSettings, Outcome, WindowSettings, WindowStore
from collector_processor.processors.windows.overflow import OVERFLOW_COLUMN
from otel_ml.sketch import codec
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.summary import FeatureSummary

VERSION = "service.version"
OLD, NEW = Segment(VERSION, "1.4"), Segment(VERSION, "1.5")
LAYOUT = BinLayout(np.array([-10.0, 0.0, 10.0]))
MEANING = FeatureKey(FeatureRole.FEATURE, "meaning")


def store(deployments=VERSION, **settings):
    return WindowStore(
        WindowSettings(**settings), lambda: 1000.0, lambda: START + 365 * 86_400 * SECOND, deployments=deployments
    )


def by_segment(windows):
    return {window.segment: window for window in windows.close_all()}


def vectors(values):
    content = EmbeddingSummary()
    content.update(np.outer(values, [1.0, 2.0]))
    return FeatureSummary(MEANING, content, Counters(len(values)))


def sent(producer, values, resource, *, start=START, **of_snapshot):
    """As a receiver decodes it: columns in bins, in sketches, of categories, of vectors."""
    values = np.asarray(values, float)
    snapshot = producer.snapshot(
        numeric("binned", values, layout=LAYOUT),
        numeric("counted", values),
        numeric("sketched", values + np.arange(len(values)) / 1e3),
        categorical("sign", {str(value > 0): 1 for value in values}),
        vectors(values),
        start=start,
    )
    return replace(codec.decode(codec.encode(replace(snapshot, **of_snapshot))), resource=resource)


def encoded(window):
    """Everything that a window holds, as bytes."""
    snapshot = replace(Producer().snapshot(), features=sorted(window.parts.values(), key=lambda part: part.key.name))
    return window.rows, window.snapshots, codec.encode(snapshot)


def test_a_snapshot_goes_into_the_whole_and_into_its_deployment():
    """Rows are counted once in each; one that names no deployment is in the whole alone."""
    windows = store()
    old, new, unnamed = Producer(b"o" * 16), Producer(b"n" * 16), Producer(b"u" * 16)

    outcomes = [
        windows.merge(sent(old, [1.0] * 50, {VERSION: "1.4"})),
        windows.merge(sent(new, [2.0] * 30, {VERSION: "1.5"})),
        windows.merge(sent(old, [1.0] * 50, {VERSION: "1.4"})),
        windows.merge(sent(unnamed, [1.0] * 7, {"host.name": "a"})),
    ]

    assert outcomes == [Outcome.MERGED] * 4
    assert {segment: window.rows for segment, window in by_segment(windows).items()} == {None: 137, OLD: 100, NEW: 30}


def test_without_a_dimension_nothing_is_divided():
    """What a resource says is of no concern then."""
    windows = store(deployments=None)

    windows.merge(sent(Producer(), [1.0] * 50, {VERSION: "1.4"}))

    assert list(by_segment(windows)) == [None]


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(
        st.tuples(st.sampled_from(["1.4", "1.5", None]), st.lists(st.integers(-50, 50), min_size=1, max_size=30)),
        min_size=1,
        max_size=8,
    )
)
def test_every_window_holds_what_it_would_have_held_alone(batches):
    """The whole is not changed by its deployments, nor one deployment by another or by the whole."""
    together = store()
    alone = {segment: store(deployments=None) for segment in (None, OLD, NEW)}
    for sequence, (version, values) in enumerate(batches):
        resource = {} if version is None else {VERSION: version}
        together.merge(sent(Producer(sequence=sequence), values, resource))
        for segment, windows in alone.items():
            if segment is None or segment.value == version:
                windows.merge(sent(Producer(sequence=sequence), values, resource))

    found = by_segment(together)

    expected = {segment: windows.close_all() for segment, windows in alone.items()}
    assert found.keys() == {segment for segment, windows in expected.items() if windows}
    for segment, window in found.items():
        assert encoded(window) == encoded(expected[segment][0])


@pytest.mark.parametrize("features", [2000, 3])
def test_a_window_does_not_grow_in_what_another_one_took_over(features):
    """As matrices of counts or, where there are too many columns for one, column by column."""
    windows = store(limits=LimitSettings(features=features))
    wide = [numeric(f"x{number}", [1.0] * 40, layout=LAYOUT) for number in range(4)]
    producer = Producer()

    for _ in range(3):
        snapshot = codec.decode(codec.encode(producer.snapshot(*wide)))
        windows.merge(replace(snapshot, resource={VERSION: "1.4"}))
    windows.merge(codec.decode(codec.encode(producer.snapshot(*wide))))

    for segment, window in by_segment(windows).items():
        counts = {part.content.count for (key, _), part in window.parts.items() if key != OVERFLOW_COLUMN}
        assert counts == ({160} if segment is None else {120})
        assert window.features == min(features, 4)


def test_columns_that_are_left_out_are_counted_once():
    """Not once for the whole and once more for the deployment."""
    windows = store(limits=LimitSettings(features=3))

    windows.merge(sent(Producer(), [1.0] * 10, {VERSION: "1.4"}))

    assert windows.features_dropped == {"too_many_features": 2}


def test_deployments_beyond_the_limit_are_one_more_and_counted():
    """A version for every request, by mistake or by malice, fills no memory."""
    windows, producer = store(limits=LimitSettings(segments=2)), Producer()

    outcomes = [windows.merge(sent(producer, [1.0] * 10, {VERSION: str(number)})) for number in range(20)]

    assert outcomes == [Outcome.MERGED] * 20
    assert windows.overflown == {"too_many_segments": 18}
    found = by_segment(windows)
    assert {segment: window.rows for segment, window in found.items()} == {
        None: 200,
        Segment(VERSION, "0"): 10,
        Segment(VERSION, "1"): 10,
        Segment(VERSION, "_OTHER"): 180,
    }


def test_segments_are_not_divided_by_deployment():
    """Norway's rows are in the whole's snapshot, and so in the deployment already."""
    windows, producer = store(), Producer()
    norway = Segment("country", "NO")

    windows.merge(sent(producer, [1.0] * 50, {VERSION: "1.4"}))
    windows.merge(sent(producer, [1.0] * 20, {VERSION: "1.4"}, segment=norway))

    assert {segment: window.rows for segment, window in by_segment(windows).items()} == {None: 50, OLD: 50, norway: 20}


def test_a_server_that_sends_its_deployment_as_a_segment_is_not_counted_twice():
    """Its resource says the same; where that says nothing, the segment stands for the deployment."""
    windows, producer = store(), Producer()

    outcomes = [
        windows.merge(sent(producer, [1.0] * 50, {VERSION: "1.4"})),
        windows.merge(sent(producer, [1.0] * 50, {VERSION: "1.4"}, segment=OLD)),
        windows.merge(sent(producer, [1.0] * 30, {}, segment=NEW)),
    ]

    assert outcomes == [Outcome.MERGED, Outcome.REDUNDANT, Outcome.MERGED]
    assert {segment: window.rows for segment, window in by_segment(windows).items()} == {None: 50, OLD: 50, NEW: 30}


def test_windows_of_deployments_close_with_the_whole_and_take_nothing_in_after():
    """One watermark for all of a model."""
    windows, producer = store(window="5m", lateness="0s", allowed_lateness="0s"), Producer()
    windows.merge(sent(producer, [1.0] * 50, {VERSION: "1.4"}))
    windows.merge(sent(producer, [1.0] * 50, {VERSION: "1.4"}, start=START + 5 * MINUTE))

    closed = windows.close_due()

    assert {(window.start_unix_nano, window.segment) for window in closed} == {(START, None), (START, OLD)}
    assert windows.merge(sent(producer, [1.0] * 50, {VERSION: "1.5"})) is Outcome.LATE
    assert len(windows.streams[MODEL].windows) == 2


def test_open_windows_of_deployments_survive_a_restart():
    """And go on to grow with the whole."""
    windows, again, shelf = store(), store(), Shelf()
    others = Deduplicator(10), AlertBook(AlertSettings()), Correction(0.05, 10)
    producer = Producer()
    windows.merge(sent(producer, [1.0] * 50, {VERSION: "1.4"}))
    windows.merge(sent(producer, [2.0] * 30, {VERSION: "1.5"}))

    shelf.take(checkpoint.sections(windows, *others, 0))
    checkpoint.restore(shelf, again, *others)
    again.merge(sent(producer, [1.0] * 50, {VERSION: "1.4"}))

    found = by_segment(again)
    assert {segment: window.rows for segment, window in found.items()} == {None: 130, OLD: 100, NEW: 30}
    counted = {part.key.name: part.counters.rows for part in found[OLD].parts.values()}
    assert counted == {"binned": 100, "counted": 100, "sketched": 100, "sign": 2, "meaning": 100}

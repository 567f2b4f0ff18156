"""Segments, intervals and models: where rows are summarised."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from otel_ml import record
from otel_ml.recording import guard
from otel_ml.recording import slots as slots_module
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.recording.slots import MAX_SEGMENTS, Slot, Slots
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment
from otel_ml.testing import captured_telemetry

INFO = ModelInfo(ModelKey("m"))


def test_a_segment_is_summarised_beside_the_whole():
    """The whole counts every row; each segment its own."""
    with captured_telemetry() as telemetry:
        for country in ("NO", "NO", "SE"):
            record({"a": 1.0}, model="m", segments={"country": country})
        record({"a": 1.0}, model="m")
        rows = {snapshot.segment: snapshot.rows for snapshot in telemetry.snapshots()}

    assert rows == {None: 4, Segment("country", "NO"): 2, Segment("country", "SE"): 1}


def test_series_and_counts_are_of_the_whole_only():
    """A slice must not be added to what it is a slice of."""
    with captured_telemetry() as telemetry:
        record({"a": 1.0}, model="m", segments={"country": "NO", "channel": "app"})

        (point,) = telemetry.points("ml.feature.value")
        assert point.count == 1
        (size,) = telemetry.points("ml.inference.batch.size")
        assert size.count == 1


@given(st.lists(st.dictionaries(st.sampled_from(["country", "channel"]), st.sampled_from(["a", "b"])), max_size=30))
def test_the_rows_of_a_segment_are_those_that_name_it(named):
    """Whatever else they name."""
    slots = Slots(interval_ns=10**9, max_features=10)
    calls = [Inference(INFO, "record", {"x": 1.0}, segments=segments or None) for segments in named]

    groups = slots.grouped(calls)

    for dimension in ("country", "channel"):
        for value in ("a", "b"):
            wanted = sum(segments.get(dimension) == value for segments in named)
            assert len(groups.get((INFO.key, Slot(0, Segment(dimension, value))), ())) == wanted
    assert len(groups.get((INFO.key, Slot()), ())) == len(named)


def test_segments_are_bounded(caplog):
    """Customer numbers are no segments: beyond a hundred they share one, which is said once."""
    slots = Slots(interval_ns=10**9, max_features=10)
    slots.of(INFO.key, Slot())

    found = {id(slots.of(INFO.key, Slot(0, Segment("customer", str(number))))) for number in range(10_000)}

    assert len(found) == MAX_SEGMENTS + 1
    assert slots.of(INFO.key, Slot(0, Segment("customer", "_OTHER"))) is not None
    assert caplog.text.count("more than") == 1


def test_segments_of_wide_models_are_fewer(monkeypatch):
    """Each column of each segment holds a buffer."""
    monkeypatch.setattr(slots_module, "MAX_SEGMENT_COLUMNS", 20)
    slots = Slots(interval_ns=10**9, max_features=100)
    for number in range(10):
        accumulator = slots.of(INFO.key, Slot(0, Segment("d", str(number))))
        accumulator.add([Inference(INFO, "predict", np.ones((1, 8)))])

    segments = {slot.segment.value for _, slot, _ in slots.items()}

    assert segments == {"0", "1", "2", "_OTHER"}


def test_hostile_segments_cost_no_memory():
    """A megabyte of text is cut, a thousand dimensions are not taken."""
    slots = Slots(interval_ns=10**9, max_features=10)
    segments = {f"dimension {number}": "x" * 1_000_000 for number in range(50)}
    tracemalloc.start()
    groups = slots.grouped([Inference(INFO, "record", {"x": 1.0}, segments=segments)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(groups) == 1 + slots_module.MAX_DIMENSIONS
    assert peak < 1_000_000


class Hostile:
    """Fails whatever it is asked."""

    def __str__(self):
        raise RuntimeError("no")


def test_segments_that_cannot_be_read_cost_no_row():
    """The row counts for the whole all the same."""
    slots = Slots(interval_ns=10**9, max_features=10)
    calls = [Inference(INFO, "record", {"x": 1.0}, segments=odd) for odd in ({"a": Hostile()}, [1], "text", 7)]

    groups = slots.grouped(calls)

    assert {key: len(found) for key, found in groups.items()} == {(INFO.key, Slot()): 4}
    guard.reset()

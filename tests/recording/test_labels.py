"""Labels: what turned out to be true, by the id of the prediction."""

import threading
from datetime import datetime, timezone

import numpy as np
import pytest

from otel_ml import record_label, semconv
from otel_ml.recording import event_pace, guard, labels
from otel_ml.recording.recorder import get_recorder
from otel_ml.testing import captured_telemetry


def told(telemetry):
    """Id and value of every label event, in order."""
    return [
        (event.attributes[semconv.PREDICTION_ID], event.attributes[semconv.LABEL_VALUE])
        for event in telemetry.events(semconv.EVENT_LABEL)
    ]


def test_a_label_is_an_event_that_names_its_prediction():
    """Id, value, model and the time at which it became known."""
    with captured_telemetry() as telemetry:
        record_label("p-1", True, model="fraud", version="3", timestamp=datetime(2026, 1, 2, tzinfo=timezone.utc))

        (event,) = telemetry.events(semconv.EVENT_LABEL)

    assert dict(event.attributes) == {
        "ml.prediction.id": "p-1",
        "ml.label.value": True,
        "ml.model.name": "fraud",
        "ml.model.version": "3",
    }
    assert event.timestamp == 1_767_312_000_000_000_000


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1),
        (0.5, 0.5),
        ("cat", "cat"),
        (np.float64(0.25), 0.25),
        (np.int64(3), 3),
        (None, "None"),
        (2**70, str(2**70)),
    ],
)
def test_any_value_can_be_a_label(given, expected):
    """Numbers, truth values and text as they are; the rest as text."""
    with captured_telemetry() as telemetry:
        record_label("p", given)

        assert told(telemetry) == [("p", expected)]


def test_many_labels_are_told_in_one_call():
    """Ids and labels by position, whatever sequences they come in."""
    with captured_telemetry() as telemetry:
        record_label(["a", "b", "c"], np.array([1, 0, 1]))

        assert told(telemetry) == [("a", 1), ("b", 0), ("c", 1)]


def test_ids_without_as_many_labels_are_refused_and_said(caplog):
    """Guessing which label is whose would be worse than none."""
    guard.reset()
    with captured_telemetry() as telemetry:
        record_label(["a", "b"], [1])

        assert told(telemetry) == []
    assert "2 prediction ids need as many labels" in caplog.text
    guard.reset()


def test_a_days_labels_all_arrive_on_flushing():
    """However many wait, and however slow the pace is otherwise."""
    with captured_telemetry() as telemetry:
        record_label([str(index) for index in range(5_000)], list(range(5_000)))

        assert told(telemetry) == [(str(index), index) for index in range(5_000)]


def test_labels_beyond_the_bound_are_counted(monkeypatch, caplog):
    """Memory is bounded; what is let go is said once and counted."""
    monkeypatch.setattr(labels, "MAX_WAITING", 10)
    monkeypatch.setattr(event_pace, "MAX_PER_S", 0)
    with captured_telemetry() as telemetry:
        record_label([str(index) for index in range(25)], [1] * 25)

        assert len(told(telemetry)) == 10
        (point,) = telemetry.points(semconv.LABELS_DROPPED.name)
        assert point.value == 15
    assert caplog.text.count("labels are waiting") == 1


def test_without_an_sdk_nothing_is_kept():
    """No thread, no memory."""
    recorder = get_recorder()

    record_label("p", 1)

    assert len(recorder.labels) == 0
    assert "otel-ml-recording" not in {thread.name for thread in threading.enumerate()}

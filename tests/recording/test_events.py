"""Opt-in events with raw values."""

import numpy as np
from opentelemetry import trace

from otel_ml import record, semconv
from otel_ml.recording import event_pace
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.recording.recorder import get_recorder
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry


def test_no_raw_value_leaves_the_process_unless_asked_for():
    """The default sends summaries only."""
    with captured_telemetry() as telemetry:
        record({"a": 1.0}, 0.5, model="m")

        assert telemetry.events(semconv.EVENT_INFERENCE_RESULT) == []


def test_each_row_is_an_event_with_the_spans_ids():
    """A prediction can be found from its trace, and the other way round."""
    with captured_telemetry(capture_events=True) as telemetry:
        with trace.get_tracer("test").start_as_current_span("request") as span:
            record({"a": 1.0, "b": "x"}, 0.5, scores=0.9, model="m", version="3", prediction_id="abc")

        (event,) = telemetry.events(semconv.EVENT_INFERENCE_RESULT)

    assert (event.trace_id, event.span_id) == (span.get_span_context().trace_id, span.get_span_context().span_id)
    assert event.timestamp > 0
    attributes = {key: dict(value) if hasattr(value, "items") else value for key, value in event.attributes.items()}
    assert attributes == {
        "ml.model.name": "m",
        "ml.model.version": "3",
        "ml.operation.name": "record",
        "ml.prediction.id": "abc",
        "ml.inference.row.index": 0,
        "ml.inference.prediction": 0.5,
        "ml.inference.score": 0.9,
        "ml.inference.features": {"a": 1.0, "b": "x"},
    }


def test_rows_of_a_batch_are_numbered():
    """Row i of prediction p is "p:i"."""
    info = ModelInfo(ModelKey("m"), feature_names=("a", "b"))
    with captured_telemetry(capture_events=True) as telemetry:
        get_recorder().submit(
            Inference(info, "predict", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5, 6]), prediction_id="p")
        )

        events = telemetry.events(semconv.EVENT_INFERENCE_RESULT)

    assert [event.attributes["ml.prediction.id"] for event in events] == ["p:0", "p:1"]
    assert [event.attributes["ml.inference.prediction"] for event in events] == [5, 6]
    assert dict(events[1].attributes["ml.inference.features"]) == {"a": 3.0, "b": 4.0}


def test_odd_values_become_what_every_exporter_can_encode():
    """None, huge integers and objects must not cost the record."""
    with captured_telemetry(capture_events=True) as telemetry:
        record({"none": None, "huge": 10**400, "object": object(), "long": "x" * 10_000, "list": [1]}, 1, model="m")

        (event,) = telemetry.events(semconv.EVENT_INFERENCE_RESULT)

    features = dict(event.attributes["ml.inference.features"])
    assert features["none"] == ""
    assert features["huge"] == 1e308
    assert len(features["long"]) < 1_000
    assert features["list"] == "[1]"


def test_events_are_bounded_per_second(monkeypatch):
    """Rows beyond are summarised like all, not sent, and counted."""
    monkeypatch.setattr(event_pace, "MAX_PER_S", 10)
    monkeypatch.setattr(event_pace.time, "monotonic", lambda: 1_000.0)
    with captured_telemetry(capture_events=True) as telemetry:
        for _ in range(50):
            record({"a": 1.0}, 0.5, model="m")

        assert len(telemetry.events(semconv.EVENT_INFERENCE_RESULT)) == 10
        assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 50
        assert [point.value for point in telemetry.points(semconv.INFERENCE_EVENTS_DROPPED.name)] == [40]


def test_a_failed_call_has_no_result():
    """There is nothing to tell."""
    info = ModelInfo(ModelKey("m"))
    with captured_telemetry(capture_events=True) as telemetry:
        get_recorder().submit(Inference(info, "predict", None, duration_s=0.1, error_type="ValueError"))

        assert telemetry.events(semconv.EVENT_INFERENCE_RESULT) == []

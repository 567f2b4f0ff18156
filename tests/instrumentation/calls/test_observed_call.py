"""Calls that a hook watches itself: awaited, streamed, or a server's own."""

import asyncio
import contextvars
import gc

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_ml import semconv
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import InferenceScope
from otel_ml.instrumentation.requests.serving import ServedRequest
from otel_ml.recording import guard
from otel_ml.recording.inference import ModelInfo
from otel_ml.recording.recorder import get_recorder
from otel_ml.recording.request import request_scope
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry


@pytest.fixture
def info():
    return ModelInfo(ModelKey("flowers"), system="tests")


@pytest.fixture
def ids_wanted(recorded, monkeypatch):
    """As with OTEL_PYTHON_ML_CAPTURE_EVENTS=events: only events carry ids."""
    monkeypatch.setattr(get_recorder(), "wants_span_context", True)


def observed(info, features=None, operation="predict"):
    return ObservedCall("test hook", lambda _: info, operation, features)


def test_one_call_is_one_inference_with_one_span(info):
    """What went in and came out, under an INTERNAL span with the size of the batch."""
    with captured_telemetry() as telemetry:
        with observed(info, [{"width": 1.0}, {"width": 2.0}]) as call:
            assert call.is_recorded
            call.returned([3.0, 4.0])

        (span,) = telemetry.spans()
        (snapshot,) = telemetry.snapshots()
    assert (span.name, span.kind) == ("predict flowers", trace.SpanKind.INTERNAL)
    assert span.attributes[semconv.BATCH_SIZE] == 2
    assert (snapshot.model.name, snapshot.rows) == ("flowers", 2)
    assert info.active == 0


def test_features_may_be_known_only_at_the_end(info, recorded):
    """A server parses its request within the call."""
    with observed(info) as call:
        call.returned([1], [0.5], features=[{"width": 1.0}], segments={"country": "NO"}, prediction_id="mine")

    (inference,) = recorded
    assert (inference.features, inference.predictions, inference.scores) == ([{"width": 1.0}], [1], [0.5])
    assert (inference.segments, inference.prediction_id) == ({"country": "NO"}, "mine")
    assert inference.duration_s >= 0


def test_a_call_that_says_nothing_is_a_span_and_no_inference(info):
    """There is nothing to count, but it took its time."""
    with captured_telemetry() as telemetry:
        with observed(info):
            pass

        assert len(telemetry.spans()) == 1
        assert telemetry.snapshots() == []


def test_only_the_outermost_call_is_recorded(info, recorded):
    """Hooks of libraries below see the flag, and a second observed call does too."""
    with observed(info) as outer:
        assert inside.get()
        with observed(info) as inner:
            inner.returned([1], features=[[1.0]])
        assert not inner.is_recorded
        assert inside.get()
        outer.returned([2], features=[[2.0]])

    assert not inside.get()
    assert [inference.predictions for inference in recorded] == [[2]]


def test_the_users_exception_passes_and_the_call_counts_as_failed(info, recorded):
    """The very object; with its duration and type, and without features: nothing was predicted for them."""
    raised = ZeroDivisionError("mine")

    def fail():
        with observed(info, [[1.0]]) as call:
            call.returned([1])
            raise raised

    with pytest.raises(ZeroDivisionError) as caught:
        fail()

    assert caught.value is raised
    assert [(call.error_type, call.features, call.predictions) for call in recorded] == [
        ("ZeroDivisionError", None, None)
    ]
    assert (info.active, inside.get()) == (0, False)


@pytest.mark.parametrize("described", [None, RuntimeError("broken")], ids=["none", "raises"])
def test_what_cannot_be_described_is_left_alone(info, monkeypatch, described, caplog):
    """And below it others may record: the flag is not set."""
    handed = []
    monkeypatch.setattr(get_recorder(), "submit", handed.append)

    def describe(_):
        if described is not None:
            raise described

    guard.reset()
    with ObservedCall("test hook", describe, "predict", [[1.0]]) as call:
        assert not call.is_recorded
        assert not inside.get()
        call.read(lambda: 1 / 0)
        call.returned([1])

    assert handed == []
    assert guard.failures() == ({} if described is None else {"test hook": 1})
    guard.reset()


def test_a_reader_that_fails_costs_the_record_and_nothing_else(info, monkeypatch):
    """What it raises is counted and said, and the user's code goes on."""
    handed = []
    monkeypatch.setattr(get_recorder(), "submit", handed.append)
    guard.reset()

    with observed(info, [[1.0]]) as call:
        call.read(lambda result: result["missing"], {})

    assert handed == []
    assert guard.failures() == {"test hook": 1}
    assert not inside.get()
    guard.reset()


def test_suppressed_and_switched_off_calls_are_left_alone(info, recorded, monkeypatch):
    """OpenTelemetry's own switch, and ours."""
    with suppress_instrumentation(), observed(info, [[1.0]]) as suppressed:
        suppressed.returned([1])
    monkeypatch.setattr(get_recorder(), "enabled", False)
    with observed(info, [[1.0]]) as off:
        off.returned([1])

    assert not suppressed.is_recorded
    assert not off.is_recorded
    assert recorded == []


def test_calls_of_a_request_are_numbered(info, recorded, ids_wanted):
    """The same method again is a new inference; another method on the same input adds its output only."""
    rows = [[1.0]]
    with ServedRequest("test hook", headers=[("x-request-id", "r")]) as scope:
        for operation in ("predict", "predict_proba", "predict"):
            with observed(info, rows, operation) as call:
                call.returned([1])

    assert [(call.prediction_id, call.features is None) for call in recorded] == [
        ("r", False),
        ("r", True),
        ("r.1", False),
    ]
    assert scope.count == 3


def test_what_the_user_records_goes_first(info, recorded):
    """An explicit record() of this model in the request silences the hook."""
    scope = InferenceScope()
    token = request_scope.set(scope)
    scope.recorded(info)
    with observed(info, [[1.0]]) as call:
        call.returned([1])
    request_scope.reset(token)

    assert recorded == []


def test_a_batchs_call_has_a_row_id_each(info, recorded):
    """Row ids stand in for the request's."""
    scope = InferenceScope()
    scope.row_ids = ["a", "b"]
    token = request_scope.set(scope)
    with observed(info, [[1.0], [2.0]]) as call:
        call.returned([1, 2])
    request_scope.reset(token)

    assert recorded[0].prediction_id == ("a", "b")


# --- streams: left elsewhere than entered -----------------------------------------------------------------------------


def stream(info):
    with observed(info, [[1.0]]) as call:
        call.returned([1])
        yield 1
        yield 2


@pytest.mark.parametrize("end", ["exhausted", "closed", "thrown away"])
def test_a_generator_may_end_in_another_context(info, caplog, end):
    """Frameworks ask for each piece in a context of its own; nothing can be reset there, and nothing is said."""
    with captured_telemetry() as telemetry:
        steps = stream(info)
        contextvars.copy_context().run(next, steps)
        if end == "exhausted":
            contextvars.copy_context().run(list, steps)
        elif end == "closed":
            contextvars.copy_context().run(steps.close)
        del steps
        gc.collect()

        assert [span.status.status_code for span in telemetry.spans()] == [trace.StatusCode.UNSET]
        assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 1
    assert info.active == 0
    assert not inside.get()
    assert caplog.records == []


def test_an_async_generator_may_be_closed_by_another_task(info, caplog):
    """Which is how a disconnected client's stream ends."""

    async def pieces():
        with observed(info, [[1.0]]) as call:
            call.returned([1])
            yield 1
            yield 2

    async def run():
        steps = pieces()
        await asyncio.create_task(steps.__anext__())
        await asyncio.create_task(steps.aclose())

    with captured_telemetry() as telemetry:
        asyncio.run(run())

        assert sum(snapshot.rows for snapshot in telemetry.snapshots()) == 1
        assert len(telemetry.spans()) == 1
    assert caplog.records == []

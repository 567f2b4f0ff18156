"""The request around model calls."""

import uuid

from sklearn.linear_model import LinearRegression

from otel_ml.instrumentation.requests.scope import (
    InferenceScope,
    current_prediction_id,
    current_scope,
    set_segments,
)
from otel_ml.instrumentation.requests.serving import ServedRequest
from otel_ml.recording.inference import ModelInfo
from otel_ml.recording.request import request_scope
from otel_ml.sketch.feature import ModelKey

MODEL = ModelInfo(ModelKey("m"))


def test_an_id_given_by_the_caller_is_kept():
    """x-request-id goes before ce-id, whatever their order on the wire."""
    scope = InferenceScope(headers=[(b"ce-id", b"event"), (b"x-request-id", b"request")])

    assert scope.prediction_id == "request"


def test_a_cloud_event_names_its_prediction():
    """Without x-request-id the id of the CloudEvent is used."""
    assert InferenceScope(headers=[(b"ce-id", b"event")]).prediction_id == "event"


def test_an_explicit_id_wins():
    """Whoever sets the id of the scope decides it."""
    scope = InferenceScope(headers=[(b"x-request-id", b"request")])

    scope.prediction_id = "mine"

    assert scope.prediction_id == "mine"


def test_without_any_id_one_is_made_and_kept():
    """All calls of a request share one id."""
    scope = InferenceScope()

    assert scope.prediction_id == scope.prediction_id
    assert uuid.UUID(scope.prediction_id).version == 7


def test_predict_and_predict_proba_on_one_input_are_one_inference():
    """The second method on the same object adds an output, no features, and keeps the id."""
    scope = InferenceScope(headers=[(b"x-request-id", b"r")])
    rows = [[1.0]]

    first = scope.admit(MODEL, "predict", rows)
    first_again, first_id = first.again, first.prediction_id(scope)
    second = scope.admit(MODEL, "predict_proba", rows)

    assert (first_again, first_id) == (False, "r")
    assert (second.again, second.prediction_id(scope)) == (True, "r")


def test_the_same_method_on_the_same_object_is_a_new_inference():
    """A buffer that is filled anew for each row keeps its identity but not its values."""
    scope = InferenceScope(headers=[(b"x-request-id", b"r")])
    buffer = [[1.0]]
    scope.admit(MODEL, "predict", buffer)

    second = scope.admit(MODEL, "predict", buffer)

    assert not second.again
    assert second.prediction_id(scope) == "r.1"


def test_models_do_not_share_their_inputs():
    """Two models asked about one input are two inferences under the request's id."""
    scope = InferenceScope(headers=[(b"x-request-id", b"r")])
    rows = [[1.0]]
    scope.admit(MODEL, "predict", rows)

    other = scope.admit(ModelInfo(ModelKey("other")), "predict_proba", rows)

    assert not other.again
    assert other.prediction_id(scope) == "r"


def test_what_the_user_recorded_is_left_alone_by_hooks():
    """An explicit record() counts for its model; other models are still hooked."""
    scope = InferenceScope()

    scope.recorded(ModelInfo(ModelKey("m")))

    assert scope.admit(MODEL, "predict", [1]) is None
    assert scope.admit(ModelInfo(ModelKey("other")), "predict", [1]) is not None


def test_the_fallback_runs_only_if_nothing_was_recorded():
    """Request and response stand in for model calls that nobody saw."""
    calls = []
    seen, unseen = InferenceScope(), InferenceScope()
    seen.fallback = lambda: calls.append("seen")
    unseen.fallback = lambda: calls.append("unseen")
    seen.admit(MODEL, "predict", [1])

    seen.close()
    unseen.close()

    assert calls == ["unseen"]


def test_a_closed_scope_is_no_scope():
    """A task left behind by a request must not report under that request's id for ever."""
    scope = InferenceScope(headers=[(b"x-request-id", b"r")])
    token = request_scope.set(scope)
    open_scope = current_scope()
    scope.close()

    try:
        assert open_scope is scope
        assert current_scope() is None
        assert scope.prediction_id is None
    finally:
        request_scope.reset(token)


def test_segments_of_a_request_go_with_its_model_calls(recorded, sklearn_instrumented):
    """Told once in the request, by whoever knows them; outside of requests there is nothing to tell."""
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    set_segments({"country": "SE"})
    with ServedRequest("test"):
        set_segments({"country": "NO"})
        set_segments({"channel": "app"})
        model.predict([[0.5]])
    model.predict([[0.5]])

    assert [call.segments for call in recorded] == [{"country": "NO", "channel": "app"}, None]


def test_the_id_of_a_request_can_be_asked_for():
    """To store it beside the answer, say; outside of requests there is none."""
    with ServedRequest("test", headers=[("x-request-id", "order-17")]):
        within = current_prediction_id()

    assert (within, current_prediction_id()) == ("order-17", None)

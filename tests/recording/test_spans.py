"""The span of one model call."""

import json

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace import SpanKind, StatusCode

from otel_ml.recording import spans
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import ModelKey
from otel_ml.testing import captured_telemetry

MODEL = ModelInfo(ModelKey("fraud", "3"), system="scikit_learn")


def test_a_call_is_an_internal_span_below_the_current_one():
    """Named by operation and model, with the attributes of the convention."""
    with captured_telemetry() as telemetry:
        with trace.get_tracer("server").start_as_current_span("request") as parent:
            opened = spans.start(MODEL, "predict", 12)
            inside = trace.get_current_span()
            spans.end(opened)
            after = trace.get_current_span()

        span = next(span for span in telemetry.spans() if span.name != "request")

    assert span.name == "predict fraud"
    assert span.kind is SpanKind.INTERNAL
    assert span.parent.span_id == parent.get_span_context().span_id
    assert dict(span.attributes) == {
        "ml.model.name": "fraud",
        "ml.model.version": "3",
        "ml.system.name": "scikit_learn",
        "ml.operation.name": "predict",
        "ml.inference.batch.size": 12,
    }
    assert inside is opened.span
    assert after is parent
    assert span.instrumentation_scope.name == "otel_ml"


def test_a_failed_call_says_what_kind_of_error_it_was():
    """Its class, never its message: that may hold values."""
    with captured_telemetry() as telemetry:
        spans.end(spans.start(MODEL, "predict"), ValueError("secret 42"))

        (span,) = telemetry.spans()

    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR
    assert "secret" not in span.to_json()


def test_without_a_provider_there_is_no_span():
    """The API alone records nothing, and `end` takes what `start` gave."""
    opened = spans.start(MODEL, "predict", 1)

    spans.end(opened)

    assert opened is None


def test_an_error_in_a_nested_module_is_named_in_full():
    """As `error.type` wants it."""
    assert spans.error_type_of(KeyError("x")) == "KeyError"
    assert spans.error_type_of(json.JSONDecodeError("x", "y", 0)) == "json.decoder.JSONDecodeError"


def test_an_unsampled_span_is_still_a_context():
    """BentoML's private provider samples nothing; ids are of use all the same."""
    with captured_telemetry():
        former = trace._TRACER_PROVIDER
        trace._TRACER_PROVIDER = TracerProvider(sampler=sampling.ALWAYS_OFF, shutdown_on_exit=False)
        try:
            opened = spans.start(MODEL, "predict")
            context = spans.context_of(opened)
            spans.end(opened)
        finally:
            trace._TRACER_PROVIDER = former

    assert not opened.span.is_recording()
    assert context.trace_id


def test_a_tracer_that_fails_costs_the_span_only():
    """Telemetry never raises into the call."""

    class Broken(TracerProvider):
        def get_tracer(self, *_, **__):
            raise RuntimeError("broken")

    with captured_telemetry():
        former = trace._TRACER_PROVIDER
        trace._TRACER_PROVIDER = Broken(shutdown_on_exit=False)
        try:
            assert spans.start(MODEL, "predict") is None
        finally:
            trace._TRACER_PROVIDER = former

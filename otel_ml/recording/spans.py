"""The span of one model call: `{operation} {model}`, INTERNAL, child of whatever is current.

Only spans depend on tracing being set up and sampled; sketches, metrics and events do not.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context, trace

from otel_ml import semconv
from otel_ml.recording.guard import failed
from otel_ml.recording.version import otel_ml_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.recording.inference import ModelInfo


class OpenSpan(NamedTuple):
    """A span that is current, and how to make its parent current again."""

    span: trace.Span
    token: Any


_runtime_context: Any = getattr(context, "_RUNTIME_CONTEXT", context)
_NAMED_PROVIDER = "OTEL_PYTHON_TRACER_PROVIDER" in os.environ
"""Then the first who asks for the provider has it loaded."""

# The provider a tracer was last taken from: asking for a tracer takes a lock, comparing two providers nothing.
_provider: trace.TracerProvider | None = None
_tracer: trace.Tracer | None = None


def start(
    model: ModelInfo, operation: str, rows: int | None = None, links: Sequence[trace.SpanContext] = ()
) -> OpenSpan | None:
    """An open span that is current in this thread or task until `end`; None, and cheap, when nobody traces.

    Args:
        rows: Size of the batch, where it is known.
        links: Spans of the requests that a batch was made of.
    """
    try:
        tracer = _current_tracer()
        if tracer is None:
            return None
        attributes: dict[str, str | int] = {semconv.MODEL_NAME: model.key.name, semconv.OPERATION_NAME: operation}
        if model.key.version:
            attributes[semconv.MODEL_VERSION] = model.key.version
        if model.system:
            attributes[semconv.SYSTEM_NAME] = model.system
        if rows is not None:
            attributes[semconv.BATCH_SIZE] = rows
        if model.attributes:
            attributes.update(model.attributes)
        span = tracer.start_span(
            f"{operation} {model.key.name}",
            kind=trace.SpanKind.INTERNAL,
            attributes=attributes,
            links=[trace.Link(context) for context in links] if links else None,
        )
        return OpenSpan(span, context.attach(trace.set_span_in_context(span)))
    except Exception as error:
        failed("starting a span", error)
        return None


def tracing() -> bool:
    """Whether anybody makes spans; 0.1 µs while nobody does."""
    try:
        return _current_tracer() is not None
    except Exception as error:
        failed("asking for a tracer", error)
        return False


def end(open_span: OpenSpan | None, error: BaseException | None = None, prediction_id: Any = None) -> None:
    """Close what `start` gave, in the same thread or task.

    Args:
        error: What the call raised; it is the user's and only described here.
        prediction_id: By which the prediction is known; ids of rows are left to links and events.
    """
    if open_span is None:
        return
    try:
        span = open_span.span
        if error is not None:
            # No exception event: the framework above records the same exception, and span events are on their way out.
            span.set_attribute(semconv.ERROR_TYPE, error_type_of(error))
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
        elif type(prediction_id) is str:
            span.set_attribute(semconv.PREDICTION_ID, prediction_id)
        span.end()
        _detach(open_span.token)
    except Exception as failure:
        failed("ending a span", failure)


def drop(open_span: OpenSpan | None) -> None:
    """Have it that the span of `start` never was: it is not current any more, and nobody is told of it."""
    if open_span is None:
        return
    try:
        _detach(open_span.token)
    except Exception as failure:
        failed("dropping a span", failure)


def context_of(open_span: OpenSpan | None) -> trace.SpanContext | None:
    """The context of the open span, else of the span that is current; None when there is none."""
    span = open_span.span if open_span is not None else trace.get_current_span()
    span_context = span.get_span_context()
    return span_context if span_context.is_valid else None


def error_type_of(error: BaseException) -> str:
    """The qualified name of an exception's class, as `error.type` wants it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _detach(token: Any) -> None:
    try:
        _runtime_context.detach(token)
    except ValueError:
        # A stream that ends in another context than it began in, such as one that is thrown away: that one never held
        # our span. The API's own `detach` would log an error for it.
        return


def _current_tracer() -> trace.Tracer | None:
    """A tracer of the SDK; None while there is only the API."""
    global _provider, _tracer  # noqa: PLW0603 - a cache of one
    # While no provider is set, asking for it costs 1 µs in every call: it reads the environment each time.
    if getattr(trace, "_TRACER_PROVIDER", _provider) is None and not _NAMED_PROVIDER:
        return None
    provider = trace.get_tracer_provider()
    if provider is not _provider:
        real = not type(provider).__module__.startswith("opentelemetry.trace")
        _tracer = (
            provider.get_tracer(semconv.SCOPE_NAME, otel_ml_version(), schema_url=semconv.SCHEMA_URL) if real else None
        )
        _provider = provider
    return _tracer

"""The only place that knows OpenTelemetry's Logs API, which in Python is still `_logs` and still moves."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, set_span_in_context

from otel_ml import semconv
from otel_ml.recording.version import otel_ml_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import SpanContext


def logger_provider() -> _logs.LoggerProvider | None:
    """The SDK's logger provider; None while there is only the API."""
    provider = _logs.get_logger_provider()
    return None if type(provider).__module__.startswith("opentelemetry._logs") else provider


def emit_event(
    name: str,
    attributes: Mapping[str, Any],
    *,
    body: str,
    timestamp_unix_nano: int,
    span_context: SpanContext | None = None,
) -> bool:
    """Emit one event at severity INFO; False if there is no provider to take it.

    Args:
        body: A short sentence for people: events hold their data in attributes.
        span_context: Span the event belongs to, if any.
    """
    provider = logger_provider()
    if provider is None:
        return False
    context = Context()
    if span_context is not None:
        context = set_span_in_context(NonRecordingSpan(span_context), context)
    logger = provider.get_logger(semconv.SCOPE_NAME, otel_ml_version(), schema_url=semconv.SCHEMA_URL)
    logger.emit(
        _logs.LogRecord(
            timestamp=timestamp_unix_nano,
            observed_timestamp=time.time_ns(),
            context=context,
            severity_number=_logs.SeverityNumber.INFO,
            body=body,
            attributes=dict(attributes),
            event_name=name,
        )
    )
    return True

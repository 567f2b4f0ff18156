"""Recording a request and its response themselves, where no model hook could see the model."""

from __future__ import annotations

import functools
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.recording import spans
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import SpanContext

    from otel_ml.instrumentation.reading.exchange import Exchange
    from otel_ml.instrumentation.requests.scope import InferenceScope

_MAX_INFOS: Final = 1_000
_infos: dict[tuple[ModelKey, str], ModelInfo] = {}


def offer(
    scope: InferenceScope,
    *,
    endpoint: Any,
    name: str,
    system: str,
    announced: bool,
    read: Callable[[ModelInfo], Exchange | None],
    duration_s: float,
    version: str = "",
) -> None:
    """Have an exchange recorded once its response was sent, if nothing else was recorded in the request by then.

    Args:
        endpoint: What answered the request: `set_model` may have named it.
        name: Under which the model is reported if nobody named it.
        system: The framework, as in `ml.system.name`.
        announced: `read` will find an inference, as far as one look can tell: the response's header may say so.
        read: Reads request and response, told what is known about the model; None if they are no inference after all.
        duration_s: Of the endpoint's run.
        version: Of the model, if the request names one.
    """
    scope.announced = announced
    scope.fallback = functools.partial(
        _record, scope, endpoint, ModelKey(name, version), system, read, duration_s, time_ns(), spans.context_of(None)
    )


def _record(
    scope: InferenceScope,
    endpoint: Any,
    default: ModelKey,
    system: str,
    read: Callable[[ModelInfo], Exchange | None],
    duration_s: float,
    timestamp: int,
    context: SpanContext | None,
) -> None:
    recorder = the_recorder()
    key = key_of(recorder.settings, default.name, endpoint)
    if key.name == default.name and not key.version:
        key = default
    info = _info(key, system)
    found = read(info)
    if found is None:
        return
    recorder.submit(
        Inference(
            info,
            "predict",
            found.features,
            found.predictions,
            found.scores,
            duration_s,
            None,
            (scope.row_ids or scope.prediction_id) if recorder.wants_span_context else None,
            context,
            timestamp,
            scope.segments,
        )
    )


def _info(key: ModelKey, system: str) -> ModelInfo:
    """By name, not by object: some frameworks make the function that answers anew for each request."""
    info = _infos.get((key, system))
    if info is None:
        info = ModelInfo(key, system=system)
        if len(_infos) < _MAX_INFOS:
            info = _infos.setdefault((key, system), info)
    return info

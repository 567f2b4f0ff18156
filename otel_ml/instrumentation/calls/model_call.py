"""The model hook's hot path, shared by all frameworks: one outermost call becomes one Inference."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

from otel_ml.instrumentation.identity import infos, remember
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import FIRST
from otel_ml.instrumentation.suppression import suppressed
from otel_ml.recording import spans
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import Inference
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_ml.config import Settings
    from otel_ml.instrumentation.requests.scope import ModelCalls
    from otel_ml.recording.inference import ModelInfo


class NotGiven:
    """Stands for the input of a call that was not given as the first positional argument.

    The class itself is the mark: it stays identical to itself in a worker process that a hook was pickled to.
    """


def _none_given(_: str, __: dict[str, Any], ___: Any) -> tuple[Any, Any]:
    return None, None


@dataclass(frozen=True, slots=True)
class ModelAdaptor:
    """How one framework's models are read. What these raise costs the record and nothing else.

    Attributes:
        where: For messages: "sklearn hook".
        describe: (model, settings) → what is known before the call; None leaves the call alone.
        input_among: Finds the input among keyword arguments.
        outputs: (operation, kwargs, result) → predictions and scores; without it the call has features only.
        outputs_of: (model's info, operation, result) → the same, in place of `outputs`, where what a result means
            depends on the model.
    """

    where: str
    describe: Callable[[Any, Settings], ModelInfo | None]
    input_among: Callable[[dict[str, Any]], Any]
    outputs: Callable[[str, dict[str, Any], Any], tuple[Any, Any]] = _none_given
    outputs_of: Callable[[ModelInfo, str, Any], tuple[Any, Any]] | None = None


def call_model(  # noqa: PLR0915 - each further call or keyword costs 60 ns of the 1.5 µs there are
    adaptor: ModelAdaptor,
    operation: str,
    method: Callable[..., Any],
    model: Any,
    features: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Call `method(model, features, *args, **kwargs)` as the outermost call, and record it.

    A call that raises is recorded with its duration and error type, without features: nothing was predicted for them.
    """
    outer = inside.set(True)
    try:
        try:
            recorder = the_recorder()
            info = remembered = infos.get(id(model))
            if not recorder.enabled or suppressed():
                info = None
            elif info is None:
                info = adaptor.describe(model, recorder.settings)
            if info is not None:
                observed = adaptor.input_among(kwargs) if features is NotGiven else features
                scope: Any = request_scope.get()
                span = None
                if recorder.settings.spans and spans.tracing():
                    span = spans.start(info, operation, rows_of(observed), scope.links if scope is not None else ())
        except Exception as error:
            failed(adaptor.where, error)
            info = None
        if info is None:
            return call(method, model, features, args, kwargs)

        info.active += 1
        begun = perf_counter()
        try:
            if args or kwargs or features is NotGiven:
                result = call(method, model, features, args, kwargs)
            else:
                result = method(model, features)
        except BaseException as error:
            duration_s = perf_counter() - begun
            info.active -= 1
            inference = Inference(info, operation, None, duration_s=duration_s, error_type=spans.error_type_of(error))
            _record_failure(adaptor, inference, span, error)
            raise
        duration_s = perf_counter() - begun
        info.active -= 1
        try:
            prediction_id = None
            count: ModelCalls | None = FIRST
            if scope is not None and not scope.closed:
                count = scope.admit(info, operation, observed)
                if count is not None and (span is not None or recorder.wants_span_context):
                    prediction_id = count.prediction_id(scope)
            if span is not None:
                spans.end(span, prediction_id=prediction_id)
            if count is None:
                return result
            if count.again:
                observed = None
            if adaptor.outputs_of is None:
                predictions, scores = adaptor.outputs(operation, kwargs, result)
            else:
                predictions, scores = adaptor.outputs_of(info, operation, result)
            context = spans.context_of(span) if span is not None or recorder.wants_span_context else None
            # Inference(...) as the plain tuple it is: a third of the time.
            recorder.submit(
                (
                    info,
                    operation,
                    observed,
                    predictions,
                    scores,
                    duration_s,
                    None,
                    prediction_id,
                    context,
                    0,
                    scope.segments if scope is not None else None,
                    None,
                )
            )
            if remembered is None:
                # Only now: a model that was not trained yet could not tell its columns and classes.
                remember(model, info)
        except Exception as error:
            failed(adaptor.where, error)
        return result
    finally:
        inside.reset(outer)


def call(method: Callable[..., Any], model: Any, features: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call the method exactly as it was called."""
    if features is NotGiven:
        return method(model, **kwargs)
    return method(model, features, *args, **kwargs)


def rows_of(features: Any) -> int | None:
    """Rows of any input that can tell without being read."""
    if isinstance(features, dict):
        first = next(iter(features.values()), None)
        return rows_of(first) if isinstance(first, (list, tuple)) or getattr(first, "shape", None) else 1
    shape = getattr(features, "shape", None)
    if shape is not None:
        return int(shape[0]) if len(shape) else None
    try:
        return len(features)
    except TypeError:
        return None


def _record_failure(adaptor: ModelAdaptor, inference: Inference, span: Any, error: BaseException) -> None:
    try:
        if span is not None:
            spans.end(span, error)
        scope: Any = request_scope.get()
        if scope is not None:
            # The request did reach its model: recording request and response instead would count it as answered.
            scope.counted()
        recorder = the_recorder()
        if span is not None or recorder.wants_span_context:
            inference = inference._replace(span_context=spans.context_of(span))
        recorder.submit(inference)
    except Exception as failure:
        failed(adaptor.where, failure)

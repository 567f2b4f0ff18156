"""Calls of a service's APIs: what each was asked and gave, recorded where no model hook saw the model.

An API may call others of its own service, or of services it depends on, in the same process. Those that were called
last are closest to the model: of a chain of calls, the innermost that reads as an inference is recorded.
"""

from __future__ import annotations

import functools
import inspect
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.identity import infos, key_of, remember
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.requests.serving import prediction_header
from otel_ml.instrumentation.servers.bentoml.reading import inference_of, is_announced
from otel_ml.recording import spans
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from opentelemetry.trace import SpanContext

    from otel_ml.config import Settings
    from otel_ml.instrumentation.requests.scope import InferenceScope
    from otel_ml.instrumentation.servers.bentoml.reading import ApiExchange

_WHERE: Final = "bentoml hook"
_NO_VERSION: Final = "not available"
"""What BentoML gives for a service that is served from its source and not from a bento."""


def serving_api(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A request for an API, or a task that was submitted for one."""

    @functools.wraps(original)
    def api_endpoint(self: Any, name: str, request: Any) -> Awaitable[Any]:
        # No coroutine of its own: BentoML logs refusals with their traceback, and we have no part in them.
        answering = original(self, name, request)
        scope = None if inside.get() else current_scope()
        if scope is None:
            return answering
        scope.route = name
        api = self.service.apis.get(name)
        return _telling_id_of_task(answering, scope) if getattr(api, "is_task", False) else answering

    return api_endpoint


def remembering(original: Callable[..., Any]) -> Callable[..., Any]:
    """`APIMethod._local_call`, which gives the function that the server and other services call."""

    @functools.wraps(original)
    def _local_call(self: Any, instance: Any) -> Any:
        call = original(self, instance)
        try:
            # What streams is made while it is sent, and batches are remembered by request.
            if current_scope() is None or self.is_stream:
                return call
            remembered = _remembered_async if inspect.iscoroutinefunction(self.func) else _remembered
            return remembered(call, self, instance)
        except Exception as error:
            failed(_WHERE, error)
            return call

    return _local_call


def remembering_batched(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """One request's share of a batch: its rows, and their outputs."""

    @functools.wraps(original)
    async def batch_infer(self: Any, name: str, input_args: tuple[Any, ...], input_kwargs: dict[str, Any]) -> Any:
        scope = None if inside.get() else current_scope()
        if scope is None:
            return await original(self, name, input_args, input_kwargs)
        call = ApiCall(scope, self.service.apis.get(name), self._service_instance)
        # The original takes the input out of the dict.
        arguments = dict(input_kwargs)
        result = await original(self, name, input_args, input_kwargs)
        call.ended(scope, input_args, arguments, result)
        return result

    return batch_infer


def _remembered(call: Callable[..., Any], method: Any, instance: Any) -> Callable[..., Any]:
    # BentoML looks for the marks that its own function has; `wraps` copies them.
    @functools.wraps(call)
    def observed(*args: Any, **kwargs: Any) -> Any:
        scope = _observable()
        if scope is None:
            return call(*args, **kwargs)
        api_call = ApiCall(scope, method, instance)
        result = call(*args, **kwargs)
        api_call.ended(scope, args, kwargs, result)
        return result

    return observed


def _remembered_async(call: Callable[..., Any], method: Any, instance: Any) -> Callable[..., Any]:
    @functools.wraps(call)
    async def observed(*args: Any, **kwargs: Any) -> Any:
        scope = _observable()
        if scope is None:
            return await call(*args, **kwargs)
        api_call = ApiCall(scope, method, instance)
        result = await call(*args, **kwargs)
        api_call.ended(scope, args, kwargs, result)
        return result

    return observed


def _observable() -> InferenceScope | None:
    """The request, unless it is left alone, or this is a batch of several."""
    scope = None if inside.get() else current_scope()
    return scope if scope is not None and scope.row_ids is None else None


class ApiCall:
    """One call of an API from now on, kept until the response was sent: then it is recorded, if nothing else was.

    Attributes:
        is_inference: Known once it was read.
    """

    __slots__ = (
        "_arguments",
        "_begun",
        "_calls_before",
        "_context",
        "_duration_s",
        "_instance",
        "_method",
        "_result",
        "_timestamp",
        "is_inference",
    )

    def __init__(self, scope: InferenceScope, method: Any, instance: Any) -> None:
        self.is_inference = False
        self._method = method
        self._instance = instance
        fallback = scope.fallback
        self._calls_before = len(fallback.calls) if isinstance(fallback, _Calls) else 0
        self._arguments: tuple[tuple[Any, ...], Mapping[str, Any]] = ((), {})
        self._result: Any = None
        self._context: SpanContext | None = None
        self._duration_s = -1.0
        self._timestamp = 0
        self._begun = perf_counter()

    def ended(self, scope: InferenceScope, args: tuple[Any, ...], kwargs: Mapping[str, Any], result: Any) -> None:
        """The API has answered."""
        try:
            if scope.count:
                return
            self._duration_s = perf_counter() - self._begun
            self._timestamp = time_ns()
            self._arguments = (args, kwargs)
            self._result = result
            self._context = spans.context_of(None)
            fallback = scope.fallback
            if not isinstance(fallback, _Calls):
                scope.fallback = fallback = _Calls(scope)
            fallback.calls.append(self)
            scope.announced = scope.announced or is_announced(self._method, args, kwargs, result)
        except Exception as error:
            failed(_WHERE, error)

    def record(self, scope: InferenceScope, calls: Sequence[ApiCall]) -> None:
        """Record it, if it was an inference and none of the calls it made was one."""
        if any(call.is_inference for call in calls[self._calls_before :]):
            return
        found = inference_of(self._method, *self._arguments, self._result)
        if found is None:
            return
        self.is_inference = True
        recorder = the_recorder()
        recorder.submit(self._inference(found, scope, recorder.settings, with_id=recorder.wants_span_context))

    def _inference(self, found: ApiExchange, scope: InferenceScope, settings: Settings, *, with_id: bool) -> Inference:
        return Inference(
            _model_of(self._method, self._instance, settings),
            "predict",
            found.features,
            found.predictions,
            found.scores,
            self._duration_s,
            None,
            scope.prediction_id if with_id else None,
            self._context,
            self._timestamp,
            scope.segments,
        )


class _Calls:
    """A request's fallback: all calls of APIs in it, in the order they ended."""

    __slots__ = ("_scope", "calls")

    def __init__(self, scope: InferenceScope) -> None:
        self._scope = scope
        self.calls: list[ApiCall] = []

    def __call__(self) -> None:
        for index, call in enumerate(self.calls):
            try:
                call.record(self._scope, self.calls[:index])
            except Exception as error:
                failed(_WHERE, error)


def _model_of(method: Any, instance: Any, settings: Settings) -> ModelInfo:
    """Reported as `<service>.<api>`, with the bento's version, unless the user has named it."""
    info = infos.get(id(method))
    if info is None:
        service = getattr(instance, "bento_service", None)
        service_name = getattr(service, "name", None) or type(instance).__name__
        named = key_of(settings, "", method.func, method, service, instance)
        key = named if named.name else ModelKey(f"{service_name}.{method.name}", named.version or _bento_version())
        info = ModelInfo(key, system="bentoml")
        remember(method, info)
    return info


def _bento_version() -> str:
    try:
        from bentoml import server_context  # noqa: PLC0415 - only once it is there

        version = str(server_context.bento_version or "")
    except Exception as error:
        failed(_WHERE, error)
        return ""
    return "" if version == _NO_VERSION else version


async def _telling_id_of_task(answering: Awaitable[Any], scope: InferenceScope) -> Any:
    """A task's response is kept, and given to whoever asks for the result: only its own headers are kept with it."""
    response = await answering
    try:
        header = prediction_header(scope)
        if header is not None and header[0] not in response.headers:
            response.headers[header[0]] = header[1]
    except Exception as error:
        failed(_WHERE, error)
    return response

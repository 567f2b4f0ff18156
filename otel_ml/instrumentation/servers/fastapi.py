"""FastAPI: the request around model calls, and a record of request and response where no model hook saw the model.

No HTTP spans: FastAPI has made its own since 0.142, and before that contrib's instrumentation does. Websockets have no
scope: each model call in one stands alone. GET routes have one, for model calls in them, but are never recorded
themselves. Requests to OTEL_PYTHON_ML_EXCLUDED_URLS are not recorded by any layer.
"""

from __future__ import annotations

import functools
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.exchange import inference_in, looks_like_inference, says_prediction
from otel_ml.instrumentation.identity import infos, key_of, remember
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.serving import ServedRequest, prediction_header
from otel_ml.recording import spans
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import Inference, ModelInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence

    from opentelemetry.trace import SpanContext

    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.scope import InferenceScope

_SCOPE_KEY: Final = "otel_ml.scope"
"""In the ASGI scope: this request is being taken care of already, by the application this one is mounted in."""
_RECORDED_METHODS: Final = ("POST", "PUT", "PATCH", "")
_WHERE: Final = "fastapi hook"


class FastAPIInstrumentor(MLInstrumentor):
    """Gives model calls their request, and records requests and responses where no model call was seen."""

    requires = ("fastapi >= 0.115",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where a request enters, and where its validated arguments and the endpoint's return value meet."""
        return (
            Patch("fastapi.applications", "FastAPI.__call__", _serving),
            # "Has been split into its own function to facilitate profiling endpoints", and looked up on every call.
            Patch("fastapi.routing", "run_endpoint_function", _running),
        )


def _serving(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def __call__(self: Any, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: N807 - takes the place of one
        if scope["type"] == "lifespan":
            await original(self, scope, receive, _delivering(send))
            return
        if scope["type"] != "http" or _SCOPE_KEY in scope or not FastAPIInstrumentor.active:
            await original(self, scope, receive, send)
            return
        with ServedRequest(
            _WHERE, method=scope.get("method", ""), path=scope.get("path", ""), headers=scope.get("headers", ())
        ) as opened:
            if opened is not None:
                scope[_SCOPE_KEY] = opened
                send = _telling_id(send, opened)
            await original(self, scope, receive, send)

    return __call__


def _running(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def run_endpoint_function(*args: Any, **kwargs: Any) -> Any:
        if inside.get() or not FastAPIInstrumentor.active:
            return await original(*args, **kwargs)
        with ServedRequest(_WHERE) as scope:  # opens one for a FastAPI router in another kind of application
            if scope is None:
                return await original(*args, **kwargs)
            scope.route = getattr(kwargs.get("dependant"), "path", None) or ""
            begun = perf_counter()
            result = await original(*args, **kwargs)
            _offer_fallback(scope, kwargs, result, perf_counter() - begun)
            return result

    return run_endpoint_function


def _telling_id(send: Callable[[Any], Awaitable[None]], scope: InferenceScope) -> Callable[[Any], Awaitable[None]]:
    """When the response begins, add the header that names its prediction, unless the application has set it itself."""

    def send_with_id(message: Any) -> Awaitable[None]:
        # No coroutine of its own: every further message of a stream passes at the cost of one comparison.
        if message["type"] == "http.response.start":
            try:
                message = _with_id(message, scope)
            except Exception as error:
                failed(_WHERE, error)
        return send(message)

    return send_with_id


def _with_id(message: Any, scope: InferenceScope) -> Any:
    header = prediction_header(scope)
    if header is None:
        return message
    name, value = header[0].encode("latin-1"), header[1].encode("latin-1")
    headers = list(message.get("headers", ()))
    if any(bytes(given).lower() == name for given, _ in headers):
        return message
    return {**message, "headers": [*headers, (name, value)]}


def _delivering(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Before the server is told that the application has ended, send what was recorded: no later moment is certain."""

    async def deliver_then_send(message: Any) -> None:
        if str(message.get("type", "")).startswith("lifespan.shutdown.") and FastAPIInstrumentor.active:
            try:
                from otel_ml.recording.delivery import deliver  # noqa: PLC0415 - the recorder, see late_recorder

                deliver()
            except Exception as error:
                failed(_WHERE, error)
        await send(message)

    return deliver_then_send


# --- the fallback -----------------------------------------------------------------------------------------------------


def _offer_fallback(scope: InferenceScope, arguments: dict[str, Any], result: Any, duration_s: float) -> None:
    """Remember request and response; they are read after the response was sent, and only if no model hook fires."""
    try:
        dependant = arguments["dependant"]
        if scope.count or scope.method not in _RECORDED_METHODS or not dependant.body_params:
            return
        endpoint = getattr(dependant.call, "__name__", "")
        scope.announced = looks_like_inference(endpoint, scope.route) or says_prediction(result)
        context = spans.context_of(None)
        scope.fallback = functools.partial(
            _record_exchange,
            scope,
            dependant,
            values=arguments["values"],
            result=result,
            duration_s=duration_s,
            timestamp=time_ns(),
            context=context,
        )
    except Exception as error:
        failed(_WHERE, error)


def _record_exchange(
    scope: InferenceScope,
    dependant: Any,
    *,
    values: dict[str, Any],
    result: Any,
    duration_s: float,
    timestamp: int,
    context: SpanContext | None,
) -> None:
    if any(type(field.field_info).__name__ != "Body" for field in dependant.body_params):
        return  # forms and uploads
    arguments = {field.name: values.get(field.name) for field in dependant.body_params}
    body = next(iter(arguments.values())) if len(arguments) == 1 else arguments
    endpoint = dependant.call
    name = getattr(endpoint, "__name__", type(endpoint).__name__)
    found = inference_in(body, result, named_so=looks_like_inference(name, scope.route))
    if found is None:
        return
    recorder = the_recorder()
    info = infos.get(id(endpoint))
    if info is None:
        info = ModelInfo(key_of(recorder.settings, name, endpoint), system="fastapi")
        remember(endpoint, info)
    recorder.submit(
        Inference(
            info,
            "predict",
            found.features,
            found.predictions,
            found.scores,
            duration_s,
            None,
            scope.prediction_id if recorder.wants_span_context else None,
            context,
            timestamp,
        )
    )

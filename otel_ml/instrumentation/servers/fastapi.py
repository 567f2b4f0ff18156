"""FastAPI: the request around model calls, and a record of request and response where no model hook saw the model.

No HTTP spans: FastAPI has made its own since 0.142, and before that contrib's instrumentation does. GET routes have a
scope, for model calls in them, but are never recorded themselves; neither are forms, uploads, streams and ready-made
responses. Requests to OTEL_PYTHON_ML_EXCLUDED_URLS are not recorded by any layer.

A browser shows a script of another origin only the headers the application lists: add "x-prediction-id" to the
`expose_headers` of its CORSMiddleware where such a script is to send labels.
"""

from __future__ import annotations

import functools
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.exchange import inference_in, looks_like_inference, says_prediction
from otel_ml.instrumentation.requests import asgi
from otel_ml.instrumentation.requests.fallback import offer
from otel_ml.instrumentation.requests.serving import LeftAlone, ServedRequest
from otel_ml.recording.guard import failed
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.reading.exchange import Exchange
    from otel_ml.instrumentation.requests.scope import InferenceScope

_RECORDED_METHODS: Final = ("POST", "PUT", "PATCH", "")
_WHERE: Final = "fastapi hook"


class FastAPIInstrumentor(MLInstrumentor):
    """Gives model calls their request, and records requests and responses where no model call was seen."""

    requires = ("fastapi >= 0.115",)
    shared = (*MLInstrumentor.shared, asgi.applications)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where a request's validated arguments and the endpoint's return value meet."""
        # "Has been split into its own function to facilitate profiling endpoints", and looked up on every call.
        return (Patch("fastapi.routing", "run_endpoint_function", _running),)


def _running(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def run_endpoint_function(*args: Any, **kwargs: Any) -> Any:
        if inside.get() or not FastAPIInstrumentor.active:
            return await original(*args, **kwargs)
        scope: Any = request_scope.get()
        if scope is None or scope.closed:  # a FastAPI router in another kind of application
            return await _run_alone(run_endpoint_function, args, kwargs)
        scope.route = getattr(kwargs.get("dependant"), "path", None) or ""
        begun = perf_counter()
        result = await original(*args, **kwargs)
        if not scope.count:
            _offer_fallback(scope, kwargs, result, perf_counter() - begun)
        return result

    return run_endpoint_function


async def _run_alone(run: Callable[..., Awaitable[Any]], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    with ServedRequest(_WHERE) as opened:
        if opened is not None:
            return await run(*args, **kwargs)
    with LeftAlone():
        return await run(*args, **kwargs)


# --- the fallback -----------------------------------------------------------------------------------------------------


def _offer_fallback(scope: InferenceScope, arguments: dict[str, Any], result: Any, duration_s: float) -> None:
    """Remember request and response; they are read after the response was sent, and only if no model hook fires."""
    try:
        dependant = arguments["dependant"]
        if scope.method not in _RECORDED_METHODS or not dependant.body_params or _is_response(result):
            return
        endpoint = dependant.call
        name = getattr(endpoint, "__name__", type(endpoint).__name__)
        named_so = looks_like_inference(name, scope.route)
        offer(
            scope,
            endpoint=endpoint,
            name=name,
            system="fastapi",
            announced=named_so or says_prediction(result),
            read=functools.partial(_read, dependant, arguments["values"], result, named_so=named_so),
            duration_s=duration_s,
        )
    except Exception as error:
        failed(_WHERE, error)


def _is_response(result: Any) -> bool:
    """Ready-made ones are not looked into: a stream can be read only once, and is the client's."""
    return hasattr(result, "body_iterator") or hasattr(result, "raw_headers")


def _read(dependant: Any, values: dict[str, Any], result: Any, _: Any, *, named_so: bool) -> Exchange | None:
    if any(type(field.field_info).__name__ != "Body" for field in dependant.body_params):
        return None  # forms and uploads
    arguments = {field.name: values.get(field.name) for field in dependant.body_params}
    body = next(iter(arguments.values())) if len(arguments) == 1 else arguments
    return inference_in(body, result, named_so=named_so)

"""gRPC servers, sync and aio: the request around model calls, and a record of unary calls where no model hook saw it.

An interceptor of ours comes last, so it runs inside of contrib's and of the application's own, and model spans are
children of theirs. Each call of any kind has a scope, named by the metadata `x-request-id` or `ce-id`, and tells its id
in the trailing metadata `x-prediction-id`. In a stream each inference of a model has its own: "<id>", "<id>.1", …

Methods that match OTEL_PYTHON_ML_EXCLUDED_URLS ("/flowers.Predictor/WarmUp") are not recorded by any layer; health,
reflection, OTLP and Ray's own services are left alone always. Clients are not instrumented: neither is our exporter.

A server that is made in the main thread, of a program without a handler for SIGTERM, delivers before that ends it.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.exchange import inference_in, looks_like_inference, names_prediction
from otel_ml.instrumentation.reading.messages import field_names, is_message, is_tensor_exchange, plain, read_tensors
from otel_ml.instrumentation.requests.fallback import offer
from otel_ml.instrumentation.requests.serving import ServedRequest, prediction_header
from otel_ml.instrumentation.requests.termination import deliver_on_termination
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.reading.exchange import Exchange
    from otel_ml.instrumentation.requests.scope import InferenceScope
    from otel_ml.recording.inference import ModelInfo

_WHERE: Final = "grpc hook"
_INTERCEPTORS: Final = 2
"""Position of `interceptors` among the arguments of `grpc.server` and `grpc.aio.server`."""
_LEFT_ALONE: Final = ("/grpc.", "/opentelemetry.", "/ray.")
_TRAILING: Final = "trailing_metadata"
_METADATA_KEY: Final = re.compile(r"[0-9a-z_.-]+(?<!-bin)")
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class GrpcInstrumentor(MLInstrumentor):
    """Gives model calls their request, and records calls where no model call was seen."""

    requires = ("grpcio >= 1.60",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where servers are made."""
        return (
            Patch("grpc", "server", functools.partial(_intercepted, module="grpc", intercept=_intercept)),
            Patch("grpc.aio", "server", functools.partial(_intercepted, module="grpc.aio", intercept=_intercept_async)),
        )


def _intercepted(original: Callable[..., Any], *, module: str, intercept: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def server(*args: Any, **kwargs: Any) -> Any:
        if GrpcInstrumentor.active:
            try:
                args, kwargs = _with_interceptor(module, intercept, args, kwargs)
                deliver_on_termination()
            except Exception as error:
                failed(_WHERE, error)
        return original(*args, **kwargs)

    return server


def _with_interceptor(
    module: str, intercept: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    base = sys.modules[module].ServerInterceptor
    ours = type("OtelMLInterceptor", (base,), {"intercept_service": intercept})()
    if len(args) > _INTERCEPTORS:
        given = (*(args[_INTERCEPTORS] or ()), ours)
        return (*args[:_INTERCEPTORS], given, *args[_INTERCEPTORS + 1 :]), kwargs
    return args, {**kwargs, "interceptors": (*(kwargs.get("interceptors") or ()), ours)}


def _intercept(_: Any, continuation: Callable[[Any], Any], details: Any) -> Any:
    return _observed(continuation(details), details.method)


async def _intercept_async(_: Any, continuation: Callable[[Any], Any], details: Any) -> Any:
    return _observed(await continuation(details), details.method)


def _observed(handler: Any, method: str) -> Any:
    """The handler of this method with a scope around its behaviour, whichever of the many kinds that is."""
    if handler is None or not GrpcInstrumentor.active or method.startswith(_LEFT_ALONE):
        return handler
    try:
        kind = "_".join("stream" if one else "unary" for one in (handler.request_streaming, handler.response_streaming))
        behaviour = getattr(handler, kind)
        if hasattr(behaviour, "experimental_non_blocking"):
            return handler  # called with one more argument, and not done when it returns
        # The library tells coroutines, asynchronous generators and plain functions apart: ours must be of the same.
        if inspect.isasyncgenfunction(behaviour):
            wrap = _async_stream
        elif inspect.iscoroutinefunction(behaviour):
            wrap = _coroutine
        else:
            wrap = _stream if handler.response_streaming else _unary
        make = getattr(sys.modules["grpc"], f"{kind}_rpc_method_handler")
        return make(wrap(behaviour, method), handler.request_deserializer, handler.response_serializer)
    except Exception as error:
        failed(_WHERE, error)
        return handler


def _unary(behaviour: Callable[[Any, Any], Any], method: str) -> Callable[..., Any]:
    @functools.wraps(behaviour)
    def call(request: Any, context: Any) -> Any:
        with _Call(context, method) as served:
            response = behaviour(request, context)
            served.answered(behaviour, request, response)
            return response

    return call


def _coroutine(behaviour: Callable[[Any, Any], Any], method: str) -> Callable[..., Any]:
    @functools.wraps(behaviour)
    async def call(request: Any, context: Any) -> Any:
        with _Call(context, method) as served:
            response = await behaviour(request, context)
            served.answered(behaviour, request, response)
            return response

    return call


def _stream(behaviour: Callable[[Any, Any], Any], method: str) -> Callable[..., Any]:
    @functools.wraps(behaviour)
    def call(request: Any, context: Any) -> Iterator[Any]:
        with _Call(context, method) as served:
            yield from behaviour(request, context)
            served.tell()

    return call


def _async_stream(behaviour: Callable[[Any, Any], Any], method: str) -> Callable[..., Any]:
    @functools.wraps(behaviour)
    async def call(request: Any, context: Any) -> AsyncIterator[Any]:
        with _Call(context, method) as served:
            responses = behaviour(request, context)
            try:
                async for response in responses:
                    yield response
            finally:
                await responses.aclose()
            served.tell()

    return call


class _Call:
    """One call of a method, as a request; nothing here raises."""

    __slots__ = ("_begun", "_context", "_method", "_request", "_scope")

    def __init__(self, context: Any, method: str) -> None:
        self._context = context
        self._method = method
        self._request = ServedRequest(_WHERE, path=method, headers=_metadata(context))
        self._scope: InferenceScope | None = None
        self._begun = 0.0

    def __enter__(self) -> _Call:
        self._scope = self._request.__enter__()
        if self._scope is not None:
            self._scope.route = self._method
        self._begun = perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self._request.__exit__(*error)

    def answered(self, behaviour: Any, request: Any, response: Any) -> None:
        """The behaviour has returned: offer both messages where no model was seen, and tell the prediction's id."""
        scope = self._scope
        if scope is None:
            return
        try:
            if not scope.count and is_message(request) and is_message(response):
                _offer_fallback(scope, self._method, behaviour, request, response, perf_counter() - self._begun)
                if scope.fallback is not None:
                    self._end_after_the_response()
        except Exception as error:
            failed(_WHERE, error)
        self.tell()

    def tell(self) -> None:
        """Add the prediction's id to the trailing metadata, unless the application has set it itself."""
        try:
            header = prediction_header(self._scope)
            # A wrong key would not be left out, it would fail the call; and what is there already can be overwritten
            # only. Plain functions on an aio server cannot see it.
            if header is None or not _METADATA_KEY.fullmatch(header[0]) or not hasattr(self._context, _TRAILING):
                return
            given = tuple(self._context.trailing_metadata() or ())
            if all(pair[0] != header[0] for pair in given):
                self._context.set_trailing_metadata((*given, header))
        except Exception as error:
            failed(_WHERE, error)

    def _end_after_the_response(self) -> None:
        context = self._context
        if hasattr(context, "add_done_callback"):  # aio
            end = self._request.left_open()
            context.add_done_callback(lambda _: end())
        elif hasattr(context, "add_callback"):
            end = self._request.left_open()
            if not context.add_callback(end):
                end()  # the client has gone already


def _metadata(context: Any) -> Sequence[tuple[Any, Any]]:
    try:
        return context.invocation_metadata() or ()
    except Exception as error:
        failed(_WHERE, error)
        return ()


# --- the fallback -----------------------------------------------------------------------------------------------------


def _offer_fallback(
    scope: InferenceScope, method: str, behaviour: Any, request: Any, response: Any, duration_s: float
) -> None:
    """Remember request and response; they are read after the response was sent."""
    service, _, name = method.strip("/").rpartition("/")
    name, version = f"{service.rpartition('.')[2]}.{name}", ""
    if is_tensor_exchange(request, response):
        read: Callable[[ModelInfo], Exchange | None] = functools.partial(read_tensors, request, response)
        name, version = request.model_name or name, request.model_version
        scope.prefer_id(request.id)
    else:
        named_so = looks_like_inference(_CAPITAL.sub("_", method.rpartition("/")[2]), "")
        if not named_so and not names_prediction(field_names(response)):
            return
        read = functools.partial(_read, request, response, named_so=named_so)
    offer(
        scope,
        endpoint=getattr(behaviour, "__self__", behaviour),
        name=name,
        version=version,
        system="grpc",
        announced=True,
        read=read,
        duration_s=duration_s,
    )


def _read(request: Any, response: Any, _: Any, *, named_so: bool) -> Exchange | None:
    return inference_in(plain(request), plain(response), named_so=named_so)

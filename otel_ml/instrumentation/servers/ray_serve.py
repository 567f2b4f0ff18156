"""Ray Serve: the request around model calls in a replica, also in FastAPI ingresses, batches and composed deployments.

A replica is a process of its own. It is reached by `opentelemetry-instrument` through the environment of the node it
runs on (`PYTHONPATH` and `OTEL_*`): that of the driver where the driver started Ray, that of `ray start` in a cluster,
or `runtime_env={"env_vars": …}`. Ray's own processes only import what they would have imported.

The id of a request is Serve's own: what the client sent as X-Request-ID, else what the proxy made up and echoes. It
travels with deployment handles, so that predictions of composed deployments share it. Traces do not travel with
handles, unless Serve's own tracing is on.

What was recorded is sent when a replica shuts down gracefully (deleted, redeployed, scaled down, `serve.shutdown`). One
that is killed loses what it had not exported yet: at most one export interval.
"""

from __future__ import annotations

import functools
import inspect
import json
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import propagate

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.batching import BatchMember, batch_of_requests, this_request
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.exchange import Exchange, inference_in, looks_like_inference, says_prediction
from otel_ml.instrumentation.requests.fallback import offer
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.requests.serving import ServedRequest, prediction_header
from otel_ml.recording import spans
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence

    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.requests.scope import InferenceScope
    from otel_ml.recording.inference import ModelInfo

_WHERE: Final = "ray serve hook"
_REPLICA: Final = "ray.serve._private.replica"
_MEMBER: Final = "_otel_ml_member"
"""On an entry of a batch queue: what its batch has to know of the request."""
_NOBODY: Final = BatchMember(None, None)


class RayServeInstrumentor(MLInstrumentor):
    """Gives model calls in replicas their request, batches the requests they are made of, and delivers at the end."""

    requires = ("ray >= 2.48",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where a replica takes a request over, calls the user's code, batches, and ends."""
        return (
            Patch(_REPLICA, "Replica._wrap_request", _serving),
            Patch(_REPLICA, "UserCallableWrapper.call_http_entrypoint", _answering),
            Patch(_REPLICA, "UserCallableWrapper._call_func_or_gen", _calling),
            Patch(_REPLICA, "ReplicaActor.perform_graceful_shutdown", _delivering),
            Patch("ray.serve.handle", "DeploymentHandle.remote", _asking_another),
            Patch("ray.serve.batching", "_BatchQueue.put", _joining_batch),
            # Today's versions split what they have collected by multiplexed model: the inner method has the real batch.
            Patch("ray.serve.batching", "_BatchQueue._process_batch_inner", _batched, optional=True),
            Patch("ray.serve.batching", "_BatchQueue._process_batch", _batched, optional=True),
        )


# --- requests ---------------------------------------------------------------------------------------------------------


def _serving(original: Callable[..., Any]) -> Callable[..., Any]:
    """Around every request of every kind: HTTP, gRPC, and calls through a handle."""

    @functools.wraps(original)
    @contextmanager
    def _wrap_request(self: Any, request_metadata: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        with (
            ServedRequest(
                _WHERE,
                method=getattr(request_metadata, "_http_method", ""),
                path=getattr(request_metadata, "route", ""),
                prediction_id=getattr(request_metadata, "request_id", None),
            ) as scope,
            original(self, request_metadata, *args, **kwargs) as given,
        ):
            if scope is not None:
                scope.route = getattr(request_metadata, "route", "")
            yield given

    return _wrap_request


def _answering(original: Callable[..., AsyncGenerator[Any, None]]) -> Callable[..., AsyncGenerator[Any, None]]:
    """An HTTP request and the messages of its response."""

    @functools.wraps(original)
    async def call_http_entrypoint(self: Any, *args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        given = (*args, *kwargs.values())
        asgi = next((value for value in given if isinstance(value, dict) and "headers" in value), {})
        answer = original(self, *args, **kwargs)
        try:
            # The user's code is started with the first step, in a copy of the context there is then.
            with ServedRequest(_WHERE, path=asgi.get("path", "")) as scope, _trace_of_caller(asgi.get("headers", ())):
                messages = await anext(answer, None)
            if messages is None:
                return
            yield _with_id(messages, scope)
            async for messages in answer:
                yield messages
        finally:
            await answer.aclose()

    return call_http_entrypoint


@contextmanager
def _trace_of_caller(headers: Any) -> Iterator[None]:
    """Serve makes no spans unless told to, and would lose the client's trace: ours are below it then."""
    token = None
    try:
        if spans.tracing() and spans.context_of(None) is None:
            carrier = {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in headers}
            token = otel_context.attach(propagate.extract(carrier))
    except Exception as error:
        failed(_WHERE, error)
    try:
        yield
    finally:
        if token is not None:
            otel_context.detach(token)


def _with_id(messages: Any, scope: InferenceScope | None) -> Any:
    try:
        header = prediction_header(scope)
        if header is None:
            return messages
        name, value = header[0].encode("latin-1"), header[1].encode("latin-1")
        first, *rest = messages
        given = list(first.get("headers", ()))
        if first["type"] == "http.response.start" and all(bytes(known).lower() != name for known, _ in given):
            messages = [{**first, "headers": [*given, (name, value)]}, *rest]
    except Exception as error:
        failed(_WHERE, error)
    return messages


def _asking_another(original: Callable[..., Any]) -> Callable[..., Any]:
    """A deployment that asks another one for its prediction: it is recorded there, once."""

    @functools.wraps(original)
    def remote(self: Any, *args: Any, **kwargs: Any) -> Any:
        if RayServeInstrumentor.active and (scope := current_scope()) is not None:
            scope.counted()
        return original(self, *args, **kwargs)

    return remote


def _delivering(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The last moment of a replica: the controller kills it as soon as this returns."""

    @functools.wraps(original)
    async def perform_graceful_shutdown(self: Any, *args: Any, **kwargs: Any) -> None:
        await original(self, *args, **kwargs)
        if not RayServeInstrumentor.active:
            return
        try:
            import asyncio  # noqa: PLC0415 - loaded in every replica, and only there

            from otel_ml.recording.delivery import deliver  # noqa: PLC0415 - the recorder, see late_recorder

            await asyncio.to_thread(deliver)
        except Exception as error:
            failed(_WHERE, error)

    return perform_graceful_shutdown


# --- batches ----------------------------------------------------------------------------------------------------------


def _joining_batch(original: Callable[..., None]) -> Callable[..., None]:
    """Still in the request's own context."""

    @functools.wraps(original)
    def put(self: Any, request: Any) -> None:
        if RayServeInstrumentor.active:
            try:
                setattr(request, _MEMBER, this_request())
            except Exception as error:
                failed(_WHERE, error)
        original(self, request)

    return put


def _batched(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """A batch that is about to be handed to the user's function."""

    @functools.wraps(original)
    async def process(self: Any, func: Callable[..., Any], batch: list[Any]) -> None:
        await original(self, _of_batch(func, batch) if RayServeInstrumentor.active else func, batch)

    return process


def _of_batch(func: Callable[..., Any], batch: list[Any]) -> Callable[..., Any]:
    """The user's function in a context of the batch's own: Serve runs it in that of the first request."""

    def members() -> list[BatchMember]:
        # Serve has left out whoever is gone by the time it calls the function.
        return [getattr(request, _MEMBER, None) or _NOBODY for request in batch if not request.future.cancelled()]

    if inspect.isasyncgenfunction(func):

        @functools.wraps(func)
        async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
            with batch_of_requests(members()):
                async for results in func(*args, **kwargs):
                    yield results

        return stream

    @functools.wraps(func)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with batch_of_requests(members()):
            return await func(*args, **kwargs)

    return call


# --- the fallback -----------------------------------------------------------------------------------------------------


def _calling(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The user's method; outside of requests also its constructor and checks."""

    @functools.wraps(original)
    async def _call_func_or_gen(self: Any, callable: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: A002 - Serve's name
        begun = perf_counter()
        outcome = await original(self, callable, *args, **kwargs)
        if RayServeInstrumentor.active and (scope := current_scope()) is not None and not scope.count:
            _offer_fallback(scope, self, callable, kwargs, outcome, perf_counter() - begun)
        return outcome

    return _call_func_or_gen


def _offer_fallback(
    scope: InferenceScope, wrapper: Any, method: Any, kwargs: dict[str, Any], outcome: Any, duration_s: float
) -> None:
    """Remember what was asked and answered; it is read after the response, and only if no model hook fires."""
    try:
        result = outcome[0]
        if result is None or scope.method not in ("POST", "PUT", "PATCH", ""):
            return
        if hasattr(result, "raw_headers") or inspect.isgenerator(result) or inspect.isasyncgen(result):
            return  # ready-made responses and streams are the client's: they can be read only once
        deployment = wrapper._deployment_id.name  # noqa: SLF001 - this whole hook is about private parts
        method_name = getattr(method, "__name__", "")
        named_so = looks_like_inference(method_name, scope.route) or looks_like_inference(method_name, deployment)
        arguments = [*(kwargs.get("args") or ()), *(kwargs.get("kwargs") or {}).values()]
        offer(
            scope,
            endpoint=wrapper._callable,  # noqa: SLF001 - see above
            name=deployment,
            system="ray_serve",
            announced=named_so or says_prediction(result),
            read=functools.partial(_read, arguments, result, named_so=named_so),
            duration_s=duration_s,
        )
    except Exception as error:
        failed(_WHERE, error)


def _read(arguments: list[Any], result: Any, _: ModelInfo, *, named_so: bool) -> Exchange | None:
    if len(arguments) != 1:
        return None
    (body,) = arguments
    if hasattr(body, "url") and hasattr(body, "scope"):
        body = _body_of(body)
    elif named_so and hasattr(body, "shape") and body.shape and _length(result) == body.shape[0]:
        return Exchange(body, result, None)  # an array or frame, through a handle
    return inference_in(body, result, named_so=named_so)


def _body_of(request: Any) -> Any:
    """What the user's code has read of a Starlette request; it cannot be read again."""
    if hasattr(request, "_json"):
        return request._json  # noqa: SLF001 - where Starlette keeps what `json()` gave
    body = getattr(request, "_body", b"")
    return json.loads(body) if body[:1] in (b"{", b"[") else None


def _length(result: Any) -> int:
    return len(result) if hasattr(result, "__len__") and not isinstance(result, (str, bytes, dict)) else -1

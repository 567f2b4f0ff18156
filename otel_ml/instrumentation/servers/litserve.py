"""LitServe: each request's id and trace in the inference workers, batches of exactly their own requests, and delivery.

LitServe answers HTTP in one process and runs the model in others; between them travel a key and the request's body. The
key takes the request's id and span along, so that the body stays what the client sent. In the worker, model calls are
the request's; where none is seen, what `predict` was given and what it returned are recorded instead.

The response's header with the prediction's id, and the scope in the HTTP process, are those of the FastAPI hook.
Requests of OpenAI-like specifications and of a loop of one's own reach the model without id and trace.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from contextlib import ExitStack, contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import context as otel_context
from opentelemetry import trace

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.batching import BatchMember, batch_of_requests, this_request
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.exchange import Exchange
from otel_ml.instrumentation.requests.fallback import offer
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.requests.serving import LeftAlone, ServedRequest
from otel_ml.instrumentation.requests.termination import deliver_on_termination
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.recording.inference import ModelInfo

_WHERE: Final = "litserve hook"
_MAX_TAKEN: Final = 10_000
_SCALARS: Final = (str, int, float, bool)


class LitServeInstrumentor(MLInstrumentor):
    """Brings requests to the model calls in inference workers."""

    requires = ("litserve >= 0.2.11",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where a request is handed over, where a worker takes it, calls the model, and is done with it."""
        return (
            Patch("litserve.server", "LitServer._get_request_queue", _handing_over),
            Patch("litserve.loops.base", "LitLoop.put_response", _responding),
            # Where they are used, not where they are defined: these modules have imported them by name.
            Patch("litserve.loops.simple_loops", "_inject_context", _calling),
            Patch("litserve.loops.streaming_loops", "_inject_context", _calling),
            Patch("litserve.loops.simple_loops", "_async_inject_context", _calling_async, optional=True),
            Patch("litserve.loops.streaming_loops", "_async_inject_context", _calling_async, optional=True),
            Patch("litserve.loops.simple_loops", "SingleLoop._process_single_request", _serving_async, optional=True),
            Patch(
                "litserve.loops.streaming_loops",
                "StreamingLoop._process_streaming_request",
                _serving_async,
                optional=True,
            ),
        )


# --- from the HTTP process to a worker --------------------------------------------------------------------------------


class _Origin(NamedTuple):
    """What a worker has to know of a request."""

    prediction_id: str | None = None
    trace_id: int = 0
    span_id: int = 0
    trace_flags: int = 0
    is_excluded: bool = False

    def span_context(self) -> trace.SpanContext | None:
        if not self.trace_id:
            return None
        return trace.SpanContext(self.trace_id, self.span_id, True, trace.TraceFlags(self.trace_flags))


class RequestKey(str):
    """The key LitServe gave a request, and where the request comes from: equal to the key itself in every respect."""

    __slots__ = ("origin",)

    origin: _Origin

    def __new__(cls, key: str, origin: Sequence[Any]) -> RequestKey:
        """`origin` as the fields of an `_Origin`: pickled, it is a plain tuple."""
        made = super().__new__(cls, key)
        made.origin = _Origin(*origin)
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return RequestKey, (str(self), tuple(self.origin))


class _TellingQueue:
    """A request queue, for the one request that is being submitted."""

    def __init__(self, queue: Any, origin: _Origin) -> None:
        self._queue = queue
        self._origin = origin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._queue, name)

    def put(self, item: Any, *args: Any, **kwargs: Any) -> None:
        try:
            response_queue_id, key, *rest = item
            item = (response_queue_id, RequestKey(key, self._origin), *rest)
        except Exception as error:
            failed(_WHERE, error)
        self._queue.put(item, *args, **kwargs)


def _handing_over(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def _get_request_queue(self: Any, *args: Any, **kwargs: Any) -> Any:
        queue = original(self, *args, **kwargs)
        if not LitServeInstrumentor.active:
            return queue
        scope = current_scope()
        if scope is None:
            # Asked for by what starts the workers; or in a request that is not to be recorded by any layer.
            return _TellingQueue(queue, _Origin(is_excluded=True)) if inside.get() else queue
        try:
            member = this_request()
            span = member.span_context
            ids = (span.trace_id, span.span_id, int(span.trace_flags)) if span is not None else (0, 0, 0)
            # The prediction is the worker's to record: not that of whoever looks at body and answer here.
            scope.counted()
            return _TellingQueue(queue, _Origin(member.prediction_id, *ids))
        except Exception as error:
            failed(_WHERE, error)
            return queue

    return _get_request_queue


# --- requests in a worker ---------------------------------------------------------------------------------------------


class _Worker(threading.local):
    """The loop of this thread: which requests it has taken, and the request or batch it is at.

    A loop takes a request, or some for a batch, and answers all of them before it takes the next.
    """

    def __init__(self) -> None:
        self.batched = False
        self.taken: dict[str, _Origin] = {}
        self.serving: ExitStack | None = None

    def take(self, key: str, *, batched: bool) -> None:
        """A request was taken from the queue: for itself, or for a batch."""
        if self.serving is not None or len(self.taken) >= _MAX_TAKEN:
            self.finish()  # a loop of somebody's own that does not answer what it takes
        self.batched = batched
        self.taken[key] = _origin_of(key)

    def serve(self) -> None:
        """The loop is at the model now: what it does until it answers is for the requests it has taken."""
        if self.serving is not None or not self.taken:
            return
        self.serving = stack = ExitStack()
        origins = list(self.taken.values())
        if all(origin.is_excluded for origin in origins):
            stack.enter_context(LeftAlone())
        elif self.batched:
            stack.enter_context(batch_of_requests([BatchMember(o.prediction_id, o.span_context()) for o in origins]))
        else:
            stack.enter_context(_request(origins[-1]))

    def answer(self, key: str) -> None:
        """A request was answered: with the last one, the batch is over."""
        self.taken.pop(key, None)
        if not self.taken:
            self.finish()

    def finish(self) -> None:
        """Nothing that follows is for the requests taken so far."""
        self.taken.clear()
        stack, self.serving = self.serving, None
        if stack is not None:
            stack.close()


_worker: Final = _Worker()


@contextmanager
def _request(origin: _Origin) -> Iterator[None]:
    """One request, below the span it has in the HTTP process."""
    if origin.is_excluded:
        with LeftAlone():
            yield
        return
    span = origin.span_context()
    token = None
    if span is not None:
        token = otel_context.attach(trace.set_span_in_context(trace.NonRecordingSpan(span)))
    try:
        with ServedRequest(_WHERE, prediction_id=origin.prediction_id):
            yield
    finally:
        if token is not None:
            otel_context.detach(token)


def _responding(original: Callable[..., None]) -> Callable[..., None]:
    """Every loop says here that it has taken a request, and what it answers."""

    @functools.wraps(original)
    def put_response(
        self: Any,
        transport: Any,
        response_queue_id: Any,
        uid: Any,
        response_data: Any,
        status: Any,
        response_type: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        key = uid
        if type(uid) is RequestKey:
            uid = str(uid)  # it has arrived
        try:
            if status == "START":
                _take(self, key)
        except Exception as error:
            failed(_WHERE, error)
        original(self, transport, response_queue_id, uid, response_data, status, response_type, *args, **kwargs)
        try:
            # A stream is over with FINISH_STREAMING only. Whoever waits for the answer has it by now.
            if status not in ("START", "OK") or (status == "OK" and response_type.name != "STREAMING"):
                _worker.answer(key)
        except Exception as error:
            failed(_WHERE, error)

    return put_response


def _take(loop: Any, key: str) -> None:
    if not LitServeInstrumentor.active or _in_event_loop():
        return  # asynchronous loops serve many requests at once: each is a task, see below
    deliver_on_termination()
    batched = hasattr(loop, "run_batched_loop") or hasattr(loop, "run_batched_streaming_loop")
    _worker.take(key, batched=batched)


def _serving_async(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    @functools.wraps(original)
    async def process(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        if not LitServeInstrumentor.active:
            await original(self, request, *args, **kwargs)
            return
        deliver_on_termination()
        with _request(_origin_of(request[1])):
            await original(self, request, *args, **kwargs)

    return process


def _origin_of(key: Any) -> _Origin:
    return key.origin if isinstance(key, RequestKey) else _Origin()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


# --- predict ----------------------------------------------------------------------------------------------------------


def _calling(original: Callable[..., Any]) -> Callable[..., Any]:
    """How the loops call the methods of a LitAPI."""

    @functools.wraps(original)
    def _inject_context(context: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        name = getattr(func, "__name__", "")
        if not LitServeInstrumentor.active or inside.get():
            return original(context, func, *args, **kwargs)
        try:
            # A batch is decoded one by one: only from `batch` on is it one. A single request is itself from the start.
            if isinstance(context, list) or not _worker.batched:
                _worker.serve()
        except Exception as error:
            failed(_WHERE, error)
        begun = perf_counter()
        result = original(context, func, *args, **kwargs)
        if name == "predict":
            _offer_fallback(func, args, result, perf_counter() - begun, batched=isinstance(context, list))
        return result

    return _inject_context


def _calling_async(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def _async_inject_context(context: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        begun = perf_counter()
        result = await original(context, func, *args, **kwargs)
        if getattr(func, "__name__", "") == "predict" and LitServeInstrumentor.active:
            _offer_fallback(func, args, result, perf_counter() - begun, batched=False)
        return result

    return _async_inject_context


def _offer_fallback(func: Any, args: tuple[Any, ...], result: Any, duration_s: float, *, batched: bool) -> None:
    """Remember input and output; they are read once the request was answered, and only if no model hook fires."""
    try:
        scope = current_scope()
        if scope is None or scope.count or not args or inspect.isgenerator(result) or inspect.isasyncgen(result):
            return
        lit_api = func.__self__
        offer(
            scope,
            endpoint=lit_api,
            name=type(lit_api).__name__,
            system="litserve",
            announced=False,
            read=functools.partial(_read, args[0], result, batched=batched),
            duration_s=duration_s,
        )
    except Exception as error:
        failed(_WHERE, error)


def _read(given: Any, result: Any, _: ModelInfo, *, batched: bool) -> Exchange | None:
    """What `predict` was given, unless it is something only the model can read, and what it returned."""
    from otel_ml.instrumentation.reading.tensors import features_of, rows_only, shape_of  # noqa: PLC0415 - only on this way

    if batched and isinstance(given, (list, tuple)) and given:
        if isinstance(given[0], _SCALARS):
            given = [[value] for value in given]
        elif not isinstance(given[0], (dict, list, tuple)):
            given = rows_only(len(given))  # images, sequences
    tensors = shape_of(given) is not None or (
        isinstance(given, dict) and any(shape_of(value) is not None for value in given.values())
    )
    features = features_of(given) if tensors else given
    if shape_of(features) is None and not isinstance(features, (dict, list, tuple, *_SCALARS)):
        return None
    readable = len(shape_of(result) or ()) in (1, 2) or isinstance(result, (dict, list, tuple, *_SCALARS))
    return Exchange(features, result if readable else None, None)

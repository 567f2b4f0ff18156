"""MLServer: one record per request, typed, before batching, whether it came over REST, gRPC or Kafka.

The record is made around `DataPlane.infer` and `infer_stream`, in the process that took the request. Models that run
below, in the same process, in a batch or in a worker process, are quiet: each request is counted once, under its own id
and in its own trace. A stream is recorded at its end: pieces of text as the text they make, of anything else the last
piece. Spans are INTERNAL: those of the request are contrib's.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.calls.observed_stream import observed_stream
from otel_ml.instrumentation.identity import infos, key_of, remember
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.instrumentation.requests.serving import LeftAlone, ServedRequest, prediction_header
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
    from types import ModuleType

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.reading.open_inference import Tensor
    from otel_ml.instrumentation.requests.scope import InferenceScope

_WHERE: Final = "mlserver hook"
_MAX_PIECES: Final = 4_096
"""Of a stream, payloads and pieces of text that are kept until its end."""


class MLServerInstrumentor(MLInstrumentor):
    """Records what models behind MLServer are asked and what they answer."""

    requires = ("mlserver >= 1.6",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Where requests of all transports pass, and the two places below it where their context would be lost."""
        return (
            Patch("mlserver.handlers.dataplane", "DataPlane.infer", _inferring),
            Patch("mlserver.handlers.dataplane", "DataPlane.infer_stream", _streaming),
            # Called with each request's body, before the response may begin: a stream's header needs the id by then.
            Patch("mlserver.rest.endpoints", "insert_headers", _reading_id),
            Patch("mlserver.batching.adaptive", "AdaptiveBatcher._start_batcher_if_needed", _starting_batcher),
            Patch("mlserver.parallel.worker", "Worker.run", _working),
        )


def _inferring(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def infer(self: Any, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not MLServerInstrumentor.active:
            return await original(self, *args, **kwargs)
        payload, name, version = _arguments("payload", args, kwargs)
        with ServedRequest(
            _WHERE, path=_path(name), headers=_headers_of(payload), prediction_id=getattr(payload, "id", None)
        ) as scope:
            if scope is None:
                return await original(self, *args, **kwargs)
            model = await _model(self, name, version)
            features = _features(model, payload)
            with ObservedCall(_WHERE, functools.partial(_describe, model), "infer", features) as call:
                result = await original(self, *args, **kwargs)
                call.read(_read, result)
            _tell_id(scope, result)
            return result

    return infer


def _reading_id(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def insert_headers(*args: Any, **kwargs: Any) -> Any:
        request = original(*args, **kwargs)
        scope = current_scope()
        if scope is not None and MLServerInstrumentor.active:
            scope.prefer_id(getattr(request, "id", None))
        return request

    return insert_headers


def _starting_batcher(original: Callable[..., Any]) -> Callable[..., Any]:
    """The task that makes batches outlives the request that starts it, and must not belong to it."""

    @functools.wraps(original)
    def start_batcher_if_needed(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not MLServerInstrumentor.active:
            return original(self, *args, **kwargs)
        context_token = otel_context.attach(Context())
        scope_token = request_scope.set(None)
        try:
            with LeftAlone():
                return original(self, *args, **kwargs)
        finally:
            request_scope.reset(scope_token)
            otel_context.detach(context_token)

    return start_batcher_if_needed


def _working(original: Callable[..., Any]) -> Callable[..., Any]:
    """A worker process: what its models do is recorded by the process that took the request."""

    @functools.wraps(original)
    def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not MLServerInstrumentor.active:
            return original(self, *args, **kwargs)
        try:
            with LeftAlone():
                return original(self, *args, **kwargs)
        finally:
            # For what models record explicitly. A child of multiprocessing runs no exit handlers.
            try:
                from otel_ml.recording.delivery import deliver  # noqa: PLC0415 - the recorder, see late_recorder

                deliver()
            except Exception as error:
                failed(_WHERE, error)

    return run


# --- streams ----------------------------------------------------------------------------------------------------------


def _streaming(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    @functools.wraps(original)
    def infer_stream(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        if inside.get() or not MLServerInstrumentor.active:
            return original(self, *args, **kwargs)
        scope = current_scope()
        if scope is not None:
            scope.announced = True
        return _observed(original, self, args, kwargs)

    return infer_stream


async def _observed(
    original: Callable[..., AsyncIterator[Any]], plane: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> AsyncIterator[Any]:
    payloads, name, version = _arguments("payloads", args, kwargs)
    model = await _model(plane, name, version)
    stream = _Stream(model, payloads)
    if args:
        args = (stream, *args[1:])
    else:
        kwargs = {**kwargs, "payloads": stream}

    def start(scope: InferenceScope | None) -> AsyncIterator[Any]:
        stream.scope = scope
        return original(plane, *args, **kwargs)

    answers = observed_stream(
        _WHERE,
        start,
        request=ServedRequest(_WHERE, path=_path(name), headers=stream),
        call=ObservedCall(_WHERE, functools.partial(_describe, model), "infer"),
        take=stream.take,
        read=stream.read,
    )
    try:
        async for answer in answers:
            yield answer
    finally:
        await answers.aclose()


class _Stream:
    """Payloads on their way in, answers on their way out, and the inference they amount to.

    Iterating asynchronously gives the payloads; iterating gives the headers that the first of them brought.
    """

    def __init__(self, model: Any, payloads: Any) -> None:
        self.scope: InferenceScope | None = None
        self._model = model
        self._payloads = payloads.__aiter__()
        self._headers: list[tuple[Any, Any]] = []
        self._features: list[Any] = []
        self._pieces: list[Any] = []
        self._last: tuple[Any, Any] = (None, None)

    def __aiter__(self) -> _Stream:
        return self

    async def __anext__(self) -> Any:
        payload = await self._payloads.__anext__()
        try:
            if not self._features:
                self._headers = _headers_of(payload)
                if self.scope is not None:
                    self.scope.prefer_id(payload.id)
            if len(self._features) < _MAX_PIECES:
                self._features.append(_features(self._model, payload))
        except Exception as error:
            failed(_WHERE, error)
        return payload

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return iter(self._headers)

    def take(self, answer: Any) -> None:
        """Look at one answer."""
        _, predictions, scores = _read(answer)
        self._last = predictions, scores
        if len(self._pieces) < _MAX_PIECES:
            self._pieces.append(predictions)

    def read(self) -> tuple[Any, Any, Any]:
        """Features, predictions and scores."""
        predictions, scores = self._last
        if len(self._features) != 1:
            # A conversation: the answers belong to the payloads if there are as many.
            features = _protocol().together(self._features)
            paired = len(self._pieces) == len(self._features)
            return features, _protocol().together(self._pieces) if paired else None, None
        if self._pieces and all(isinstance(piece, str) for piece in self._pieces):
            predictions = "".join(self._pieces)
        return self._features[0], predictions, scores


# --- the model --------------------------------------------------------------------------------------------------------


def _arguments(first: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Of `infer(payload, name, version)` and `infer_stream(payloads, name, version)`."""
    given = dict(zip((first, "name", "version"), args, strict=False)) | kwargs
    return given.get(first), given.get("name"), given.get("version")


async def _model(plane: Any, name: Any, version: Any) -> Any:
    """The model object; None if there is none: MLServer says so itself, and no name of a stranger's is reported."""
    try:
        return await plane._model_registry.get_model(name, version)  # noqa: SLF001 - there is no public way to it
    except Exception:
        return None


def _describe(model: Any, settings: Settings) -> ModelInfo | None:
    if model is None:
        return None
    info = infos.get(id(model))
    if info is None:
        key = key_of(settings, str(model.name), model)
        if not key.version and model.version:
            key = key._replace(version=str(model.version))
        info = ModelInfo(key, system="mlserver", feature_names=_protocol().names_held_by(model))
        remember(model, info)
    return info


# --- requests and answers ---------------------------------------------------------------------------------------------


def _protocol() -> ModuleType:
    """Loaded with the first request: it brings numpy, which not every process that is instrumented needs."""
    from otel_ml.instrumentation.reading import open_inference  # noqa: PLC0415 - see above

    return open_inference


def _path(name: Any) -> str:
    return f"/v2/models/{name}/infer"


def _headers_of(payload: Any) -> list[tuple[Any, Any]]:
    """What came with the request: MLServer puts HTTP headers, gRPC metadata and those of Kafka into the parameters."""
    try:
        headers = getattr(payload.parameters, "headers", None)
        # A copy: MLServer adds a CloudEvent's headers of its own making to them.
        return [(name.lower(), value) for name, value in headers.items()] if headers else []
    except Exception as error:
        failed(_WHERE, error)
        return []


def _features(model: Any, payload: Any) -> Any:
    try:
        info = _describe(model, the_recorder().settings)
        return None if info is None else _protocol().features_of(_tensors(payload.inputs), info)
    except Exception as error:
        failed(_WHERE, error)
        return None


def _read(response: Any) -> tuple[Any, Any, Any]:
    """Features are known already; predictions and scores of a response."""
    return (None, *_protocol().outputs_of(_tensors(response.outputs)))


def _tensors(given: Any) -> list[Tensor]:
    """RequestInputs or ResponseOutputs, whatever carried them."""
    make = _protocol().Tensor
    return [
        make(
            each.name,
            each.shape,
            getattr(each.datatype, "value", each.datatype),
            getattr(each.data, "root", each.data),
        )
        for each in given
    ]


def _tell_id(scope: InferenceScope, response: Any) -> None:
    """Into the response's headers, which MLServer sends by HTTP, as trailing metadata or with Kafka's message."""
    try:
        header = prediction_header(scope)
        parameters = response.parameters
        if header is None or parameters is None or header[0] in (headers := parameters.headers or {}):
            return
        # A copy: the responses made of one batch share their parameters.
        response.parameters = parameters.model_copy(update={"headers": {**headers, header[0]: header[1]}})
    except Exception as error:
        failed(_WHERE, error)

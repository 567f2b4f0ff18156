"""PyTriton: what Triton asks a Python function, and what it answers.

`Triton.bind` takes a function from a list of requests to a list of answers, and Triton calls it once for all requests
it has put together. That call is the inference: its tensors have the names, types and version the model has in Triton,
and models of a library inside of it are not recorded once more. The hook sits where the function is called and not in
`bind`, since PyTriton finds a function's configuration by the function itself.

Triton gives Python no request id: the parameter "prediction_id" of a request is taken as one. Requests that carry a
span of PyTriton's own tracing are linked to.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.batching import BatchMember, batch_of_requests
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.patch import Patch
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.reading.open_inference import Tensor

_WHERE: Final = "pytriton hook"
_ID_PARAMETER: Final = "prediction_id"


class PyTritonInstrumentor(MLInstrumentor):
    """Records what the functions bound to Triton are asked and what they answer."""

    requires = ("nvidia-pytriton >= 0.5",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """The thread that calls a bound function."""
        return (Patch("pytriton.proxy.inference", "InferenceHandler.__init__", _handling),)


def _handling(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - takes the place of one
        original(self, *args, **kwargs)
        try:
            function = args[0] if args else kwargs.get("model_callable")
            config = self._validator._model_config  # noqa: SLF001 - the only place where the thread has it
            self._model_callable = _observed(self._model_callable, function, config)
        except Exception as error:
            failed(_WHERE, error)

    return __init__


def _observed(
    inferring: Callable[[Any], AsyncGenerator[Any, None]], function: Any, config: Any
) -> Callable[[Any], AsyncGenerator[Any, None]]:
    """PyTriton has made an asynchronous generator of every kind of function: one answer, or several."""
    described: dict[tuple[str, str], ModelInfo] = {}

    def describe(settings: Settings) -> ModelInfo:
        name, version = str(config.model_name), str(config.model_version)
        key = key_of(settings, name, function)
        if key == ModelKey(name, ""):
            key = ModelKey(name, version)
        return described.setdefault(key, ModelInfo(key, system="triton"))

    async def infer(requests: Any) -> AsyncGenerator[Any, None]:
        if not PyTritonInstrumentor.active:
            async for answers in inferring(requests):
                yield answers
            return
        given = _Given(requests, describe, has_rows=getattr(config, "batching", True))
        with batch_of_requests(given.members), ObservedCall(_WHERE, describe, "infer", given.features) as call:
            number = 0
            async for answers in inferring(requests):
                number += 1
                if call.is_recorded:
                    # Of several answers to one request each is a part: rows are counted, and none is the prediction.
                    _returned(call, answers if number == 1 else None, has_rows=given.has_rows)
                yield answers

    return infer


def _returned(call: ObservedCall, answers: Any, *, has_rows: bool) -> None:
    try:
        from otel_ml.instrumentation.reading.open_inference import outputs_of  # noqa: PLC0415 - brings numpy along

        predictions, scores = outputs_of(_together(answers, has_rows=has_rows)) if answers else (None, None)
        call.returned(predictions, scores)
    except Exception as error:
        failed(_WHERE, error)


class _Given:
    """Requests, as they are before the function is called.

    Attributes:
        has_rows: The first dimension of tensors is the batch's; otherwise each request is one row.
        features: Of all requests together.
        members: What the batch is made of.
    """

    def __init__(self, requests: Any, describe: Callable[[Settings], ModelInfo], *, has_rows: bool) -> None:
        self.has_rows = has_rows
        self.features: Any = None
        self.members: list[BatchMember] = []
        try:
            recorder = the_recorder()
            if recorder.enabled:
                from otel_ml.instrumentation.reading.open_inference import features_of  # noqa: PLC0415 - brings numpy along

                self.members = [self._member(request) for request in requests]
                self.features = features_of(_together(requests, has_rows=has_rows), describe(recorder.settings))
        except Exception as error:
            failed(_WHERE, error)

    def _member(self, request: Any) -> BatchMember:
        parameters = request.parameters or {}
        own_id = parameters.get(_ID_PARAMETER)
        context = request.span.get_span_context() if request.span is not None else None
        first = next(iter(request.values()), None)
        rows = int(first.shape[0]) if self.has_rows and first is not None and first.ndim else 1
        return BatchMember(str(own_id) if own_id else None, context, None, rows)


def _together(parts: Iterable[Mapping[str, Any]], *, has_rows: bool) -> list[Tensor]:
    """Named arrays of several requests or answers as one tensor a name; those that do not fit together are left out."""
    import numpy as np  # noqa: PLC0415 - PyTriton has it loaded; a process without one need not

    from otel_ml.instrumentation.reading.open_inference import Tensor  # noqa: PLC0415 - brings numpy along

    everyone = list(parts)
    tensors = []
    for name in everyone[0] if everyone else ():
        arrays = [part[name] if has_rows else np.asarray(part[name])[None] for part in everyone if name in part.keys()]  # noqa: SIM118 - a Request iterates over its names and has no `in`
        if len(arrays) < len(everyone) or len({array.shape[1:] for array in arrays}) > 1:
            continue
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        tensors.append(Tensor(name, array.shape, "BYTES" if array.dtype.kind in "OS" else array.dtype.name, array))
    return tensors

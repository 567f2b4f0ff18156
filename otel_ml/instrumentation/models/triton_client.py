"""Triton clients: a model that runs in another process, asked over HTTP or gRPC, plainly or with asyncio.

For the process that asks, the remote model is a model like any other: its call in a served request is that request's
inference, with the tensors as features. Triton, KServe, MLServer and whoever else speaks the v2 protocol answer alike.

What is not seen: `async_infer` and streams, whose answers come in a callback, and tensors in shared memory.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.reading.open_inference import Tensor

_WHERE: Final = "triton client hook"
_MAX_INFOS: Final = 1_000

_infos: dict[tuple[Any, ...], ModelInfo] = {}


class TritonClientInstrumentor(MLInstrumentor):
    """Records what remote models are asked and what they answer."""

    requires = ("tritonclient >= 2.40",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """The one method of each of the four clients that waits for an answer."""
        return (
            Patch("tritonclient.http._client", "InferenceServerClient.infer", _observed),
            Patch("tritonclient.grpc._client", "InferenceServerClient.infer", _observed),
            Patch("tritonclient.http.aio", "InferenceServerClient.infer", _observed_async),
            Patch("tritonclient.grpc.aio", "InferenceServerClient.infer", _observed_async),
        )


def _observed(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def infer(self: Any, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not TritonClientInstrumentor.active:
            return original(self, *args, **kwargs)
        with _call(args, kwargs) as call:
            result = original(self, *args, **kwargs)
            _read(call, args, kwargs, result)
            return result

    return infer


def _observed_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def infer(self: Any, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not TritonClientInstrumentor.active:
            return await original(self, *args, **kwargs)
        with _call(args, kwargs) as call:
            result = await original(self, *args, **kwargs)
            _read(call, args, kwargs, result)
            return result

    return infer


# --- the call ---------------------------------------------------------------------------------------------------------


def _call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ObservedCall:
    name = _argument(args, kwargs, 0, "model_name")
    version = _argument(args, kwargs, 2, "model_version")
    return ObservedCall(_WHERE, lambda settings: _info(settings, name, version), "infer")


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], position: int, name: str) -> Any:
    """An argument of `infer(model_name, inputs, model_version, outputs, request_id, …)`, the same in all clients."""
    return args[position] if len(args) > position else kwargs.get(name)


def _info(settings: Settings, name: Any, version: Any) -> ModelInfo:
    known = (settings.model_name, settings.model_version, name, version)
    info = _infos.get(known)
    if info is None:
        key = key_of(settings, str(name))
        if version and key == ModelKey(str(name), ""):
            key = ModelKey(str(name), str(version))
        info = ModelInfo(key, system="triton")
        if len(_infos) < _MAX_INFOS:
            info = _infos.setdefault(known, info)
    return info


def _read(call: ObservedCall, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    if not call.is_recorded:
        return
    try:
        from otel_ml.instrumentation.reading.open_inference import features_of, outputs_of  # noqa: PLC0415 - brings numpy along

        name, version = _argument(args, kwargs, 0, "model_name"), _argument(args, kwargs, 2, "model_version")
        info = _info(the_recorder().settings, name, version)
        features = features_of(_inputs(_argument(args, kwargs, 1, "inputs") or ()), info)
        predictions, scores = outputs_of(_outputs(result))
        prediction_id = _argument(args, kwargs, 4, "request_id") or None
        if prediction_id is not None and (scope := current_scope()) is not None and scope.count == 0:
            # The id the program gave the inference itself goes before that of the request it happens in: the response's
            # header shall tell the same one.
            scope.prefer_id(prediction_id)
        call.returned(predictions, scores, features=features, prediction_id=prediction_id)
    except Exception as error:
        failed(_WHERE, error)


# --- tensors ----------------------------------------------------------------------------------------------------------


def _inputs(tensors: Iterable[Any]) -> list[Tensor]:
    """Inputs, without copying numbers; those in shared memory are left out."""
    from otel_ml.instrumentation.reading.open_inference import Tensor  # noqa: PLC0415 - brings numpy along

    read = [(tensor.name(), tuple(tensor.shape()), tensor.datatype(), _data(tensor)) for tensor in tensors]
    return [Tensor(*fields) for fields in read if fields[3] is not None]


def _data(tensor: Any) -> Any:
    """What an InferInput was given: bytes or a list for the JSON in the HTTP client, bytes in that of gRPC."""
    import numpy as np  # noqa: PLC0415 - the client has it loaded; a process without one need not
    from tritonclient.utils import deserialize_bytes_tensor, triton_to_np_dtype  # noqa: PLC0415 - of the framework

    raw = tensor._get_binary_data() if hasattr(tensor, "_get_binary_data") else tensor._get_content()  # noqa: SLF001 - there is no public way to read an input back
    if raw is None:
        return getattr(tensor, "_data", None)
    if tensor.datatype() == "BYTES":
        return deserialize_bytes_tensor(raw)
    kind = triton_to_np_dtype(tensor.datatype())
    return np.frombuffer(raw, dtype=kind) if kind is not None else None


def _outputs(result: Any) -> list[Tensor]:
    from otel_ml.instrumentation.reading.open_inference import Tensor  # noqa: PLC0415 - brings numpy along

    response = result.get_response()
    given = response.get("outputs") or () if isinstance(response, dict) else response.outputs
    tensors = []
    for output in given:
        name, datatype = (
            (output["name"], output["datatype"]) if isinstance(output, dict) else (output.name, output.datatype)
        )
        array = result.as_numpy(name)
        if array is not None:  # in shared memory
            tensors.append(Tensor(name, array.shape, datatype, array))
    return tensors

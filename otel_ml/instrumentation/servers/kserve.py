"""KServe's Python server: one record per request, typed and by name, of protocol versions 1 and 2 over REST and gRPC.

The record is made around `DataPlane.infer`, where all requests pass; models that are called below are quiet. A
transformer that asks a predictor is reported as "<model>-transformer", for its features are not the model's.
Explanations ask the model about inputs that nobody wants predicted: they are left alone. Of a version 1 answer that is
streamed, features and the time to its beginning are recorded. Spans are INTERNAL: those of the request itself are
FastAPI's, contrib's, or KServe's own, whose newer versions trace their requests.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.identity import infos, key_of, remember
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.requests.serving import LeftAlone, ServedRequest
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import ModuleType

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch
    from otel_ml.instrumentation.reading.open_inference import Tensor

_WHERE: Final = "kserve hook"


class KServeInstrumentor(MLInstrumentor):
    """Records what models behind KServe's server are asked and what they answer."""

    requires = ("kserve >= 0.15",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """The one place that REST and gRPC, version 1 and version 2 share."""
        return (
            Patch("kserve.protocol.dataplane", "DataPlane.infer", _inferring),
            Patch("kserve.protocol.dataplane", "DataPlane.explain", _explaining),
        )


def _inferring(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def infer(self: Any, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not KServeInstrumentor.active:
            return await original(self, *args, **kwargs)
        name, request, headers = _arguments(args, kwargs)
        with ServedRequest(
            _WHERE, path=f"/models/{name}", headers=_items(headers), prediction_id=getattr(request, "id", None)
        ) as scope:
            if scope is None:
                return await original(self, *args, **kwargs)
            model = _model(self, name)
            describe = functools.partial(_describe, model)
            is_v2 = hasattr(request, "inputs")
            # Read before the call: a `preprocess` may change the request in place.
            features = _features(model, request)
            with ObservedCall(_WHERE, describe, "infer" if is_v2 else "predict", features) as call:
                result = await original(self, *args, **kwargs)
                call.read(_read, result, is_v2)
            return result

    return infer


def _explaining(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(original)
    async def explain(self: Any, *args: Any, **kwargs: Any) -> Any:
        with LeftAlone():
            return await original(self, *args, **kwargs)

    return explain


# --- the model --------------------------------------------------------------------------------------------------------


def _arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Of `infer(model_name, request, headers)`."""
    given = dict(zip(("model_name", "request", "headers"), args, strict=False)) | kwargs
    return given.get("model_name"), given.get("request"), given.get("headers")


def _items(headers: Any) -> list[tuple[Any, Any]]:
    try:
        return [(str(name).lower(), value) for name, value in headers.items()] if headers else []
    except Exception as error:
        failed(_WHERE, error)
        return []


def _model(plane: Any, name: Any) -> Any:
    """The model object; None if there is none: KServe says so itself, and no name of a stranger's is reported."""
    try:
        return plane.model_registry.get_model(name)
    except Exception as error:
        failed(_WHERE, error)
        return None


def _describe(model: Any, settings: Settings) -> ModelInfo | None:
    if model is None:
        return None
    info = infos.get(id(model))
    if info is None:
        name = f"{model.name}-transformer" if _only_forwards(model) else str(model.name)
        key = key_of(settings, name, model)
        version = getattr(model, "version", None)
        if not key.version and isinstance(version, str):
            key = key._replace(version=version)
        info = ModelInfo(key, system="kserve", feature_names=_protocol().names_held_by(model))
        remember(model, info)
    return info


def _only_forwards(model: Any) -> bool:
    """Whether `predict` is KServe's own, which asks the predictor."""
    return getattr(getattr(type(model), "predict", None), "__module__", "") == "kserve.model"


# --- requests and answers ---------------------------------------------------------------------------------------------


def _protocol() -> ModuleType:
    """Loaded with the first request: it brings numpy, which not every process that is instrumented needs."""
    from otel_ml.instrumentation.reading import open_inference  # noqa: PLC0415 - see above

    return open_inference


def _features(model: Any, request: Any) -> Any:
    try:
        recorder = the_recorder()
        info = _describe(model, recorder.settings)
        if info is None:
            return None
        if hasattr(request, "inputs"):
            return _protocol().features_of(_tensors(request.inputs), info)
        return _protocol().instances_of(request, info)
    except Exception as error:
        failed(_WHERE, error)
        return None


def _read(result: Any, is_v2: bool) -> tuple[Any, Any, Any]:  # noqa: FBT001 - called by name of its place only
    """Features are known already; predictions and scores of `(response, headers)`."""
    response = result[0]
    if hasattr(response, "raw_output_contents"):  # a protobuf message, which a model may answer with
        response = sys.modules["kserve.protocol.infer_type"].InferResponse.from_grpc(response)
    outputs = getattr(response, "outputs", None)
    if is_v2 and outputs is not None:
        return (None, *_protocol().outputs_of(_tensors(outputs)))
    return (None, *_protocol().answers_of(response))


def _tensors(given: Any) -> list[Tensor]:
    """InferInputs or InferOutputs: lists from JSON and gRPC contents, or what KServe itself makes of binary ones."""
    make = _protocol().Tensor
    return [
        make(
            each.name,
            each.shape,
            each.datatype,
            each.data if getattr(each, "_raw_data", None) is None else each.as_numpy(),
        )
        for each in given
    ]

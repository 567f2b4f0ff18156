"""MLflow: `PyFuncModel.predict` and `predict_stream`, whatever flavour is below.

The model's own record says most: columns from its signature, the run that trained it, its id, and, for models loaded
from a registry (`models:/name/version`, `models:/name@alias`), name and version there. A model that was never
registered is called by the class of what it wraps. What is no inference: `mlflow.evaluate`, and logging a model, for
which MLflow asks it about its input example. A model served in another process (`env_manager="virtualenv"`) is seen
there.
"""

from __future__ import annotations

import functools
import sys
import weakref
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml import semconv
from otel_ml.instrumentation import identity
from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.model_call import ModelAdaptor, NotGiven, call, call_model
from otel_ml.instrumentation.calls.observed_call import ObservedCall
from otel_ml.instrumentation.calls.quiet import quiet, quiet_functions
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch

_WHERE: Final = "mlflow hook"
_EVALUATION: Final = "mlflow.models.evaluation"
_REGISTERED: Final = "registered_model_meta"
"""File that MLflow puts beside a model it loads from a registry."""
MAX_CLASSES: Final = 16


class _Registered(NamedTuple):
    metadata: weakref.ref[Any]
    name: str
    version: str


# By id of the model's metadata, which cannot be hashed.
_registered: dict[int, _Registered] = {}


class MLflowInstrumentor(MLInstrumentor):
    """Records what MLflow's generic Python models are asked and what they answer."""

    requires_any = ("mlflow >= 2.15", "mlflow-skinny >= 2.15")

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Asking a model, reading its record, and where MLflow asks models itself."""
        return (
            Patch("mlflow.pyfunc", "PyFuncModel.predict", _recording),
            Patch("mlflow.pyfunc", "PyFuncModel.predict_stream", _recording_stream, optional=True),
            Patch("mlflow.models.model", "Model.load", _remembering),
            Patch("mlflow.models.model", "Model.log", _quiet_classmethod),
            *quiet_functions(("evaluate",), (f"{_EVALUATION}.base", _EVALUATION, "mlflow.models", "mlflow")),
        )


# --- hooks ------------------------------------------------------------------------------------------------------------


def _recording(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, data: Any = NotGiven, /, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not MLflowInstrumentor.active:
            return call(method, self, data, args, kwargs)
        return call_model(_ADAPTOR, "predict", method, self, data, args, kwargs)

    return hook


def _recording_stream(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, data: Any = NotGiven, /, *args: Any, **kwargs: Any) -> Any:
        stream = call(method, self, data, args, kwargs)
        if inside.get() or not MLflowInstrumentor.active:
            return stream
        return _observed(stream, self, kwargs.get("data") if data is NotGiven else data)

    return hook


def _observed(stream: Iterator[Any], model: Any, data: Any) -> Iterator[Any]:
    """The same stream; one inference from its first step to its last, or to where its reader leaves.

    Its steps run in a context of their own: nothing may stay set in the reader's between them.
    """
    context = copy_context()
    watching = ObservedCall(_WHERE, lambda settings: _remembered(model, settings), "predict_stream", data)
    context.run(watching.__enter__)
    if watching.is_recorded:
        # What is streamed is text in pieces: it is counted, not kept.
        watching.returned(features=data)
    try:
        while True:
            try:
                step = context.run(next, stream)
            except StopIteration:
                break
            yield step
    except BaseException as error:
        close = getattr(stream, "close", None)
        if close is not None:
            context.run(close)
        context.run(watching.__exit__, type(error), error, error.__traceback__)
        raise
    context.run(watching.__exit__, None, None, None)


def _remembering(method: Callable[..., Any]) -> Any:
    @functools.wraps(method)
    def load(_: type, path: Any, /, *args: Any, **kwargs: Any) -> Any:
        metadata = method(path, *args, **kwargs)
        try:
            _note_registration(metadata, path)
        except Exception as error:
            failed(_WHERE, error)
        return metadata

    return classmethod(load)


def _quiet_classmethod(method: Callable[..., Any]) -> Any:
    return staticmethod(quiet(method))


# --- reading models ---------------------------------------------------------------------------------------------------


def _note_registration(metadata: Any, path: Any) -> None:
    folder = Path(str(path).removeprefix("file://"))
    file = (folder if folder.is_dir() else folder.parent) / _REGISTERED
    if not file.is_file():
        return
    told = sys.modules["yaml"].safe_load(file.read_text(encoding="utf-8"))
    if not told.get("model_name"):
        return  # a logged model, by its id
    number = id(metadata)
    reference = weakref.ref(metadata, lambda _: _registered.pop(number, None))
    _registered[number] = _Registered(reference, str(told["model_name"]), str(told["model_version"]))


def _remembered(model: Any, settings: Settings) -> ModelInfo:
    info = identity.infos.get(id(model))
    if info is None:
        info = _describe(model, settings)
        identity.remember(model, info)
    return info


def _describe(model: Any, settings: Settings) -> ModelInfo:
    metadata = model.metadata
    raw = _raw_model(model)
    registered = _registered.get(id(metadata))
    if registered is not None and registered.metadata() is metadata:
        name, version = registered.name, registered.version
    else:
        name, version = _name_of(metadata, raw), ""
    ids = (
        (semconv.MODEL_ID, getattr(model, "model_id", None) or metadata.model_uuid),
        (semconv.MODEL_RUN_ID, metadata.run_id),
    )
    classes = _classes(raw)
    return ModelInfo(
        key_of(settings, name, model, raw, default_version=version),
        system="mlflow",
        feature_names=_feature_names(metadata),
        output_kind=FeatureKind.CATEGORICAL if classes is not None else _output_kind(metadata),
        classes=classes,
        attributes=tuple((key, str(value)) for key, value in ids if value),
    )


def _raw_model(model: Any) -> Any:
    """What the flavour's wrapper wraps, as far as it tells; a user's own `PythonModel` as well."""
    for unwrap in ("get_raw_model", "unwrap_python_model"):
        try:
            raw = getattr(model, unwrap)()
        except Exception:  # noqa: S112 - not of that flavour, or older than the method: the next one may tell
            continue
        if raw is not None:
            return raw
    return None


def _name_of(metadata: Any, raw: Any) -> str:
    steps = getattr(raw, "steps", None)
    if isinstance(steps, list) and steps:
        raw = steps[-1][1]
    if raw is not None and type(raw).__name__ != "function":
        return type(raw).__name__
    flavours = [name for name in metadata.flavors if name != "python_function"]
    return flavours[0] if flavours else "PyFuncModel"


def _feature_names(metadata: Any) -> tuple[str, ...] | None:
    schema = metadata.get_input_schema()
    if schema is None or not schema.has_input_names():
        return None
    return tuple(map(str, schema.input_names()))


def _output_kind(metadata: Any) -> FeatureKind | None:
    """What the signature says of the only output; integers may be classes as well as counts."""
    schema = metadata.get_output_schema()
    try:
        (kind,) = schema.input_types()
    except Exception:  # no signature, several outputs, or none of the plain types
        return None
    name = str(getattr(kind, "name", kind))
    if name == "boolean":
        return FeatureKind.BOOLEAN
    return FeatureKind.NUMERIC if name in ("float", "double", "float32", "float64") else None


def _classes(raw: Any) -> tuple[Any, ...] | None:
    try:
        return tuple(raw.classes_.tolist()[:MAX_CLASSES])
    except Exception:  # knows none, or several lists of them
        return None


def _input_among(kwargs: dict[str, Any]) -> Any:
    return kwargs.get("data")


def _outputs(_: str, __: dict[str, Any], result: Any) -> tuple[Any, Any]:
    return result, None


_ADAPTOR: Final = ModelAdaptor(_WHERE, _describe, _input_among, _outputs)

"""Which model is this? Names given by the user, and one ModelInfo per model object, found again in 50 ns."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otel_ml.recording.guard import warn_once
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from otel_ml.config import Settings
    from otel_ml.recording.inference import ModelInfo


class _Named(NamedTuple):
    reference: weakref.ref[Any]
    key: ModelKey


# By id, because models need not be hashable and may compare as arrays; the weak reference's callback takes the entry
# out before the id can belong to another object.
_named: dict[int, _Named] = {}
infos: Final[dict[int, ModelInfo]] = {}
"""What is remembered, by id of the model: the hot path looks here itself."""
_references: dict[int, weakref.ref[Any]] = {}


def set_model(model: object, name: str, version: str = "") -> None:
    """Report this object under a name and version of your choosing, before all other sources of a name.

    Args:
        model: An estimator or any model that is instrumented, a class of them, or a FastAPI endpoint function.
        name: As in `ml.model.name` and in the baseline.
        version: As in `ml.model.version`.
    """
    identity = id(model)
    try:
        reference = weakref.ref(model, lambda _: _named.pop(identity, None))
    except TypeError:
        warn_once(
            f"set_model {type(model).__qualname__}",
            f"set_model: {type(model).__qualname__} objects cannot be referenced weakly, so {name!r} is not attached"
            " (give OTEL_PYTHON_ML_MODEL_NAME instead)",
        )
        return
    _named[identity] = _Named(reference, ModelKey(str(name), str(version)))
    # A class names its instances too, and a pipeline takes its final estimator's name: forget all, they are few.
    infos.clear()


def key_of(settings: Settings, default_name: str, *candidates: Any, default_version: str = "") -> ModelKey:
    """Name and version: of `set_model`, for the first candidate that has one, else of the settings, else the default.

    Args:
        settings: Hold OTEL_PYTHON_ML_MODEL_NAME and _VERSION.
        default_name: What the framework itself can tell.
        candidates: The object that was called and those it stands for, such as a pipeline's final estimator.
        default_version: That of the default name, where the framework tells one.
    """
    for candidate in candidates:
        for subject in (candidate, type(candidate)):
            named = _named.get(id(subject))
            if named is not None and named.reference() is subject:
                return named.key
    if settings.model_name:
        return ModelKey(settings.model_name, settings.model_version)
    return ModelKey(default_name, settings.model_version or default_version)


def remember(model: object, info: ModelInfo) -> None:
    """Keep the ModelInfo for as long as the model lives, or until `forget`."""
    identity = id(model)

    def gone(_: object) -> None:
        infos.pop(identity, None)
        _references.pop(identity, None)

    try:
        _references[identity] = weakref.ref(model, gone)
    except TypeError:
        return
    infos[identity] = info


def forget(model: object) -> None:
    """The model was trained anew: its columns and classes may have changed."""
    infos.pop(id(model), None)


def forget_all() -> None:
    """Describe every model anew on its next call: settings have changed."""
    infos.clear()

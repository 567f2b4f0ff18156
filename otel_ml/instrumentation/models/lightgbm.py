"""LightGBM's own models: `Booster.predict`.

`LGBMClassifier` and its like are scikit-learn estimators, recorded as such; the booster below them is quiet then. What
is no inference: leaf indices, feature contributions, predictions of callbacks in training, and the scoring of a file.

LightGBM replaces characters in names of columns ("petal width (cm)" becomes "petal_width_(cm)"); the input's own names
go first, and the model's are for arrays.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.model_call import ModelAdaptor, NotGiven, call, call_model
from otel_ml.instrumentation.calls.quiet import quiet_functions, training
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.boosting import MAX_SCORES, options_given, outputs_of
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch

_OPTIONS: Final = ("start_iteration", "num_iteration", "raw_score", "pred_leaf", "pred_contrib")
"""Options in their order, for those given by position."""
_NO_INFERENCE: Final = ("pred_leaf", "predict_leaf_index", "leaf_index", "pred_contrib", "predict_contrib", "contrib")
_RAW: Final = ("raw_score", "predict_raw_score", "raw_scores", "predict_rawscore", "raw")
"""As parameters they have aliases, which `predict` takes as well."""


class LightGBMInstrumentor(MLInstrumentor):
    """Records what native LightGBM models are asked and what they answer."""

    requires = ("lightgbm >= 4.0",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Asking a booster, and training, in which callbacks may ask it."""
        return (
            Patch("lightgbm.basic", "Booster.predict", _recording),
            Patch("lightgbm.basic", "Booster.model_from_string", training),
            *quiet_functions(("train", "cv"), ("lightgbm.engine", "lightgbm", "lightgbm.sklearn")),
        )


# --- hooks ------------------------------------------------------------------------------------------------------------


def _recording(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, data: Any = NotGiven, /, *args: Any, **kwargs: Any) -> Any:
        if inside.get() or not LightGBMInstrumentor.active:
            return call(method, self, data, args, kwargs)
        adaptor: ModelAdaptor | None = _WHOLE
        if args or kwargs:
            adaptor = _adaptor_for(options_given(_OPTIONS, args, kwargs))
        if adaptor is None or _is_file(kwargs.get("data") if data is NotGiven else data):
            return call(method, self, data, args, kwargs)
        return call_model(adaptor, "predict", method, self, data, args, kwargs)

    return hook


def _adaptor_for(options: Mapping[str, Any]) -> ModelAdaptor | None:
    """How the answer to such a call is read; None if it is no inference."""
    if any(options.get(name) for name in _NO_INFERENCE):
        return None
    return _FEATURES_ONLY if any(options.get(name) for name in _RAW) else _WHOLE


def _is_file(data: Any) -> bool:
    return isinstance(data, str) or hasattr(type(data), "__fspath__")


# --- reading models ---------------------------------------------------------------------------------------------------


def _describe(booster: Any, settings: Settings) -> ModelInfo:
    """What a booster knows: columns, objective, classes; one tree as text takes 0.1 ms once."""
    objective, count = _objective(booster)
    classes = _classes(objective, count)
    of_class = type(booster).__name__
    return ModelInfo(
        key_of(settings, "LightGBMBooster" if of_class == "Booster" else of_class, booster),
        system="lightgbm",
        feature_names=tuple(booster.feature_name()),
        output_kind=FeatureKind.NUMERIC if classes is None else FeatureKind.CATEGORICAL,
        classes=classes,
    )


def _objective(booster: Any) -> tuple[str, int]:
    """Canonical name of the objective and number of classes; a custom objective has no name."""
    # Parameters hold whichever of its many aliases was given; the model's text has one name for each.
    objective, count = "", 1
    for line in booster.model_to_string(num_iteration=1).splitlines():
        name, _, value = line.partition("=")
        if name == "objective":
            objective = value.partition(" ")[0]
        elif name == "num_class":
            count = int(value)
        elif name == "Tree":
            break
    return objective, count


def _classes(objective: str, count: int) -> tuple[int, ...] | None:
    """Classes whose probabilities the booster gives; None if it gives anything else."""
    if objective in ("multiclass", "multiclassova"):
        return tuple(range(min(count, MAX_SCORES)))
    return (0, 1) if objective == "binary" else None


def _input_among(kwargs: dict[str, Any]) -> Any:
    return kwargs.get("data")


_WHOLE: Final = ModelAdaptor("lightgbm hook", _describe, _input_among, outputs_of=outputs_of)
_FEATURES_ONLY: Final = ModelAdaptor("lightgbm hook", _describe, _input_among)
"""A raw score is neither the prediction nor on the scale of the scores."""

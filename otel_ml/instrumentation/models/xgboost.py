"""XGBoost's own models: `Booster.predict` and `Booster.inplace_predict`.

`XGBClassifier` and its like are scikit-learn estimators, recorded as such; the booster below them is quiet then. What
is no inference: leaf indices, feature contributions, predictions made in training, of callbacks and of custom metrics.

A `DMatrix` does not keep what it was made of, so that is noted when it is made, see `sources`. When the original is
gone (large, and dropped by the application; read from a file; sliced from another), rows are counted without columns.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.model_call import ModelAdaptor, NotGiven, call, call_model
from otel_ml.instrumentation.calls.quiet import quiet, training
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.boosting import MAX_SCORES, options_given, outputs_of
from otel_ml.instrumentation.reading.sources import remember_source, source_of
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch

_WHERE: Final = "xgboost hook"
_PREDICT: Final = (
    "output_margin",
    "pred_leaf",
    "pred_contribs",
    "approx_contribs",
    "pred_interactions",
    "validate_features",
    "training",
)
_INPLACE: Final = ("iteration_range", "predict_type")
"""Options in their order: by position they are deprecated and still work."""
_NO_INFERENCE: Final = ("pred_leaf", "pred_contribs", "pred_interactions", "training")
_CALLBACKS: Final = ("before_training", "before_iteration", "after_iteration", "after_training")
_LABELS: Final = ("multi:softmax", "binary:hinge")


class XGBoostInstrumentor(MLInstrumentor):
    """Records what native XGBoost models are asked and what they answer."""

    requires_any = ("xgboost >= 2.0", "xgboost-cpu >= 2.0")

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Asking a booster, making its input, and the places where training asks on its own behalf."""
        core, callback = "xgboost.core", "xgboost.callback"
        return (
            Patch(core, "Booster.predict", _recording("predict", _PREDICT)),
            Patch(core, "Booster.inplace_predict", _recording("inplace_predict", _INPLACE)),
            Patch(core, "DMatrix.__init__", _remembering),
            Patch(core, "QuantileDMatrix.__init__", _remembering, optional=True),
            # A custom objective asks for predictions, and so may a callback or metric between the rounds.
            Patch(core, "Booster.update", training),
            Patch(core, "Booster.load_model", training),
            Patch(core, "Booster.eval_set", quiet),
            *(Patch(callback, f"CallbackContainer.{name}", quiet, optional=True) for name in _CALLBACKS),
        )


# --- hooks ------------------------------------------------------------------------------------------------------------


def _recording(operation: str, options: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def hook(self: Any, data: Any = NotGiven, /, *args: Any, **kwargs: Any) -> Any:
            if inside.get() or not XGBoostInstrumentor.active:
                return call(method, self, data, args, kwargs)
            adaptor: ModelAdaptor | None = _WHOLE
            if args or kwargs:
                adaptor = _adaptor_for(options_given(options, args, kwargs))
            if adaptor is None:
                return call(method, self, data, args, kwargs)

            def ask(model: Any, _: Any) -> Any:
                return call(method, model, data, args, kwargs)

            source = source_of(kwargs.get("data") if data is NotGiven else data)
            return call_model(adaptor, operation, ask, self, source, (), {})

        return hook

    return wrap


def _remembering(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> None:
        method(self, *args, **kwargs)
        if inside.get() or not XGBoostInstrumentor.active:
            return
        try:
            if the_recorder().enabled:
                remember_source(self, args[0] if args else kwargs.get("data"))
        except Exception as error:
            failed(_WHERE, error)

    return hook


def _adaptor_for(options: Mapping[str, Any]) -> ModelAdaptor | None:
    """How the answer to such a call is read; None if it is no inference."""
    if any(options.get(name) for name in _NO_INFERENCE):
        return None
    if options.get("output_margin") or options.get("predict_type") == "margin":
        return _FEATURES_ONLY
    return _WHOLE


# --- reading models ---------------------------------------------------------------------------------------------------


def _describe(booster: Any, settings: Settings) -> ModelInfo:
    """What a booster knows: columns if it was trained on a frame, objective, classes; its config takes 0.3 ms once."""
    learner = json.loads(booster.save_config())["learner"]
    objective = str(learner["objective"]["name"])
    sizes = learner["learner_model_param"]
    classes = _classes(objective, int(sizes.get("num_class", 0)), int(sizes.get("num_target", 1)))
    is_label = classes is not None or objective in _LABELS
    names = booster.feature_names
    of_class = type(booster).__name__
    return ModelInfo(
        key_of(settings, "XGBoostBooster" if of_class == "Booster" else of_class, booster),
        system="xgboost",
        feature_names=tuple(names) if names else None,
        output_kind=FeatureKind.CATEGORICAL if is_label else FeatureKind.NUMERIC,
        classes=classes,
    )


def _classes(objective: str, count: int, targets: int) -> tuple[int, ...] | None:
    """Classes whose probabilities, or margins, the booster gives; None if it gives anything else."""
    if targets > 1:
        return None
    if objective == "multi:softprob":
        return tuple(range(min(count, MAX_SCORES)))
    return (0, 1) if objective in ("binary:logistic", "binary:logitraw") else None


def _input_among(kwargs: dict[str, Any]) -> Any:
    return kwargs.get("data")


_WHOLE: Final = ModelAdaptor(_WHERE, _describe, _input_among, outputs_of=outputs_of)
_FEATURES_ONLY: Final = ModelAdaptor(_WHERE, _describe, _input_among)
"""A margin is neither the prediction nor on the scale of the scores."""

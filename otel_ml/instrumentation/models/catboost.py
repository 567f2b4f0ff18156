"""CatBoost: `predict`, `predict_proba` and `predict_log_proba` of its models, which are no scikit-learn estimators.

What is no inference: training, `score`, metrics, staged predictions, leaf indices. A `Pool` does not keep what it was
made of, so that is noted when it is made, see `sources`.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.base import MLInstrumentor
from otel_ml.instrumentation.calls.model_call import ModelAdaptor, NotGiven, call, call_model
from otel_ml.instrumentation.calls.quiet import quiet, training
from otel_ml.instrumentation.identity import key_of
from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch
from otel_ml.instrumentation.reading.boosting import MAX_SCORES, scores_of
from otel_ml.instrumentation.reading.sources import remember_source, source_of
from otel_ml.recording.guard import failed
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otel_ml.config import Settings
    from otel_ml.instrumentation.patch import ModulePatch

_WHERE: Final = "catboost hook"
_MODULE: Final = "catboost.core"
_MODELS: Final = ("CatBoost", "CatBoostClassifier", "CatBoostRegressor", "CatBoostRanker")
_RAW: Final = "RawFormulaVal"
_DEFAULTS: Final[dict[str, str | None]] = {
    "CatBoost.predict": _RAW,
    "CatBoostClassifier.predict": "Class",
    "CatBoostClassifier.predict_proba": "Probability",
    "CatBoostClassifier.predict_log_proba": "LogProbability",
    "CatBoostRegressor.predict": None,
    "CatBoostRanker.predict": _RAW,
}
"""What kind of answer each method gives if it is not asked for another."""
_ASKED_FOR_A_KIND: Final = ("CatBoost.predict", "CatBoostClassifier.predict", "CatBoostRegressor.predict")
"""Methods whose first option is the kind of answer."""


class CatBoostInstrumentor(MLInstrumentor):
    """Records what CatBoost models are asked and what they answer."""

    requires = ("catboost >= 1.2",)

    def patches(self) -> Sequence[Patch | ModulePatch]:
        """Asking a model of any of the four classes, training it, and making its input."""
        return (
            *(Patch(_MODULE, path, _recording(path)) for path in _DEFAULTS),
            *(Patch(_MODULE, f"{model}.fit", training) for model in _MODELS),
            *(Patch(_MODULE, f"{model}.score", quiet, optional=True) for model in _MODELS[1:]),
            Patch(_MODULE, "CatBoost.load_model", training),
            Patch(_MODULE, "Pool.__init__", _remembering),
        )


# --- hooks ------------------------------------------------------------------------------------------------------------


def _recording(path: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    operation = path.partition(".")[2]
    default = _DEFAULTS[path]
    takes_kind = path in _ASKED_FOR_A_KIND

    def wrap(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def hook(self: Any, data: Any = NotGiven, /, *args: Any, **kwargs: Any) -> Any:
            if inside.get() or not CatBoostInstrumentor.active:
                return call(method, self, data, args, kwargs)
            kind = default
            if takes_kind and (args or kwargs):
                kind = args[0] if args else kwargs.get("prediction_type", default)

            def ask(model: Any, _: Any) -> Any:
                return call(method, model, data, args, kwargs)

            given = _input_among(kwargs) if data is NotGiven else data
            return call_model(_adaptor_for(kind), operation, ask, self, _features_of(source_of(given)), (), {})

        return hook

    return wrap


def _remembering(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def hook(self: Any, /, *args: Any, **kwargs: Any) -> None:
        method(self, *args, **kwargs)
        if inside.get() or not CatBoostInstrumentor.active:
            return
        try:
            if the_recorder().enabled:
                remember_source(self, args[0] if args else kwargs.get("data"))
        except Exception as error:
            failed(_WHERE, error)

    return hook


def _input_among(kwargs: dict[str, Any]) -> Any:
    return kwargs.get("data", kwargs.get("X"))


def _features_of(data: Any) -> Any:
    """CatBoost's own container of columns as a dict of them; anything else as it is."""
    if type(data).__name__ != "FeaturesData" or type(data).__module__ not in ("_catboost", _MODULE):
        return data
    try:
        columns: dict[str, Any] = {}
        for names, values in (
            (data.num_feature_names, data.num_feature_data),
            (data.cat_feature_names, data.cat_feature_data),
        ):
            for index in range(0 if values is None else values.shape[1]):
                name = names[index] if index < len(names) else ""
                columns[str(name) or f"f{len(columns)}"] = values[:, index]
    except Exception as error:
        failed(_WHERE, error)
        return None
    return columns


# --- reading models and answers ---------------------------------------------------------------------------------------


def _describe(model: Any, settings: Settings) -> ModelInfo:
    """What a model knows; one that is not trained yet knows its class."""
    classes = _classes(model)
    return ModelInfo(
        key_of(settings, type(model).__name__, model),
        system="catboost",
        feature_names=_feature_names(model),
        output_kind=FeatureKind.NUMERIC if classes is None else FeatureKind.CATEGORICAL,
        classes=classes,
    )


def _classes(model: Any) -> tuple[Any, ...] | None:
    try:
        classes = model.classes_
        return tuple(classes.tolist()[:MAX_SCORES]) if len(classes) else None
    except Exception:  # not trained
        return None


def _feature_names(model: Any) -> tuple[str, ...] | None:
    try:
        names = tuple(map(str, model.feature_names_))
    except Exception:  # not trained
        return None
    # Columns without names are called by their positions.
    return names if names and names != tuple(map(str, range(len(names)))) else None


def _labels(_: ModelInfo, __: str, result: Any) -> tuple[Any, Any]:
    return result, None


def _probabilities(info: ModelInfo, _: str, result: Any) -> tuple[Any, Any]:
    return None, scores_of(_one_row(info, result))


def _log_probabilities(info: ModelInfo, _: str, result: Any) -> tuple[Any, Any]:
    # Turned back, so that all scores of a model have one scale.
    return None, scores_of(sys.modules["numpy"].exp(_one_row(info, result)))


def _formula(info: ModelInfo, _: str, result: Any) -> tuple[Any, Any]:
    if info.classes is None:
        return result, None
    if len(info.classes) > 2:
        result = _one_row(info, result)
    return None, scores_of(result)  # a classifier's margin


def _one_row(info: ModelInfo, result: Any) -> Any:
    """The answer about a single object, given as a list of values, comes without the axis of rows."""
    one = getattr(result, "ndim", 0) == 1 and info.classes is not None
    return result.reshape(1, -1) if one else result


_ADAPTORS: Final = {
    kind: ModelAdaptor(_WHERE, _describe, _input_among, outputs_of=outputs_of)
    for kind, outputs_of in {
        "Class": _labels,
        "Exponent": _labels,
        "Probability": _probabilities,
        "LogProbability": _log_probabilities,
        _RAW: _formula,
        None: _formula,
    }.items()
}
_FEATURES_ONLY: Final = ModelAdaptor(_WHERE, _describe, _input_among)


def _adaptor_for(kind: Any) -> ModelAdaptor:
    return _ADAPTORS.get(kind, _FEATURES_ONLY) if isinstance(kind, str) or kind is None else _FEATURES_ONLY

"""Reading scikit-learn models: name, columns, classes, and which part of a result is what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.calls.model_call import ModelAdaptor
from otel_ml.instrumentation.identity import key_of
from otel_ml.recording.inference import ModelInfo
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from otel_ml.config import Settings

MAX_SCORES: Final = 16
"""Classes whose score is kept apart; those beyond, in the order of `classes_`, are not recorded."""

_SYSTEMS: Final = {"xgboost": "xgboost", "lightgbm": "lightgbm", "catboost": "catboost"}
"""Libraries whose estimators are scikit-learn's by class and their own by engine."""

_EXPLANATIONS: Final = ("pred_leaf", "pred_contrib")
"""Keywords of LightGBM with which `predict` explains a prediction instead of making one."""

_MARGINS: Final = ("raw_score", "output_margin")
"""Keywords of LightGBM and XGBoost that turn the output of `predict` into something that is no prediction."""


def describe(model: Any, settings: Settings) -> ModelInfo | None:
    """Name, columns and classes of an estimator; None for what only shares a mixin with one."""
    base = sys.modules["sklearn.base"].BaseEstimator
    if not isinstance(model, base):
        return None
    deciding = deciding_estimator(model)
    classes = _classes(model)
    return ModelInfo(
        key_of(settings, type(deciding).__name__, model, deciding),
        system=_system(deciding),
        feature_names=_feature_names(model),
        output_kind=_output_kind(deciding, classes),
        classes=classes[:MAX_SCORES] if classes is not None else None,
    )


def deciding_estimator(model: Any) -> Any:
    """The estimator that gives a model its name: a pipeline's last step, a search's best estimator.

    "Pipeline" would name nothing, and "GridSearchCV" the way it was found. Ensembles and calibrators are the model.
    """
    for _ in range(8):
        steps = getattr(model, "steps", None)
        inner = steps[-1][1] if isinstance(steps, list) and steps else getattr(model, "best_estimator_", None)
        if inner is None or isinstance(inner, str):
            break
        model = inner
    return model


def input_among(kwargs: dict[str, Any]) -> Any:
    """`X=`, or whatever the estimator calls it."""
    return kwargs["X"] if "X" in kwargs else next(iter(kwargs.values()), None)


def explains(kwargs: dict[str, Any]) -> bool:
    """Whether a call with these keywords explains a prediction that was made elsewhere."""
    return any(kwargs.get(name) is True for name in _EXPLANATIONS)


def outputs_of(operation: str, kwargs: dict[str, Any], result: Any) -> tuple[Any, Any]:
    """Predictions and scores in a result.

    A binary classifier's score is the probability of its second class. Log-probabilities are turned back into
    probabilities, so that all scores of a model have one scale.
    """
    if kwargs and any(kwargs.get(name) for name in (*_MARGINS, *_EXPLANATIONS)):
        return None, None
    if operation == "predict":
        # return_std, return_cov: (predictions, their uncertainty).
        return (result[0] if type(result) is tuple else result), None
    if isinstance(result, (list, tuple)):
        return None, result  # one matrix per output of a multi-output classifier
    if operation == "predict_log_proba":
        result = sys.modules["numpy"].exp(result)
    if len(getattr(result, "shape", ())) == 2 and type(result).__module__.partition(".")[0] == "numpy":
        if result.shape[1] == 2 and operation in ("predict_proba", "predict_log_proba"):
            return None, result[:, 1]
        if result.shape[1] > MAX_SCORES:
            return None, result[:, :MAX_SCORES]
    return None, result


ADAPTOR: Final = ModelAdaptor("sklearn hook", describe, input_among, outputs_of)


def _system(model: Any) -> str:
    for cls in type(model).__mro__:
        system = _SYSTEMS.get(cls.__module__.partition(".")[0])
        if system is not None:
            return system
    return "scikit_learn"


def _feature_names(model: Any) -> tuple[str, ...] | None:
    # A property that delegates, in pipelines and searches, and raises what its delegate raises.
    try:
        return tuple(str(name) for name in model.feature_names_in_)
    except Exception:
        return None


def _classes(model: Any) -> tuple[Any, ...] | None:
    try:
        classes = model.classes_
        values = tuple(classes.tolist() if hasattr(classes, "tolist") else classes)
    except Exception:
        return None
    # A list of arrays stands for the outputs of a multi-output classifier.
    return None if any(isinstance(value, (list, tuple)) or hasattr(value, "shape") for value in values) else values


def _output_kind(model: Any, classes: tuple[Any, ...] | None) -> FeatureKind | None:
    base = sys.modules["sklearn.base"]
    if classes:
        boolean = all(isinstance(value, bool) for value in classes)
        return FeatureKind.BOOLEAN if boolean else FeatureKind.CATEGORICAL
    if isinstance(model, base.RegressorMixin):
        return FeatureKind.NUMERIC
    if isinstance(model, (base.ClassifierMixin, base.ClusterMixin, base.OutlierMixin)):
        return FeatureKind.CATEGORICAL
    return None

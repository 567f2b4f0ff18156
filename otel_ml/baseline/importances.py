"""How much a model relies on each of its features, from whoever knows it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any, Final

import numpy as np

from otel_ml.baseline.suggestion import unknown
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary, NumericSummary

_VALID: Final = (
    "a mapping from feature to weight, a sequence in the order of the features, or a fitted model with"
    " feature_importances_ or coef_"
)


def feature_importances(given: Any, features: Mapping[FeatureKey, FeatureSummary], source: str) -> dict[str, float]:
    """Weights by feature, in the order of the features.

    Args:
        given: A mapping (or a pandas Series) from feature to weight; a sequence in the order of the features; or a
            fitted model. Of a model, `feature_importances_` is taken as it is. Of a linear one, the weight is |coef_|
            times the standard deviation of the feature in the training data, for a coefficient says what one unit of
            its feature does; of several classes, the mean over them.
        features: The columns of the baseline, outputs among them.
        source: What to call the training data in messages.

    Raises:
        BaselineError: It is none of these, names what is no feature, or holds something else than finite numbers of at
            least 0, one of them above.
    """
    summaries = {key.name: summary for key, summary in features.items() if key.role is FeatureRole.FEATURE}
    weights = _as_mapping(given, summaries, f"{source}: importances")
    checked = checked_importances(weights, list(summaries), f"{source}: importances")
    return {name: checked[name] for name in summaries if name in checked}


def checked_importances(weights: Mapping[str, Any], names: Sequence[str], subject: str) -> dict[str, float]:
    """The same weights, after making sure that each is one, and of a feature.

    Raises:
        BaselineError: One is not a finite number of at least 0 or belongs to no feature, or there is none above 0.
    """
    known = set(names)
    checked: dict[str, float] = {}
    for name, weight in weights.items():
        if name not in known:
            raise BaselineError(f"{subject}: {unknown('feature', name, names)}")
        checked[name] = _as_number(weight)
        if not 0 <= checked[name] < math.inf:
            shown = _shortened(weight)
            raise BaselineError(f"{subject}: {shown} for feature {name!r} (must be a finite number of at least 0)")
    if not any(checked.values()):
        raise BaselineError(f"{subject}: none is above 0 (at least one must be)")
    return checked


def _as_mapping(given: Any, summaries: Mapping[str, FeatureSummary], subject: str) -> Mapping[str, Any]:
    # A pandas Series has an index and items, and is no Mapping.
    if isinstance(given, Mapping) or (hasattr(given, "items") and hasattr(given, "index")):
        return {str(name): _plain(weight) for name, weight in given.items()}
    if hasattr(given, "feature_importances_"):
        weights = np.asarray(given.feature_importances_)
        return _by_name(weights, given, summaries, f"{subject}: {type(given).__name__}.feature_importances_")
    if hasattr(given, "coef_"):
        subject = f"{subject}: {type(given).__name__}.coef_"
        by_name = _by_name(_coefficients(given.coef_), given, summaries, subject)
        return {
            name: weight * _standard_deviation(name, summaries[name], subject) if name in summaries else weight
            for name, weight in by_name.items()
        }
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise BaselineError(f"{subject}: {type(given).__name__} {_shortened(given)} says nothing of them ({_VALID})")
    return _in_order(list(given), list(summaries), subject)


def _by_name(weights: Any, model: Any, summaries: Mapping[str, FeatureSummary], subject: str) -> Mapping[str, Any]:
    """Weights by the names the model was fitted with; where it knows none of ours, in the order of the features."""
    if weights.ndim != 1:
        raise BaselineError(f"{subject}: shape {weights.shape} (must be one weight a feature)")
    names = [str(name) for name in getattr(model, "feature_names_in_", ())]
    if len(names) == len(weights) and not summaries.keys().isdisjoint(names):
        return dict(zip(names, weights.tolist(), strict=True))
    return _in_order(weights.tolist(), list(summaries), subject)


def _in_order(weights: Sequence[Any], names: Sequence[str], subject: str) -> Mapping[str, Any]:
    if len(weights) != len(names):
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise BaselineError(f"{subject}: {len(weights)} weights for {len(names)} features ({shown})")
    return dict(zip(names, map(_plain, weights), strict=True))


def _coefficients(given: Any) -> Any:
    dense: Callable[[], Any] | None = getattr(given, "toarray", None)
    coefficients = np.abs(np.asarray(given if dense is None else dense(), dtype=np.float64))
    return coefficients.mean(axis=0) if coefficients.ndim == 2 and len(coefficients) else coefficients


def _standard_deviation(name: str, summary: FeatureSummary, subject: str) -> float:
    content = summary.content
    if isinstance(content, NumericSummary):
        # Of one value there is none: nothing is known to vary.
        return content.moments.standard_deviation if content.moments.count > 1 else 0.0
    if isinstance(content, BooleanSummary):
        share = content.true_count / max(1, content.true_count + content.false_count)
        return math.sqrt(share * (1 - share))
    raise BaselineError(
        f"{subject}: feature {name!r} is {summary.kind.value}, and a coefficient needs numbers or truth values (pass a"
        " mapping from feature to weight)"
    )


def _as_number(weight: Any) -> float:
    """The weight as a double, NaN where it is none."""
    if isinstance(weight, bool) or not isinstance(weight, Real):
        return math.nan
    try:
        return float(weight)
    except OverflowError:
        return math.inf


def _plain(weight: Any) -> Any:
    """A numpy scalar as the Python number it stands for."""
    return weight.item() if isinstance(weight, np.generic) else weight


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

"""What the native models of gradient boosting libraries have in common: an objective, and trees that can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.reading.tensors import is_at_hand
from otel_ml.sketch.feature import FeatureKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_ml.recording.inference import ModelInfo

MAX_SCORES: Final = 16
"""Classes whose score is kept apart; those beyond are not recorded."""


def options_given(names: Sequence[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Options by name, also those that were given by position."""
    return {**dict(zip(names, args, strict=False)), **kwargs} if args else kwargs


def outputs_of(info: ModelInfo, _: str, result: Any) -> tuple[Any, Any]:
    """Predictions and scores of a booster: a model that knows its classes gives scores, every other predictions."""
    if not is_at_hand(result):
        return None, None
    if info.classes is not None:
        return None, scores_of(result)
    if info.output_kind is FeatureKind.CATEGORICAL:
        # Classes come as floats; as the same model's classes they are integers everywhere else.
        return result.astype("int64"), None
    return result, None


def scores_of(result: Any) -> Any:
    """Scores in a matrix with a column a class: the second of two, else the first ones of them."""
    if getattr(result, "ndim", 1) == 2:
        if result.shape[1] == 2:
            return result[:, 1]
        if result.shape[1] > MAX_SCORES:
            return result[:, :MAX_SCORES]
    return result

"""What may be behind a drift: the features that a prediction's can come from, and which feature to look at first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from collector_processor.processors.evaluation.findings import DRIFT, DRIFT_CHECKS, Check, FeatureEvaluation, Rank
from collector_processor.processors.evaluation.measurement import Measurement, likes_of
from otel_ml.drift.columns import Columns, Pair
from otel_ml.drift.explanation import attribute_prediction_drift, effect_sizes, rank_columns
from otel_ml.sketch.feature import FeatureKey, FeatureRole

_LARGEST: Final = 2.0
"""Effect size of windows that have no value in common."""
_OF_VECTORS: Final = "mahalanobis"
"""The score that is a number of standard deviations. Of other vectors the norms alone tell how far they moved."""
_OUTPUTS: Final = (FeatureRole.PREDICTION, FeatureRole.SCORE)

Measurements = Mapping[FeatureKey, Measurement]


def with_causes(
    features: Sequence[FeatureEvaluation],
    by_reference: Mapping[str, Measurements | None],
    importances: Mapping[str, float],
    alpha: float,
) -> list[FeatureEvaluation]:
    """The same: drifted columns with how far they moved, features with their rank, predictions with an attribution.

    Args:
        features: All columns of a window, their checks corrected.
        by_reference: What was measured, by the name of the reference.
        importances: How much the model relies on each feature; empty where nobody said.
        alpha: q-value below which chance does not explain a difference.
    """
    drifted = {feature.key: check for feature in features if (check := _breach(feature, alpha)) is not None}
    if not drifted:
        return list(features)
    effects: dict[FeatureKey, float] = {}
    for reference in {check.reference for check in drifted.values()}:
        keys = [key for key, check in drifted.items() if check.reference == reference]
        effects |= _effects(by_reference.get(reference) or {}, keys, drifted)
    ranks = _ranks({key: effect for key, effect in effects.items() if key.role is FeatureRole.FEATURE}, importances)
    found = []
    for feature in features:
        effect = effects.get(feature.key)
        explained = replace(feature, effect=effect, rank=ranks.get(feature.key))
        if effect is not None and feature.key.role in _OUTPUTS:
            reference = drifted[feature.key].reference
            moved = _moved(features, by_reference.get(reference) or {}, alpha)
            explained = replace(explained, attribution=attribute_prediction_drift(effect, moved, importances))
        found.append(explained)
    return found


def _breach(feature: FeatureEvaluation, alpha: float) -> Check | None:
    return next((check for check in feature.checks if check.name in DRIFT_CHECKS and check.breaches(alpha)), None)


def _moved(features: Sequence[FeatureEvaluation], measurements: Measurements, alpha: float) -> dict[str, float]:
    """How far each feature moved; 0 where that may be chance."""
    significant = {
        feature.key: check
        for feature in features
        for check in feature.checks
        if check.name == DRIFT
        and feature.key.role is FeatureRole.FEATURE
        and (check.is_big if check.q_value is None else check.is_significant(alpha))
    }
    effects = _effects(measurements, significant, significant)
    return {
        feature.key.name: effects.get(feature.key, 0.0)
        for feature in features
        if feature.key.role is FeatureRole.FEATURE
    }


def _effects(
    measurements: Measurements, keys: Iterable[FeatureKey], checks: Mapping[FeatureKey, Check]
) -> dict[FeatureKey, float]:
    effects: dict[FeatureKey, float] = {}
    groups: dict[tuple[type, int], list[tuple[FeatureKey, Pair]]] = {}
    for key in keys:
        measurement = measurements.get(key)
        if measurement is not None and measurement.pair is not None:
            pair = measurement.pair()
            groups.setdefault(likes_of(pair), []).append((key, pair))
        if checks[key].method == _OF_VECTORS:
            effects[key] = min(checks[key].score, _LARGEST)
    for group in groups.values():
        sizes = effect_sizes(Columns([pair for _, pair in group])).tolist()
        for (key, _), size in zip(group, sizes, strict=True):
            effects[key] = max(effects.get(key, 0.0), size)
    return {key: size for key, size in effects.items() if math.isfinite(size)}


def _ranks(effects: Mapping[FeatureKey, float], importances: Mapping[str, float]) -> dict[FeatureKey, Rank]:
    """Where several features drifted."""
    if len(effects) < 2:
        return {}
    ranked = rank_columns({key.name: effect for key, effect in effects.items()}, importances)
    return {
        FeatureKey(FeatureRole.FEATURE, column.name): Rank(place, len(ranked))
        for place, column in enumerate(ranked, start=1)
    }

"""Many columns, one question: p-values corrected for how many were asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from collector_processor.processors.evaluation.findings import FeatureEvaluation
from otel_ml.drift.false_discovery import benjamini_hochberg


def corrected(features: Sequence[FeatureEvaluation]) -> list[FeatureEvaluation]:
    """The same, with q-values: one family for each check."""
    checks = [list(feature.checks) for feature in features]
    families: dict[str, list[tuple[int, int]]] = {}
    for position, of_feature in enumerate(checks):
        for place, check in enumerate(of_feature):
            families.setdefault(check.name, []).append((position, place))
    for family in families.values():
        q_values = benjamini_hochberg([checks[position][place].p_value for position, place in family])
        tested = sum(q_value is not None for q_value in q_values)
        for (position, place), q_value in zip(family, q_values, strict=True):
            checks[position][place] = replace(checks[position][place], q_value=q_value, family=tested)
    return [replace(feature, checks=of_feature) for feature, of_feature in zip(features, checks, strict=True)]

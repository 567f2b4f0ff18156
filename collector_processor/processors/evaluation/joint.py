"""Several features together: whether they are correlated as in the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from collector_processor.processors.evaluation.findings import (
    CANARY_CORRELATION_DRIFT,
    CANARY_DRIFT,
    CORRELATION_DRIFT,
    DRIFT,
    GRADUAL_CORRELATION_DRIFT,
    GRADUAL_DRIFT,
    Check,
    FeatureEvaluation,
)
from collector_processor.processors.evaluation.measurement import Measurement
from collector_processor.processors.windows import Window
from otel_ml.baseline import Baseline
from otel_ml.baseline.joint import Joint
from otel_ml.drift.explanation import MovedCell
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE, CorrelationShift, MultivariateDetector, VectorPair
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import FeatureKey, FeatureRole
from otel_ml.sketch.summary import FeatureSummary

_DETECTORS: Final[Mapping[str, MultivariateDetector]] = {name: make() for name, make in BUILTIN_MULTIVARIATE.items()}
_TOLD: Final = 3
"""Pairs of features that an event names."""
_LEAST_TOLD: Final = 0.05
"""Change of a correlation that is worth being named, and the q-value below which it is no accident."""
_NAMES: Final[Mapping[str, str]] = {
    DRIFT: CORRELATION_DRIFT,
    GRADUAL_DRIFT: GRADUAL_CORRELATION_DRIFT,
    CANARY_DRIFT: CANARY_CORRELATION_DRIFT,
}


def is_comparable(key: FeatureKey, baseline: Baseline | None) -> bool:
    """Whether it is a column, or the features together that the baseline, in these units, knows as well."""
    joint = None if baseline is None else baseline.joint
    return key.role is not FeatureRole.JOINT or (joint is not None and key == joint.layout.key)


def why_not(window: Window, baseline: Baseline | None, min_rows: int) -> str | None:
    """Why features that were sent together are not compared; None where they are, or where nobody sends any."""
    sent = {key: part for (key, _), part in window.unbinned.items() if key.role is FeatureRole.JOINT}
    if not sent or baseline is None:
        return None
    if baseline.joint is None:
        return "the baseline does not know how features go together (build it anew)"
    found = sent.get(baseline.joint.layout.key)
    if found is None:
        return "the servers have another baseline"
    if not isinstance(found.content, EmbeddingSummary) or found.content.count < min_rows:
        return f"{found.counters.valid} of {found.counters.rows} rows have all features (at least {min_rows})"
    if found.content.dimensions != len(baseline.joint.layout.names):
        return f"vectors of {found.content.dimensions} features ({len(baseline.joint.layout.names)})"
    return None


def add_joint_results(
    measured: dict[FeatureKey, Measurement],
    summaries: Iterable[FeatureSummary],
    joint: Joint | None,
    references: Mapping[FeatureKey, FeatureSummary] | None,
    min_rows: int,
    methods: Mapping[FeatureKey, str] | None = None,
) -> None:
    """Add how far features together are from a reference.

    Args:
        joint: What the baseline knows of them.
        references: Summaries by column; None stands for the baseline's.
        min_rows: Rows below which nothing is concluded, of either side.
        methods: The only one that is asked, by column; None asks all.
    """
    for summary in summaries:
        if joint is None or summary.key != joint.layout.key:
            continue
        reference = None if references is None else references.get(summary.key)
        was = joint.vectors if references is None else reference and reference.content
        now = summary.content
        if not isinstance(was, EmbeddingSummary) or not isinstance(now, EmbeddingSummary) or was.count < min_rows:
            continue
        pair = VectorPair.of(was, now, joint.noise) if now.count >= min_rows else None
        if pair is not None:
            asked = _DETECTORS.values() if methods is None else [_DETECTORS[methods[summary.key]]]
            results = [detector.result(pair) for detector in asked if detector.applies_to(pair)]
            moved = partial(moved_pairs, pair, joint.layout.names)
            measured[summary.key] = Measurement(now.count, None, results, moved=moved)


def moved_pairs(pair: VectorPair, names: Sequence[str]) -> list[MovedCell]:
    """The pairs of features whose correlation changed most, and by more than chance, with both correlations."""
    changes = CorrelationShift().changes(pair, limit=len(names) * len(names))
    sizes = {change: abs(change.current - change.reference) for change in changes}
    found = [
        change
        for change, size in sizes.items()
        if size >= _LEAST_TOLD and (change.q_value is None or change.q_value <= _LEAST_TOLD)
    ]
    total = sum(sizes[change] for change in found)
    return [
        MovedCell(
            f"{names[change.first]} ~ {names[change.second]}",
            change.reference,
            change.current,
            sizes[change] / total,
            is_share=False,
        )
        for change in sorted(found, key=lambda change: -sizes[change])[:_TOLD]
    ]


def with_pairs(feature: FeatureEvaluation, pairs: Sequence[MovedCell]) -> FeatureEvaluation:
    """The same, told by the pairs of features that changed."""
    note = ", ".join(f"{pair.label} {pair.reference:.2f} → {pair.current:.2f}" for pair in pairs)
    return replace(feature, moved=pairs, checks=[replace(check, note=note) for check in feature.checks])


def renamed(key: FeatureKey, checks: Sequence[Check]) -> list[Check]:
    """The checks under the names they go by where features are judged together."""
    if key.role is not FeatureRole.JOINT:
        return list(checks)
    return [replace(check, name=_NAMES.get(check.name, check.name)) for check in checks]

"""Comparing data with a baseline, in one call."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from otel_ml.baseline.baseline import Baseline
from otel_ml.comparing.column import ColumnReport, QualityFinding, Status
from otel_ml.comparing.current import Current, Reading, summarised
from otel_ml.comparing.measuring import Asking, Measured, measured
from otel_ml.comparing.report import DriftReport
from otel_ml.drawing.drawable import distribution_of
from otel_ml.drawing.frame import frame_of
from otel_ml.drift.detector import DriftDetector, require_integer, require_number
from otel_ml.drift.false_discovery import benjamini_hochberg
from otel_ml.drift.quality import DEFAULT_INCREASE, QualityRatio, data_quality
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole

_INCREASES: Final[Mapping[str, float]] = MappingProxyType(
    {
        "missing": 0.02,
        "type_mismatch": DEFAULT_INCREASE,
        "infinite": DEFAULT_INCREASE,
        "out_of_range": DEFAULT_INCREASE,
        "unseen_category": DEFAULT_INCREASE,
    }
)
"""By how much a ratio may exceed the reference's own, as in the processor."""


def compare(
    baseline: Baseline,
    current: Any,
    *,
    predictions: Any = None,
    scores: Any = None,
    features: Sequence[str] | None = None,
    detectors: Iterable[str | DriftDetector] | None = None,
    decide_by: str | Mapping[str, str] | None = None,
    alpha: float = 0.05,
    min_rows: int = 200,
) -> DriftReport:
    """How data differ from what a model was trained on, as the processor would find it.

    A column drifted where the score of the method that decides exceeds its threshold, so that the difference matters,
    and its q-value is below `alpha`, so that chance does not explain it.

    Args:
        baseline: What the model was trained on.
        current: Another baseline, or data as `Baseline.build` takes them: a pandas or polars frame, an Arrow table, an
            array, a dict of columns, or the path of a Parquet or CSV file. They are read by the schema of the baseline.
        predictions: Names of columns of `current`, or values, as in `Baseline.build`; where it is None, columns that
            are called as the baseline calls its own.
        scores: Likewise.
        features: Names of the columns of an array without names.
        detectors: Detectors of distributions to ask, by name or ready; those that the processor asks by default.
        decide_by: The detector whose verdict counts, or one for each kind of column; "auto", the default, takes the
            one that finds most in such a column.
        alpha: q-value below which chance does not explain a difference.
        min_rows: Values, on either side, below which a column is not compared.

    Raises:
        BaselineError: The data cannot be read, or have none of the baseline's columns.
        ConfigurationError: There is no such detector, or a number is out of its range.
    """
    reading = Reading(predictions=predictions, scores=scores, features=features)
    return compare_with(
        baseline, current, Asking.of(detectors, decide_by), reading=reading, alpha=alpha, min_rows=min_rows
    )


def compare_with(
    baseline: Baseline, data: Any, asking: Asking, *, reading: Reading, alpha: float, min_rows: int
) -> DriftReport:
    """As `compare`, with everything that can be said about how data are read."""
    if not isinstance(baseline, Baseline):
        raise ConfigurationError(
            f"baseline: {type(baseline).__name__} is none (expected a Baseline: Baseline.load(path), Baseline.build(…))"
        )
    require_number("alpha", alpha, above=0, at_most=1)
    require_integer("min_rows", min_rows, at_least=1, at_most=1_000_000_000)
    current = summarised(data, baseline, reading)
    # Of vectors as large as numbers can be, some scores overflow, and are left out.
    with np.errstate(over="ignore", invalid="ignore"):
        found = measured(baseline, current, asking, min_rows)
    quality = _quality(baseline, current, alpha)
    columns = [
        _column(key, of_column, baseline, current, quality.get(key, []), alpha) for key, of_column in found.items()
    ]
    return DriftReport(
        baseline.model,
        baseline.id,
        baseline.rows,
        current.source,
        current.rows,
        time.time_ns(),
        alpha,
        min_rows,
        sorted(columns, key=_urgency),
        current.added,
    )


def _column(
    key: FeatureKey,
    of_column: Measured,
    baseline: Baseline,
    current: Current,
    quality: Sequence[QualityFinding],
    alpha: float,
) -> ColumnReport:
    status = _status(key, of_column, current, alpha)
    reference, now = baseline.features.get(key), current.summaries.get(key)
    drawn = None if reference is None else distribution_of(reference, baseline.layout(key))
    frame = None if drawn is None else frame_of(drawn)
    of_now = current.drawn.get(key)
    counts = (
        (0, 0)
        if baseline.joint is None or current.joint is None
        else (baseline.joint.vectors.count, current.joint.count)
    )
    return ColumnReport(
        key,
        FeatureKind.EMBEDDING if reference is None else reference.kind,
        status,
        of_column.results,
        of_column.method,
        of_column.reason,
        of_column.effect,
        _importance(key, baseline),
        of_column.moved() if status == "drifted" else [],
        quality,
        counts[0] if reference is None else reference.counters.valid,
        counts[1] if reference is None else 0 if now is None else now.counters.valid,
        frame,
        None if frame is None or of_now is None else frame.of(of_now),
    )


def _status(key: FeatureKey, of_column: Measured, current: Current, alpha: float) -> Status:
    decision = of_column.decision
    if key.role is not FeatureRole.JOINT and key not in current.summaries:
        return "absent"
    if decision is None:
        return "not compared"
    is_certain = decision.q_value is None or decision.q_value < alpha
    return "drifted" if decision.is_big and is_certain else "stable"


def _importance(key: FeatureKey, baseline: Baseline) -> float:
    greatest = max(baseline.importances.values(), default=0.0)
    if key.role is not FeatureRole.FEATURE or not greatest:
        return 1.0
    return baseline.importances.get(key.name, 0.0) / greatest


def _quality(baseline: Baseline, current: Current, alpha: float) -> dict[FeatureKey, list[QualityFinding]]:
    """Bad values by column; each kind of them is one family of tests."""
    ratios: dict[str, dict[FeatureKey, QualityRatio]] = {name: {} for name in _INCREASES}
    for key, summary in current.summaries.items():
        found = data_quality(baseline.features[key], summary, baseline.layout(key))
        for name, of_name in ratios.items():
            ratio: QualityRatio | None = getattr(found, name)
            if ratio is not None:
                of_name[key] = ratio
    findings: dict[FeatureKey, list[QualityFinding]] = {}
    for name, of_name in ratios.items():
        q_values = benjamini_hochberg([ratio.p_value for ratio in of_name.values()])
        for (key, ratio), q_value in zip(of_name.items(), q_values, strict=True):
            finding = QualityFinding.of(name, ratio, q_value, threshold=_INCREASES[name], alpha=alpha)
            findings.setdefault(key, []).append(finding)
    return findings


def _urgency(column: ColumnReport) -> tuple[bool, bool, bool, float]:
    """What drifted first, then what is degraded, then what is absent; each by how far it moved, and what matters."""
    return not column.drifted, not column.degraded, column.status != "absent", -column.weight

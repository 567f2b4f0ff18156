"""What is kept about a window, for people to look at."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from collector_processor.component import Event
from collector_processor.history import (
    FIGURES,
    AlertRecord,
    CallFigures,
    Column,
    Figures,
    FiringKey,
    Flag,
    Subject,
    WindowLine,
    WindowRecord,
)
from collector_processor.processors.alerts import AlertKey
from collector_processor.processors.evaluation import (
    DRIFT,
    DRIFT_CHECKS,
    QUALITY_CHECKS,
    Check,
    FeatureEvaluation,
    WindowEvaluation,
)
from collector_processor.processors.report import ratios, told_cell
from otel_ml import semconv
from otel_ml.drift.detector import DriftResult
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.exemplar import Exemplar
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

# Below that a double says 0.
_LEAST_LOG_Q: Final = -99.0
_DRIFT_NAMES: Final = frozenset(DRIFT_CHECKS)
_QUALITY_NAMES: Final = frozenset(QUALITY_CHECKS)


def window_record(
    window: WindowEvaluation,
    alpha: float,
    *,
    importances: Mapping[str, float] | None = None,
    firing: Collection[AlertKey] = (),
    alerts: Sequence[AlertRecord] = (),
) -> WindowRecord:
    """All that is kept of a window.

    Args:
        importances: How much the model relies on each feature, by name.
        firing: Alerts that fire after the window.
        alerts: What was told on its occasion.
    """
    drifted, compared = window.drifted(alpha)
    line = WindowLine(
        window.start_unix_nano,
        window.end_unix_nano,
        window.rows,
        window.outcome,
        window.baseline_id or "",
        drifted,
        compared,
        dict(window.producers),
        None if window.calls is None else _calls(window.calls),
        window.is_partial,
        window.revision,
    )
    weights = importances or {}
    columns = [
        Column(
            feature.key.role.value,
            feature.subject.name,
            feature.kind.value,
            weights.get(feature.key.name, 1.0) if feature.key.role is FeatureRole.FEATURE else 1.0,
        )
        for feature in window.features
    ]
    shapes = [feature.shape for feature in window.features]
    return WindowRecord(
        subject_of(window.model, window.segment),
        line,
        columns,
        _figures(window, alpha, firing),
        [shape and shape.frame for shape in shapes],
        [None if shape is None else shape.shares for shape in shapes],
        _json(details(window, alpha)),
        alerts,
        [FiringKey(key.check, *_told_of(key.feature)) for key in firing],
        is_notable=bool(alerts),
    )


def subject_of(model: ModelKey, segment: Segment | None) -> Subject:
    """How the history names a model, or a slice of it."""
    return Subject(model.name, model.version, "=".join(segment) if segment else "")


def alert_record(
    event: Event, model: ModelKey, segment: Segment | None = None, key: FeatureKey | None = None
) -> AlertRecord:
    """What an event told.

    Args:
        key: The column that it is about, if it is about one.
    """
    attributes = event.attributes
    return AlertRecord(
        # Of the window, so that what is told late, or of a past that is sent at once, stands where it happened.
        int(attributes.get(semconv.WINDOW_END, event.time_unix_nano)),  # type: ignore[arg-type]  # an integer, of ours
        subject_of(model, segment),
        str(attributes.get(semconv.ALERT_NAME, attributes.get(semconv.DRIFT_SERIES, event.name))),
        *_told_of(key),
        str(attributes.get(semconv.ALERT_STATE, "told")),
        str(attributes.get(semconv.ALERT_REASON, event.body)),
        dict(attributes),
    )


def details(window: WindowEvaluation, alpha: float) -> dict[str, Any]:
    """Everything that was found out, in what JSON is made of."""
    found = window.classification
    return {
        "outcome": window.outcome,
        "producers": dict(window.producers),
        "joint_insufficient": window.joint_insufficient,
        "partial": window.is_partial,
        "revision": window.revision,
        "references": {
            reference.name: reference.insufficient or reference.description for reference in window.references
        },
        "classification": found
        and {"auc": found.auc, "p_value": found.p_value, "importances": dict(found.importances)},
        "calls": [
            _exemplar(call) | {"duration_s": call.value} for call in (window.calls.exemplars if window.calls else ())
        ],
        "features": [_feature(feature, alpha) for feature in window.features],
    }


def _told_of(key: FeatureKey | None) -> tuple[str, str]:
    """Role and name of the column that an alert is about; the key of columns together means nothing to anybody."""
    return ("", "") if key is None or key.role is FeatureRole.JOINT else (key.role.value, key.name)


def _calls(calls: CallSummary) -> CallFigures:
    return CallFigures(calls.count, dict(calls.errors), *calls.quantiles((0.5, 0.95, 0.99)))


def _feature(feature: FeatureEvaluation, alpha: float) -> dict[str, Any]:
    return {
        "role": feature.key.role.value,
        "name": feature.subject.name,
        "kind": feature.kind.value,
        "rows": feature.counters.rows,
        "ratios": ratios(feature),
        "drift": _scores(feature.scores),
        "effect": feature.effect,
        "rank": feature.rank and feature.rank.place,
        "moved": [told_cell(cell) for cell in feature.moved],
        "attribution": feature.attribution
        and {"shares": dict(feature.attribution.shares), "unexplained": feature.attribution.unexplained},
        "elsewhere": {reference: _scores(results) for reference, results in feature.elsewhere.items()},
        "checks": {check.name: _check(check, alpha) for check in feature.checks},
        "labels": feature.labels and _labels(feature),
        "exemplars": list(map(_exemplar, feature.exemplars)),
    }


def _exemplar(exemplar: Exemplar) -> dict[str, Any]:
    return {
        "reason": exemplar.reason.name.lower(),
        "trace_id": f"{exemplar.trace_id:032x}" if exemplar.trace_id else "",
        "prediction_id": exemplar.prediction_id,
        "time_unix_nano": exemplar.time_unix_nano,
    }


def _scores(results: Sequence[DriftResult]) -> dict[str, Any]:
    return {
        result.method: {"score": _finite(result.score), "threshold": result.threshold, "p_value": result.p_value}
        for result in results
    }


def _check(check: Check, alpha: float) -> dict[str, Any]:
    return {
        "method": check.method,
        "method_reason": check.method_reason,
        "score": _finite(check.score),
        "threshold": check.threshold,
        "q_value": check.q_value,
        "level": check.level,
        "is_big": check.is_big,
        "breaches": check.breaches(alpha),
        "reference": check.reference,
        "overruled_by": check.overruled_by,
    }


def _labels(feature: FeatureEvaluation) -> dict[str, Any]:
    assert feature.labels is not None, "asked of a prediction whose labels are estimated"
    shares = feature.labels.labels or {}
    return {
        "score": feature.labels.score,
        "shares": {label: [share.share, share.lower, share.upper] for label, share in shares.items()},
    }


def _figures(window: WindowEvaluation, alpha: float, firing: Collection[AlertKey]) -> Figures:
    # An alert goes on where its question is not asked: in a window of too few rows, say.
    fires: dict[FeatureKey, list[str]] = {}
    for key in firing:
        fires.setdefault(key.feature, []).append(key.check)
    found: Figures = np.zeros(len(window.features), FIGURES)
    for place, feature in enumerate(window.features):
        row = found[place]
        score, threshold, q_value = _deciding(feature)
        # What is beyond the range of four bytes is infinite there.
        with np.errstate(over="ignore"):
            row["score"], row["threshold"] = score, threshold
        row["log_q"] = _log(q_value)
        row["rows"] = min(feature.counters.rows, 0xFFFFFFFF)
        known = ratios(feature)
        for name in QUALITY_CHECKS:
            row[name] = known.get(name, math.nan)
        breaching = [check.name for check in feature.checks if check.breaches(alpha)]
        flags = _flags(breaching, Flag.BREACH, Flag.BAD_VALUES)
        flags |= _flags(fires.get(feature.subject, ()), Flag.FIRING, Flag.BAD_VALUES_FIRING)
        row["flags"] = flags
    return found


def _flags(checks: Iterable[str], of_drift: Flag, of_values: Flag) -> Flag:
    flags = Flag(0)
    for name in checks:
        if name in _DRIFT_NAMES:
            flags |= of_drift
        elif name in _QUALITY_NAMES:
            flags |= of_values
    return flags


def _log(q_value: float | None) -> float:
    """The decimal logarithm, as far as it is kept; NaN where nothing was tested."""
    if q_value is None or math.isnan(q_value):
        return math.nan
    return max(_LEAST_LOG_Q, math.log10(q_value)) if q_value else _LEAST_LOG_Q


def _deciding(feature: FeatureEvaluation) -> tuple[float, float, float | None]:
    """Score, threshold and q-value of what decides about a column; of a slice, where nothing does, the first score."""
    by_name = {check.name: check for check in feature.checks if check.name in _DRIFT_NAMES}
    check = by_name.get(DRIFT) or next(iter(by_name.values()), None)
    if check is not None:
        return check.score, check.threshold, check.q_value
    if feature.scores:
        return feature.scores[0].score, feature.scores[0].threshold, None
    return math.nan, math.nan, None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _json(found: Mapping[str, Any]) -> str:
    """As JSON: what is no number there is nothing."""
    try:
        return json.dumps(found, allow_nan=False)
    except ValueError:
        return json.dumps(_without_infinities(found))


def _without_infinities(value: Any) -> Any:
    if isinstance(value, float):
        return _finite(value)
    if isinstance(value, Mapping):
        return {name: _without_infinities(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_infinities(item) for item in value]
    return value

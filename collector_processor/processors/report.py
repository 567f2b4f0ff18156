"""What leaves the service about a window: gauges, events, and a line of history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Final

from collector_processor.component import AttributeValue, Event, HistoryEntry, Point, Severity
from collector_processor.processors.alerts import Alert, AlertKey, AlertState, Transition
from collector_processor.processors.evaluation import DRIFT, QUALITY_CHECKS, FeatureEvaluation, WindowEvaluation
from otel_ml import semconv
from otel_ml.semconv import Metric
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

_RATIOS: Final[Mapping[str, Metric]] = {
    "missing": semconv.FEATURE_MISSING_RATIO,
    "type_mismatch": semconv.FEATURE_TYPE_MISMATCH_RATIO,
    "infinite": semconv.FEATURE_INFINITE_RATIO,
    "out_of_range": semconv.FEATURE_OUT_OF_RANGE_RATIO,
    "unseen_category": semconv.FEATURE_UNSEEN_CATEGORY_RATIO,
}

Measurement = tuple[Metric, float, Mapping[str, AttributeValue]]


def measurements(window: WindowEvaluation, alpha: float) -> list[Measurement]:
    """Every gauge of a window, without a time: they are valid until the next window's."""
    model = _model_attributes(window.model)
    gauges: list[Measurement] = [(semconv.MODEL_ROWS, window.rows, model)]
    share = window.drift_share(alpha)
    if share is not None:
        gauges.append((semconv.MODEL_DRIFT_SHARE, share, model))
    for feature in window.features:
        attributes = {**model, **_column_attributes(feature.key)}
        is_input = feature.key.role is FeatureRole.FEATURE
        for name, ratio in _ratios(feature).items():
            metric = _RATIOS[name]
            gauges.append((metric if is_input else semconv.of_prediction(metric), ratio, attributes))
        named = semconv.feature_drift if is_input else semconv.prediction_drift
        gauges.extend((named(result.method), result.score, attributes) for result in feature.scores)
    return [gauge for gauge in gauges if not math.isnan(gauge[1])]


def alert_measurements(alerts: Mapping[AlertKey, Alert]) -> list[Measurement]:
    """Where every alert stands that ever left quiet."""
    return [
        (
            semconv.ALERT_STATE_METRIC,
            alert.state.value,
            {**_model_attributes(key.model), **_column_attributes(key.feature), semconv.ALERT_NAME: key.check},
        )
        for key, alert in alerts.items()
    ]


def points(gauges: Iterable[Measurement], now_unix_nano: int) -> list[Point]:
    """The gauges as of now."""
    return [Point(metric, value, now_unix_nano, attributes) for metric, value, attributes in gauges]


def events(transition: Transition, now_unix_nano: int) -> list[Event]:
    """An alert's event, and that of the drift behind it when it begins to fire."""
    is_firing = transition.state is AlertState.FIRING
    model, feature = transition.key.model, transition.key.feature
    subject = f"{model.name}{' ' + model.version if model.version else ''}: {feature.role.value} {feature.name}"
    state = "firing" if is_firing else "resolved"
    attributes = _event_attributes(transition)
    found = [
        Event(
            semconv.EVENT_ALERT,
            Severity.WARN if is_firing else Severity.INFO,
            f"{subject}: {transition.key.check} {state}: {transition.reason}",
            now_unix_nano,
            {
                **attributes,
                semconv.ALERT_NAME: transition.key.check,
                semconv.ALERT_STATE: state,
                semconv.ALERT_REASON: transition.reason,
            },
        )
    ]
    if is_firing and transition.key.check == DRIFT:
        body = f"{subject}: drifted: {transition.reason}"
        found.append(Event(semconv.EVENT_DRIFT_DETECTED, Severity.WARN, body, now_unix_nano, attributes))
    return found


def history_entry(window: WindowEvaluation) -> HistoryEntry:
    """The window's results as they are kept."""
    results = {
        "outcome": window.outcome,
        "partial": window.is_partial,
        "features": [
            {
                "role": feature.key.role.value,
                "name": feature.key.name,
                "kind": feature.kind.value,
                "rows": feature.counters.rows,
                "ratios": _ratios(feature),
                "drift": {
                    result.method: {"score": _finite(result.score), "p_value": result.p_value}
                    for result in feature.scores
                },
                "checks": {
                    check.name: {
                        "score": _finite(check.score),
                        "threshold": check.threshold,
                        "q_value": check.q_value,
                        "is_big": check.is_big,
                    }
                    for check in feature.checks
                },
            }
            for feature in window.features
        ],
    }
    return HistoryEntry(
        window.model.name,
        window.model.version,
        window.start_unix_nano,
        window.end_unix_nano,
        window.rows,
        window.baseline_id or "",
        json.dumps(results),
    )


def _ratios(feature: FeatureEvaluation) -> dict[str, float]:
    """Shares of bad values; without a reference those that need none."""
    if feature.quality is not None:
        ratios = {name: getattr(feature.quality, name) for name in QUALITY_CHECKS}
        return {name: ratio.ratio for name, ratio in ratios.items() if ratio is not None}
    counters = feature.counters
    if not counters.rows:
        return {}
    return {"missing": counters.missing / counters.rows, "type_mismatch": counters.mismatched / counters.rows}


def _model_attributes(model: ModelKey) -> dict[str, AttributeValue]:
    return {semconv.MODEL_NAME: model.name, semconv.MODEL_VERSION: model.version}


def _column_attributes(key: FeatureKey) -> dict[str, AttributeValue]:
    if key.role is FeatureRole.FEATURE:
        return {semconv.FEATURE_NAME: key.name}
    return {semconv.PREDICTION_NAME: key.name}


def _event_attributes(transition: Transition) -> dict[str, AttributeValue]:
    check, window = transition.check, transition.window
    attributes = {
        **_model_attributes(transition.key.model),
        **_column_attributes(transition.key.feature),
        semconv.DRIFT_METHOD: check.method,
        semconv.DRIFT_SCORE: check.score,
        semconv.DRIFT_THRESHOLD: check.threshold,
        semconv.WINDOW_START: window.start_unix_nano,
        semconv.WINDOW_END: window.end_unix_nano,
        semconv.WINDOW_ROWS: window.rows,
    }
    if check.p_value is not None:
        attributes[semconv.DRIFT_P_VALUE] = check.p_value
    if check.q_value is not None:
        attributes[semconv.DRIFT_Q_VALUE] = check.q_value
    if window.baseline_id is not None:
        attributes[semconv.BASELINE_ID] = window.baseline_id
    return attributes


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

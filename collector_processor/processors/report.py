"""What leaves the service about a window: gauges, events, and a line of history."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector_processor.component import AttributeValue, Event, HistoryEntry, Point, Severity
from collector_processor.processors.alerts import Alert, AlertKey, AlertState, Transition
from collector_processor.processors.evaluation import DRIFT, QUALITY_CHECKS, FeatureEvaluation, WindowEvaluation
from otel_ml import semconv
from otel_ml.semconv import Metric
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

_EXTREME: Final = {ExemplarReason.LARGEST, ExemplarReason.SMALLEST, ExemplarReason.OUT_OF_RANGE}
_SHOWN_BY: Final[Mapping[str, set[ExemplarReason]]] = {
    "missing": {ExemplarReason.MISSING},
    "type_mismatch": {ExemplarReason.MISMATCHED},
    "infinite": {ExemplarReason.LARGEST, ExemplarReason.SMALLEST},
    "out_of_range": _EXTREME,
    "unseen_category": {ExemplarReason.UNSEEN},
}
_RATIOS: Final[Mapping[str, Metric]] = {
    "missing": semconv.FEATURE_MISSING_RATIO,
    "type_mismatch": semconv.FEATURE_TYPE_MISMATCH_RATIO,
    "infinite": semconv.FEATURE_INFINITE_RATIO,
    "out_of_range": semconv.FEATURE_OUT_OF_RANGE_RATIO,
    "unseen_category": semconv.FEATURE_UNSEEN_CATEGORY_RATIO,
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One gauge, without a time: it is valid until the next window's."""

    metric: Metric
    value: float
    attributes: Mapping[str, AttributeValue]
    exemplars: Sequence[Exemplar] = ()


def measurements(window: WindowEvaluation, alpha: float) -> list[Measurement]:
    """Every gauge of a window."""
    model = {**_model_attributes(window.model), **_segment_attributes(window.segment)}
    gauges = [Measurement(semconv.MODEL_ROWS, window.rows, model)]
    for digest, number in window.producers.items():
        gauges.append(Measurement(semconv.MODEL_PRODUCERS, number, {**model, semconv.PACKAGES_DIGEST: digest}))
    share = window.drift_share(alpha)
    if share is not None:
        gauges.append(Measurement(semconv.MODEL_DRIFT_SHARE, share, model))
    for feature in window.features:
        attributes = {**model, **_column_attributes(feature.key)}
        is_input = feature.key.role is FeatureRole.FEATURE
        for name, ratio in _ratios(feature).items():
            metric = _RATIOS[name]
            named_ratio = metric if is_input else semconv.of_prediction(metric)
            gauges.append(Measurement(named_ratio, ratio, attributes, _exemplars_of(feature, name)))
        named = semconv.feature_drift if is_input else semconv.prediction_drift
        shown = _exemplars_of(feature, DRIFT)
        gauges.extend(Measurement(named(result.method), result.score, attributes, shown) for result in feature.scores)
    return [gauge for gauge in gauges if not math.isnan(gauge.value)]


def alert_measurements(alerts: Mapping[AlertKey, Alert]) -> list[Measurement]:
    """Where every alert stands that ever left quiet."""
    return [
        Measurement(
            semconv.ALERT_STATE_METRIC,
            alert.state.value,
            {
                **_model_attributes(key.model),
                **_segment_attributes(key.segment),
                **_column_attributes(key.feature),
                semconv.ALERT_NAME: key.check,
            },
        )
        for key, alert in alerts.items()
    ]


def points(gauges: Iterable[Measurement], now_unix_nano: int) -> list[Point]:
    """The gauges as of now."""
    return [
        Point(gauge.metric, gauge.value, now_unix_nano, gauge.attributes, exemplars=gauge.exemplars) for gauge in gauges
    ]


def events(transition: Transition, now_unix_nano: int) -> list[Event]:
    """An alert's event, and that of the drift behind it when it begins to fire."""
    is_firing = transition.state is AlertState.FIRING
    model, feature = transition.key.model, transition.key.feature
    name = " ".join(part for part in model if part)
    slice_of = f" ({'='.join(transition.key.segment)})" if transition.key.segment else ""
    subject = f"{name}{slice_of}: {feature.role.value} {feature.name}"
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
        "producers": dict(window.producers),
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
        "=".join(window.segment) if window.segment else "",
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
    attributes: dict[str, AttributeValue] = {
        **_model_attributes(transition.key.model),
        **_segment_attributes(transition.key.segment),
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
    shown = _exemplars_of(transition.feature, transition.key.check)
    if traces := tuple(dict.fromkeys(f"{exemplar.trace_id:032x}" for exemplar in shown if exemplar.trace_id)):
        attributes[semconv.EXEMPLAR_TRACE_IDS] = traces
    if ids := tuple(dict.fromkeys(exemplar.prediction_id for exemplar in shown if exemplar.prediction_id)):
        attributes[semconv.EXEMPLAR_PREDICTION_IDS] = ids
    return attributes


def _exemplars_of(feature: FeatureEvaluation, check: str) -> list[Exemplar]:
    """The exemplars that show what a check is about; of drift all, for anything may be behind it."""
    reasons = _SHOWN_BY.get(check)
    return [exemplar for exemplar in feature.exemplars if reasons is None or exemplar.reason in reasons]


def _segment_attributes(segment: Segment | None) -> dict[str, AttributeValue]:
    if segment is None:
        return {}
    return {semconv.SEGMENT_DIMENSION: segment.dimension, semconv.SEGMENT_VALUE: segment.value}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None

"""What leaves the service about a window: gauges and events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector_processor.component import AttributeValue, Event, Point, Severity
from collector_processor.processors.alerts import Alert, AlertKey, AlertState, Transition
from collector_processor.processors.common_changes import Told
from collector_processor.processors.evaluation import (
    CLASSIFIER_DRIFT,
    COMMON_CHANGE,
    DRIFT,
    DRIFT_CHECKS,
    QUALITY_CHECKS,
    FeatureEvaluation,
    WindowEvaluation,
)
from collector_processor.processors.references.settings import BASELINE
from collector_processor.processors.windows.overflow import OVERFLOW_COLUMN, is_mixed
from otel_ml import semconv
from otel_ml.drift.classifier import ClassifierResult
from otel_ml.drift.explanation import Attribution, MovedCell
from otel_ml.drift.labels import LabelShift
from otel_ml.semconv import Metric
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

# Features that an event names as what can account for a prediction's drift, and the share from which on it does.
_ATTRIBUTED: Final = 5
_LEAST_SHARE: Final = 0.005
# In brackets, for features may have any name.
_OTHERS: Final = "(others)"
_UNEXPLAINED: Final = "(unexplained)"

_EXTREME: Final = {ExemplarReason.LARGEST, ExemplarReason.SMALLEST, ExemplarReason.OUT_OF_RANGE}
_SHOWN_BY: Final[Mapping[str, set[ExemplarReason]]] = {
    "missing": {ExemplarReason.MISSING},
    "type_mismatch": {ExemplarReason.MISMATCHED},
    "infinite": {ExemplarReason.LARGEST, ExemplarReason.SMALLEST},
    "out_of_range": _EXTREME,
    "unseen_category": {ExemplarReason.UNSEEN},
}
# Share of what a classifier relies on, from which on an alert names the feature.
_LEAST_TOLD: Final = 0.05
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
    if window.classification is not None:
        gauges.extend(_classifier_measurements(window.classification, model))
    for feature in window.features:
        attributes = {**model, **_column_attributes(feature.key)}
        is_input = feature.key.role is FeatureRole.FEATURE
        for name, ratio in ratios(feature).items():
            metric = _RATIOS[name]
            named_ratio = metric if is_input else semconv.of_prediction(metric)
            gauges.append(Measurement(named_ratio, ratio, attributes, _exemplars_of(feature, name)))
        named = semconv.feature_drift if is_input else semconv.prediction_drift
        if feature.key.role is FeatureRole.JOINT:
            named = semconv.model_drift
        if feature.labels is not None:
            gauges.extend(_label_measurements(feature.labels, attributes))
        shown = _exemplars_of(feature, DRIFT)
        for reference, results in ((BASELINE, feature.scores), *feature.elsewhere.items()):
            compared = {**attributes, semconv.DRIFT_REFERENCE: reference}
            gauges.extend(Measurement(named(result.method), result.score, compared, shown) for result in results)
    return [gauge for gauge in gauges if not math.isnan(gauge.value)]


def _classifier_measurements(found: ClassifierResult, model: Mapping[str, AttributeValue]) -> Iterable[Measurement]:
    yield Measurement(semconv.MODEL_DRIFT_CLASSIFIER, found.auc, model)
    for name, share in found.importances.items():
        yield Measurement(semconv.FEATURE_DRIFT_IMPORTANCE, share, {**model, semconv.FEATURE_NAME: name})


def _label_measurements(labels: LabelShift, attributes: Mapping[str, AttributeValue]) -> Iterable[Measurement]:
    if labels.score is not None:
        yield Measurement(semconv.LABEL_SHIFT, labels.score, attributes)
    for label, share in (labels.labels or {}).items():
        of_label = {**attributes, semconv.LABEL_VALUE: label}
        yield Measurement(semconv.LABEL_SHARE, share.share, of_label)
        yield Measurement(semconv.LABEL_SHARE_LOWER, share.lower, of_label)
        yield Measurement(semconv.LABEL_SHARE_UPPER, share.upper, of_label)


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


def common_change_event(told: Told, now_unix_nano: int) -> Event:
    """One event for all the features that began to drift together, and one when that is over."""
    name = " ".join(part for part in told.model if part)
    state = "firing" if told.is_firing else "resolved"
    attributes = {
        **_model_attributes(told.model),
        semconv.ALERT_NAME: COMMON_CHANGE,
        semconv.ALERT_STATE: state,
        semconv.ALERT_REASON: told.reason,
        semconv.ALERT_FEATURES: told.features,
    }
    if told.window is not None:
        attributes[semconv.ALERT_FEATURES] = _most_important_first(told.window, told.features)
        attributes |= _window_attributes(told.window)
    return Event(
        semconv.EVENT_ALERT,
        Severity.WARN if told.is_firing else Severity.INFO,
        f"{name}: {COMMON_CHANGE} {state}: {told.reason}",
        now_unix_nano,
        attributes,
    )


def events(transition: Transition, now_unix_nano: int, cause: str | None = None) -> list[Event]:
    """An alert's event, and that of the drift behind it when it begins to fire.

    Args:
        cause: The alert that told of it already: this one then is for the record.
    """
    is_firing = transition.state is AlertState.FIRING
    severity = Severity.WARN if is_firing and cause is None else Severity.INFO
    model, feature = transition.key.model, transition.key.feature
    name = " ".join(part for part in model if part)
    slice_of = f" ({'='.join(transition.key.segment)})" if transition.key.segment else ""
    subject = f"{name}{slice_of}"
    if feature.role is not FeatureRole.JOINT:
        subject += f": {feature.role.value} {feature.name}"
    state = "firing" if is_firing else "resolved"
    attributes = _event_attributes(transition)
    if cause is not None:
        attributes[semconv.ALERT_CAUSE] = cause
    found = [
        Event(
            semconv.EVENT_ALERT,
            severity,
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
    if is_firing and transition.key.check in DRIFT_CHECKS:
        body = f"{subject}: drifted: {transition.reason}"
        found.append(Event(semconv.EVENT_DRIFT_DETECTED, severity, body, now_unix_nano, attributes))
    return found


def ratios(feature: FeatureEvaluation) -> dict[str, float]:
    """Shares of bad values; without a reference those that need none."""
    if feature.key.role is FeatureRole.JOINT:
        return {}
    if feature.quality is not None:
        found = {name: getattr(feature.quality, name) for name in QUALITY_CHECKS}
        return {name: ratio.ratio for name, ratio in found.items() if ratio is not None}
    counters = feature.counters
    if not counters.rows:
        return {}
    return {"missing": counters.missing / counters.rows, "type_mismatch": counters.mismatched / counters.rows}


def _model_attributes(model: ModelKey) -> dict[str, AttributeValue]:
    return {
        semconv.MODEL_NAME: model.name,
        semconv.MODEL_VERSION: model.version,
        **_overflow_attributes(is_overflow=is_mixed(model)),
    }


def _column_attributes(key: FeatureKey) -> dict[str, AttributeValue]:
    if key.role is FeatureRole.JOINT:
        return {}
    if key.role is FeatureRole.FEATURE:
        return {semconv.FEATURE_NAME: key.name, **_overflow_attributes(is_overflow=key == OVERFLOW_COLUMN)}
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
        **_window_attributes(window),
    }
    if check.method_reason is not None:
        attributes[semconv.DRIFT_METHOD_REASON] = check.method_reason
    if check.p_value is not None:
        attributes[semconv.DRIFT_P_VALUE] = check.p_value
    if check.q_value is not None:
        attributes[semconv.DRIFT_Q_VALUE] = check.q_value
    if window.baseline_id is not None:
        attributes[semconv.BASELINE_ID] = window.baseline_id
    if transition.key.check in DRIFT_CHECKS:
        attributes[semconv.DRIFT_REFERENCE] = check.reference
        for reference in window.references:
            if reference.name == check.reference:
                attributes[semconv.DRIFT_REFERENCE_DESCRIPTION] = reference.description
        if moved := tuple(map(told_cell, transition.feature.moved)):
            attributes[semconv.DRIFT_MOVED] = moved
        if transition.feature.rank is not None:
            attributes[semconv.DRIFT_RANK] = f"{transition.feature.rank.place} of {transition.feature.rank.of}"
        if transition.feature.attribution is not None:
            attributes[semconv.DRIFT_ATTRIBUTION] = _shares(transition.feature.attribution)
    if transition.key.check == CLASSIFIER_DRIFT and window.classification is not None:
        importances = window.classification.importances
        attributes[semconv.ALERT_FEATURES] = tuple(name for name in importances if importances[name] >= _LEAST_TOLD)
    shown = _exemplars_of(transition.feature, transition.key.check)
    if traces := tuple(dict.fromkeys(f"{exemplar.trace_id:032x}" for exemplar in shown if exemplar.trace_id)):
        attributes[semconv.EXEMPLAR_TRACE_IDS] = traces
    if ids := tuple(dict.fromkeys(exemplar.prediction_id for exemplar in shown if exemplar.prediction_id)):
        attributes[semconv.EXEMPLAR_PREDICTION_IDS] = ids
    return attributes


def told_cell(cell: MovedCell) -> str:
    """One range or category with its shares then and now, in a few words."""
    if not cell.is_share:
        return f"{cell.label}: {cell.reference:.3g} → {cell.current:.3g}"
    return f"{cell.label}: {cell.reference:.1%} → {cell.current:.1%}"


def _shares(attribution: Attribution) -> tuple[str, ...]:
    """The features with most of it, the rest of them together, and what none accounts for."""
    ordered = sorted(attribution.shares.items(), key=lambda share: -share[1])
    told = [(name, share) for name, share in ordered[:_ATTRIBUTED] if share >= _LEAST_SHARE]
    rest = sum(share for _, share in ordered) - sum(share for _, share in told)
    if rest >= _LEAST_SHARE:
        told.append((_OTHERS, rest))
    return tuple(f"{name} {share:.2f}" for name, share in (*told, (_UNEXPLAINED, attribution.unexplained)))


def _window_attributes(window: WindowEvaluation) -> dict[str, AttributeValue]:
    revision = {semconv.WINDOW_REVISION: window.revision} if window.revision else {}
    return {
        semconv.WINDOW_START: window.start_unix_nano,
        semconv.WINDOW_END: window.end_unix_nano,
        semconv.WINDOW_ROWS: window.rows,
        **revision,
    }


def _most_important_first(window: WindowEvaluation, features: Sequence[str]) -> tuple[str, ...]:
    ranks = {
        feature.key.name: feature.rank.place
        for feature in window.features
        if feature.rank is not None and feature.key.role is FeatureRole.FEATURE
    }
    return tuple(sorted(features, key=lambda name: ranks.get(name, len(ranks) + 1)))


def _exemplars_of(feature: FeatureEvaluation, check: str) -> list[Exemplar]:
    """The exemplars that show what a check is about; of drift all, for anything may be behind it."""
    reasons = _SHOWN_BY.get(check)
    return [exemplar for exemplar in feature.exemplars if reasons is None or exemplar.reason in reasons]


def _segment_attributes(segment: Segment | None) -> dict[str, AttributeValue]:
    if segment is None:
        return {}
    return {
        semconv.SEGMENT_DIMENSION: segment.dimension,
        semconv.SEGMENT_VALUE: segment.value,
        **_overflow_attributes(is_overflow=segment.value == semconv.OTHER_LABEL),
    }


def _overflow_attributes(*, is_overflow: bool) -> dict[str, AttributeValue]:
    return {semconv.METRIC_OVERFLOW: True} if is_overflow else {}

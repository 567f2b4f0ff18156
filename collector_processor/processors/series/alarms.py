"""What leaves the service when a series has changed."""

from __future__ import annotations

from typing import Final

from collector_processor.component import AttributeValue, Event, Severity
from collector_processor.processors.series.concept import ConceptAlarm
from otel_ml import semconv
from otel_ml.sketch.feature import FeatureRole

# A change of all columns together has no name.
_NAMES: Final = {
    FeatureRole.FEATURE: "feature_name",
    FeatureRole.PREDICTION: "prediction_name",
    FeatureRole.SCORE: "prediction_name",
}


def series_of(alarm: ConceptAlarm) -> dict[str, AttributeValue]:
    """Whose series it is, and who watches it, by the names of the constants of `semconv` in lower case."""
    column = _NAMES.get(alarm.feature.role)
    return {
        "model_name": alarm.window.model.name,
        "model_version": alarm.window.model.version,
        "drift_series": alarm.series,
        "drift_method": alarm.method,
        **({} if column is None else {column: alarm.feature.name}),
    }


def alarm_event(alarm: ConceptAlarm, now_unix_nano: int) -> Event:
    """The event of a series that has changed."""
    window = alarm.window
    name = " ".join(part for part in window.model if part)
    subject = f"{name}: {alarm.feature.role.value} {alarm.feature.name}: {alarm.series}"
    return Event(
        semconv.EVENT_CONCEPT_ALARM,
        Severity.WARN,
        f"{subject} changed: {alarm.method} found it at {alarm.value:.4g}",
        now_unix_nano,
        {
            **{getattr(semconv, attribute.upper()): value for attribute, value in series_of(alarm).items()},
            semconv.DRIFT_VALUE: alarm.value,
            semconv.WINDOW_START: window.start_unix_nano,
            semconv.WINDOW_END: window.end_unix_nano,
            semconv.WINDOW_ROWS: window.rows,
        },
    )

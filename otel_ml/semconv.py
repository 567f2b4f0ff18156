"""Every name this project puts on the wire, once.

OpenTelemetry has no convention for the inference of models other than generative ones yet (semantic-conventions issue
3420), so the names are ours, under `ml.*`, with the stability "development". Units are UCUM. Attributes of metric data
points never hold ids or raw values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SCHEMA_URL: Final = "urn:otel-ml:schema:0.1.0"
SCOPE_NAME: Final = "otel_ml"

# --- attributes ------------------------------------------------------------------------------------------------------

MODEL_NAME: Final = "ml.model.name"
MODEL_VERSION: Final = "ml.model.version"
MODEL_ID: Final = "ml.model.id"
"""The model as the registry that keeps it names it, such as MLflow's "m-…"."""
MODEL_RUN_ID: Final = "ml.model.run_id"
"""The training run the model came out of, as its tracker names it."""
SYSTEM_NAME: Final = "ml.system.name"
"""The library that ran the model: "scikit_learn", "xgboost", …"""
OPERATION_NAME: Final = "ml.operation.name"
"""The method called on the model: "predict", "predict_proba", …"""
BATCH_SIZE: Final = "ml.inference.batch.size"
ERROR_TYPE: Final = "error.type"
FEATURE_NAME: Final = "ml.feature.name"
PREDICTION_NAME: Final = "ml.prediction.name"
"""Which output of the model, where there are several."""
PREDICTION_LABEL: Final = "ml.prediction.label"
PREDICTION_ID: Final = "ml.prediction.id"
PREDICTION_ID_HEADER: Final = "x-prediction-id"
"""Header of a response by which a client learns the id that a label may later refer to."""
ENTITY_ID: Final = "ml.entity.id"
"""Whom a row is about, as the application names it; in opt-in events only."""
ROW_INDEX: Final = "ml.inference.row.index"
INFERENCE_FEATURES: Final = "ml.inference.features"
"""Map of column to value, in opt-in events only."""
INFERENCE_PREDICTION: Final = "ml.inference.prediction"
INFERENCE_SCORE: Final = "ml.inference.score"
BASELINE_ID: Final = "ml.baseline.id"
BASELINE_PAYLOAD: Final = "ml.baseline.payload"
"""A whole baseline file, in the event that hands it to a processor."""
HTTP_ROUTE: Final = "http.route"
OTHER_LABEL: Final = "_OTHER"
"""Stands for every label beyond the bounded number that is kept apart: the one name of all overflow series."""
METRIC_OVERFLOW: Final = "otel.metric.overflow"
"""True on points of an overflow series, as SDKs say it of theirs."""

SKETCH_PAYLOAD: Final = "ml.sketch.payload"
SKETCH_ENCODING: Final = "ml.sketch.encoding"
SKETCH_CHECKSUM: Final = "ml.sketch.checksum"
SKETCH_SEQUENCE: Final = "ml.sketch.sequence"
SKETCH_ROWS: Final = "ml.sketch.rows"

ALERT_NAME: Final = "ml.alert.name"
"""What is watched: "drift", "gradual_drift", "slow_drift", "canary_drift", "missing", …, "common_change"."""
ALERT_STATE: Final = "ml.alert.state"
ALERT_REASON: Final = "ml.alert.reason"
"""One sentence: score, threshold, q-value, rows, windows."""
DRIFT_METHOD: Final = "ml.drift.method"
DRIFT_METHOD_REASON: Final = "ml.drift.method.reason"
"""Why that method was chosen: "psi: counts in 64 cells, 12,400 values"."""
DRIFT_SCORE: Final = "ml.drift.score"
DRIFT_THRESHOLD: Final = "ml.drift.threshold"
DRIFT_P_VALUE: Final = "ml.drift.p_value"
DRIFT_Q_VALUE: Final = "ml.drift.q_value"
DRIFT_REFERENCE: Final = "ml.drift.reference"
"""What a window was compared with: "baseline", "trailing", "last_day", "last_week", "same_hour" or "stable"."""
DRIFT_REFERENCE_DESCRIPTION: Final = "ml.drift.reference.description"
"""Which one that is, for people: a baseline's id, a span of time, a version."""
DRIFT_MOVED: Final = "ml.drift.moved"
"""Ranges or categories that carry most of the drift, each with its share then and now."""
DRIFT_ATTRIBUTION: Final = "ml.drift.attribution"
"""Of a prediction: features that can account for its drift, each with its share, and the share of none."""
DRIFT_RANK: Final = "ml.drift.rank"
"""Where a feature stands among those that drifted, by how far it moved times its importance: "1 of 12"."""
DRIFT_SERIES: Final = "ml.drift.series"
"""What a streaming detector watches, window by window: "prediction_mean", "missing_ratio" or "drift_score"."""
DRIFT_VALUE: Final = "ml.drift.value"
"""The series' value in the window in which the change showed."""
ALERT_CAUSE: Final = "ml.alert.cause"
"""The alert that tells of the change this one is a part of: "common_change", "drift" or "gradual_drift"."""
ALERT_FEATURES: Final = "ml.alert.features"
"""Features that began to drift together, or by which a classifier tells the rows apart."""
WINDOW_START: Final = "ml.window.start"
WINDOW_END: Final = "ml.window.end"
WINDOW_ROWS: Final = "ml.window.rows"
WINDOW_REVISION: Final = "ml.window.revision"
"""How many times the window was evaluated before, without what came late; absent the first time."""
EXEMPLAR_REASON: Final = "ml.exemplar.reason"
"""Why a request is worth a look: "largest", "smallest", "missing", "unseen", …"""
EXEMPLAR_TRACE_IDS: Final = "ml.exemplar.trace.ids"
"""Traces of requests that show what an alert is about."""
EXEMPLAR_PREDICTION_IDS: Final = "ml.exemplar.prediction.ids"
LABEL_VALUE: Final = "ml.label.value"
"""What turned out to be true: a class, a number or a truth value."""
SEGMENT_DIMENSION: Final = "ml.segment.dimension"
"""By what rows are told apart: "country"."""
SEGMENT_VALUE: Final = "ml.segment.value"
PACKAGES_DIGEST: Final = "ml.runtime.packages.digest"
"""Hash over name and version of every installed package: it changes with any dependency."""
DROP_REASON: Final = "ml.drop.reason"
PROCESSOR_SIGNAL: Final = "ml.processor.signal"
"""What the processor counts: "traces", "metrics" or "logs"."""
PROCESSOR_EXPORTER: Final = "ml.processor.exporter"
PROCESSOR_OUTCOME: Final = "ml.processor.outcome"
PROCESSOR_TASK: Final = "ml.processor.task"

# --- events ----------------------------------------------------------------------------------------------------------

EVENT_SKETCH_SNAPSHOT: Final = "ml.sketch.snapshot"
EVENT_INFERENCE_RESULT: Final = "ml.inference.result"
EVENT_LABEL: Final = "ml.label"
EVENT_DRIFT_DETECTED: Final = "ml.drift.detected"
EVENT_BASELINE: Final = "ml.baseline"
EVENT_CONCEPT_ALARM: Final = "ml.concept.alarm"
EVENT_ALERT: Final = "ml.alert"

# --- metrics ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's identity: name, UCUM unit, description and instrument."""

    name: str
    unit: str
    description: str
    instrument: Literal["counter", "updowncounter", "gauge", "histogram", "exponential_histogram"]


INFERENCE_DURATION: Final = Metric("ml.inference.duration", "s", "Duration of one call of the model.", "histogram")
INFERENCE_BATCH_SIZE: Final = Metric("ml.inference.batch.size", "{row}", "Rows in one call of the model.", "histogram")
INFERENCE_ACTIVE: Final = Metric(
    "ml.inference.active", "{request}", "Calls of the model that are running.", "updowncounter"
)
PREDICTIONS: Final = Metric(
    "ml.predictions", "{prediction}", "Predictions made, by a bounded number of labels.", "counter"
)
FEATURE_VALUE: Final = Metric(
    "ml.feature.value", "1", "Values of a numeric feature at inference.", "exponential_histogram"
)
PREDICTION_VALUE: Final = Metric("ml.prediction.value", "1", "Values of a numeric prediction.", "exponential_histogram")
PREDICTION_SCORE: Final = Metric(
    "ml.prediction.score", "1", "Probability or decision value beside a prediction.", "exponential_histogram"
)
INFERENCE_EVENTS_DROPPED: Final = Metric(
    "ml.inference.events.dropped",
    "{event}",
    "Rows that were summarised but got no event of their own, because there were too many in a second.",
    "counter",
)
LABELS_DROPPED: Final = Metric("ml.labels.dropped", "{label}", "Labels let go because too many waited.", "counter")
INFERENCE_DROPPED: Final = Metric(
    "ml.inference.dropped", "{row}", "Rows let go unseen, by reason, so that serving never waits.", "counter"
)

FEATURE_MISSING_RATIO: Final = Metric(
    "ml.feature.missing.ratio", "1", "Share of rows in which the feature was missing.", "gauge"
)
FEATURE_OUT_OF_RANGE_RATIO: Final = Metric(
    "ml.feature.out_of_range.ratio", "1", "Share of values outside the baseline's range.", "gauge"
)
FEATURE_UNSEEN_CATEGORY_RATIO: Final = Metric(
    "ml.feature.unseen_category.ratio", "1", "Share of values whose category the baseline does not have.", "gauge"
)
FEATURE_TYPE_MISMATCH_RATIO: Final = Metric(
    "ml.feature.type_mismatch.ratio", "1", "Share of rows in which the feature was of another kind.", "gauge"
)
FEATURE_INFINITE_RATIO: Final = Metric(
    "ml.feature.infinite.ratio", "1", "Share of rows in which the feature was infinite.", "gauge"
)
LABEL_SHARE: Final = Metric(
    "ml.label.share", "1", "Share of the rows that are likely to have the label, as the predictions tell.", "gauge"
)
LABEL_SHARE_LOWER: Final = Metric("ml.label.share.lower", "1", "Lower 95 % bound of ml.label.share.", "gauge")
LABEL_SHARE_UPPER: Final = Metric("ml.label.share.upper", "1", "Upper 95 % bound of ml.label.share.", "gauge")
LABEL_SHIFT: Final = Metric(
    "ml.label.drift.total_variation",
    "{score}",
    "How far the likely labels are from the baseline's: total variation, less chance.",
    "gauge",
)
MODEL_DRIFT_SHARE: Final = Metric(
    "ml.model.drift.share", "1", "Share of the model's features that drifted in the window.", "gauge"
)
MODEL_DRIFT_CLASSIFIER: Final = Metric(
    "ml.model.drift.classifier",
    "1",
    "How well a classifier tells the window's rows from the training data's: AUC on rows unseen, 0.5 is chance.",
    "gauge",
)
FEATURE_DRIFT_IMPORTANCE: Final = Metric(
    "ml.feature.drift.importance",
    "1",
    "Share of the feature in what that classifier tells the rows apart by; absent where chance explains its AUC.",
    "gauge",
)
MODEL_ROWS: Final = Metric("ml.model.window.rows", "{row}", "Rows merged into the window.", "gauge")
MODEL_PRODUCERS: Final = Metric(
    "ml.model.window.producers",
    "{process}",
    "Processes that served the model in the window, by the digest of their packages.",
    "gauge",
)
CONCEPT_ALARMS: Final = Metric(
    "ml.concept.alarms", "{alarm}", "Changes that a streaming detector found in a series of windows.", "counter"
)
ALERT_STATE_METRIC: Final = Metric("ml.alert.state", "1", "0 quiet, 1 pending, 2 firing.", "gauge")


def feature_drift(method: str) -> Metric:
    """The gauge that carries one statistic of feature drift; one metric a statistic, for they do not share a scale."""
    return Metric(
        f"ml.feature.drift.{method}", "{score}", f"Drift of a feature against its baseline: {method}.", "gauge"
    )


def prediction_drift(method: str) -> Metric:
    """The gauge that carries one statistic of prediction drift."""
    return Metric(
        f"ml.prediction.drift.{method}", "{score}", f"Drift of a prediction against its baseline: {method}.", "gauge"
    )


def model_drift(method: str) -> Metric:
    """The gauge that carries one statistic of the drift of how numeric features go together."""
    return Metric(
        f"ml.model.drift.{method}",
        "{score}",
        f"Drift of how a model's numeric features vary together, against its baseline: {method}.",
        "gauge",
    )


# Of the processor itself.
PROCESSOR_RECEIVED: Final = Metric(
    "ml.processor.received", "{item}", "Spans, data points and log records received, by signal.", "counter"
)
PROCESSOR_FORWARDED: Final = Metric(
    "ml.processor.forwarded", "{item}", "Items passed through to a backend, by signal and exporter.", "counter"
)
PROCESSOR_DROPPED: Final = Metric("ml.processor.dropped", "{item}", "Items dropped, by signal and reason.", "counter")
PROCESSOR_SNAPSHOTS: Final = Metric(
    "ml.processor.snapshots", "{snapshot}", "Snapshots received, by outcome.", "counter"
)
PROCESSOR_HISTOGRAMS: Final = Metric(
    "ml.processor.histograms", "{point}", "Data points of plain histograms received, by outcome.", "counter"
)
PROCESSOR_SNAPSHOTS_MISSING: Final = Metric(
    "ml.processor.snapshots.missing", "{snapshot}", "Gaps in producers' sequences: lost on the way here.", "counter"
)
PROCESSOR_ROWS: Final = Metric("ml.processor.rows", "{row}", "Rows merged, by model.", "counter")
PROCESSOR_CONSUMED: Final = Metric(
    "ml.processor.consumed", "{item}", "Items taken out of the stream because they were snapshots.", "counter"
)
PROCESSOR_PENDING: Final = Metric(
    "ml.processor.pending", "{item}", "Received items that wait for a backend, by signal and exporter.", "gauge"
)
PROCESSOR_QUEUE_SIZE: Final = Metric("ml.processor.queue.size", "By", "Bytes that wait for a backend.", "gauge")
PROCESSOR_LOG_SIZE: Final = Metric(
    "ml.processor.log.size", "By", "Bytes of acknowledged requests that somebody still needs.", "gauge"
)
PROCESSOR_LOG_LIMIT: Final = Metric(
    "ml.processor.log.limit", "By", "Bytes of requests beyond which clients are asked to come back.", "gauge"
)
PROCESSOR_REFUSED: Final = Metric(
    "ml.processor.refused", "{request}", "Requests not taken over, by signal and reason.", "counter"
)
PROCESSOR_RETRIES: Final = Metric(
    "ml.processor.retries", "{request}", "Attempts that a backend did not take but may take later.", "counter"
)
PROCESSOR_RECOVERED: Final = Metric(
    "ml.processor.recovered",
    "{item}",
    "Items accepted before a restart that a backend does not have for certain, by signal and exporter.",
    "counter",
)
PROCESSOR_BLOCKED: Final = Metric(
    "ml.processor.blocked", "1", "1 while a backend does not accept our credentials, by exporter; else 0.", "gauge"
)
PROCESSOR_DEAD_LETTERS: Final = Metric(
    "ml.processor.dead_letters",
    "{request}",
    "Requests that no backend took, by outcome: kept, evicted, failed.",
    "counter",
)
PROCESSOR_DEAD_LETTERS_HELD: Final = Metric(
    "ml.processor.dead_letters.held", "{request}", "Requests that wait for somebody to look at them.", "gauge"
)
PROCESSOR_RESULTS: Final = Metric(
    "ml.processor.results", "{item}", "Points and events of our own, by signal, exporter and outcome.", "counter"
)
PROCESSOR_WINDOWS: Final = Metric("ml.processor.windows", "{window}", "Windows closed, by outcome.", "counter")
PROCESSOR_FEATURES_DROPPED: Final = Metric(
    "ml.processor.features.dropped", "{feature}", "Columns of snapshots that were not merged, by reason.", "counter"
)
PROCESSOR_OVERFLOW: Final = Metric(
    "ml.processor.overflow", "{snapshot}", "Snapshots merged into an overflow series, by reason.", "counter"
)
PROCESSOR_ROWS_LATE: Final = Metric(
    "ml.processor.rows.late", "{row}", "Rows whose window was closed for good, by model.", "counter"
)
PROCESSOR_PRODUCERS_FORGOTTEN: Final = Metric(
    "ml.processor.producers.forgotten", "{producer}", "Processes forgotten because there were too many.", "counter"
)
PROCESSOR_HISTORY_DROPPED: Final = Metric(
    "ml.processor.history.dropped",
    "{window}",
    "Past windows that are no reference any more before their time, by reason.",
    "counter",
)
PROCESSOR_CONSOLE_REFUSED: Final = Metric(
    "ml.processor.console.refused",
    "{request}",
    "Requests to the console with a token that is wrong, or was not looked at after too many of these, by reason.",
    "counter",
)
PROCESSOR_ERRORS: Final = Metric(
    "ml.processor.errors", "{error}", "Failures of our own that were caught, by task.", "counter"
)


def of_prediction(metric: Metric) -> Metric:
    """The same ratio of a prediction or score instead of a feature."""
    return Metric(
        metric.name.replace("ml.feature.", "ml.prediction."),
        metric.unit,
        metric.description.replace("the feature", "the prediction"),
        metric.instrument,
    )

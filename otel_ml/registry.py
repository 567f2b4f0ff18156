"""The names of semconv.py as a registry: which signal carries which attribute, of what type, for whom to read.

Rendered as the YAML that OpenTelemetry's weaver reads (`otel-ml registry`; the committed copy is docs/registry/).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from otel_ml import semconv
from otel_ml.drift.multivariate import BUILTIN_MULTIVARIATE
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.drift.text import METHODS as TEXT_METHODS

Type = Literal["string", "int", "double", "boolean", "string[]", "any", "map", "bytes"]
Level = Literal["required", "recommended", "conditionally_required", "opt_in"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: what it means, whatever carries it."""

    name: str
    type: Type
    brief: str
    examples: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Use:
    """An attribute on a signal."""

    attribute: str
    level: Level = "required"
    when: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """A span, an event or a metric, with what it carries."""

    id: str
    kind: Literal["span", "event", "metric"]
    brief: str
    uses: tuple[Use, ...]
    metric: semconv.Metric | None = None


def _when(attribute: str, when: str) -> Use:
    return Use(attribute, "conditionally_required", when)


def _opt_in(attribute: str) -> Use:
    return Use(attribute, "opt_in")


ATTRIBUTES: Final = (
    Attribute(semconv.MODEL_NAME, "string", "Name of the model.", ("fraud", "LogisticRegression")),
    Attribute(semconv.MODEL_VERSION, "string", "Version of the model.", ("3", "2026-11-21")),
    Attribute(semconv.MODEL_ID, "string", "Id of the logged model, as MLflow gives it.", ("m-9f1c",)),
    Attribute(semconv.MODEL_RUN_ID, "string", "Id of the run that trained the model.", ("5b8efff798038103",)),
    Attribute(semconv.SYSTEM_NAME, "string", "The library that ran the model.", ("scikit_learn", "xgboost", "onnx")),
    Attribute(semconv.OPERATION_NAME, "string", "The method called on the model.", ("predict", "predict_proba")),
    Attribute(semconv.BATCH_SIZE, "int", "Rows in one call of the model.", (1, 256)),
    Attribute(semconv.ERROR_TYPE, "string", "Class of the exception that ended the call.", ("ValueError",)),
    Attribute(semconv.FEATURE_NAME, "string", "Column of the model's input.", ("amount", "country")),
    Attribute(
        semconv.PREDICTION_NAME, "string", "Which output of the model, where there are several.", ("risk", "setosa")
    ),
    Attribute(semconv.PREDICTION_LABEL, "string", "A predicted class, or _OTHER beyond a bound.", ("fraud", "_OTHER")),
    Attribute(
        semconv.PREDICTION_ID,
        "string",
        "Id of a prediction, as the response's header gives it; row i of a batch is <id>:i.",
        ("0197a1f4-7a30-7cc1-8f2e-2f6f5c3d9b11", "order-17:3"),
    ),
    Attribute(semconv.ENTITY_ID, "string", "Whom a row is about.", ("customer-4711",)),
    Attribute(semconv.ROW_INDEX, "int", "Position of a row in its call.", (0, 17)),
    Attribute(semconv.INFERENCE_FEATURES, "map", "Column to value.", ("{amount: 12.5, country: NO}",)),
    Attribute(semconv.INFERENCE_PREDICTION, "any", "What the model gave for a row.", ("fraud", 0.5)),
    Attribute(semconv.INFERENCE_SCORE, "any", "Probability or decision value beside it.", (0.93,)),
    Attribute(semconv.EXEMPLAR_REASON, "string", "Why an exemplar is worth a look.", ("largest", "slowest")),
    Attribute(
        semconv.EXEMPLAR_TRACE_IDS,
        "string[]",
        "Traces of requests that show it.",
        (["5b8efff798038103d269b633813fc60c"],),
    ),
    Attribute(semconv.EXEMPLAR_PREDICTION_IDS, "string[]", "Ids of predictions that show it.", (["order-17:3"],)),
    Attribute(semconv.LABEL_VALUE, "any", "What turned out to be true.", ("fraud", True, 17.5)),
    Attribute(semconv.SEGMENT_DIMENSION, "string", "By what rows are told apart.", ("country",)),
    Attribute(semconv.SEGMENT_VALUE, "string", "Which of its values, or _OTHER beyond a bound.", ("NO", "_OTHER")),
    Attribute(
        semconv.PACKAGES_DIGEST, "string", "Hash over the versions of all installed packages.", ("11b7db01aaaf44aa",)
    ),
    Attribute(semconv.BASELINE_ID, "string", "Hash of the baseline's content.", ("9f2c51d0",)),
    Attribute(semconv.BASELINE_PAYLOAD, "bytes", "A baseline file, see docs/baseline-format.md.", ("\\x89OTML",)),
    Attribute(semconv.SKETCH_PAYLOAD, "bytes", "An encoded snapshot, see otel_ml/proto.", ("otel_ml.v1.Snapshot",)),
    Attribute(semconv.SKETCH_ENCODING, "string", "Message type of the payload.", ("otel_ml.v1.Snapshot",)),
    Attribute(semconv.SKETCH_CHECKSUM, "int", "CRC-32 of the payload.", (3735928559,)),
    Attribute(semconv.SKETCH_SEQUENCE, "int", "Number of the snapshot within its producer.", (1, 2)),
    Attribute(semconv.SKETCH_ROWS, "int", "Rows the snapshot is about.", (6000,)),
    Attribute(semconv.ALERT_NAME, "string", "What is watched.", ("drift", "missing", "common_change")),
    Attribute(semconv.ALERT_STATE, "string", "Where an alert is.", ("pending", "firing", "resolved")),
    Attribute(semconv.ALERT_REASON, "string", "Why, in one sentence with its numbers.", ("PSI 0.41 > 0.2, q = 1e-9",)),
    Attribute(semconv.DRIFT_METHOD, "string", "The statistic.", ("psi", "ks")),
    Attribute(
        semconv.DRIFT_METHOD_REASON,
        "string",
        "Why it was chosen, in one sentence.",
        ("psi: counts in 64 cells, 12,400 values",),
    ),
    Attribute(semconv.DRIFT_SCORE, "double", "Its value.", (0.41,)),
    Attribute(semconv.DRIFT_THRESHOLD, "double", "Above what the column counts as drifted.", (0.2,)),
    Attribute(semconv.DRIFT_REFERENCE, "string", "What was compared with.", ("baseline", "last_day", "stable")),
    Attribute(semconv.DRIFT_REFERENCE_DESCRIPTION, "string", "Which one that is.", ("f54c2b9b, 10000 rows",)),
    Attribute(
        semconv.DRIFT_MOVED,
        "string[]",
        "Ranges or categories that carry most of the drift, each with its share then and now.",
        (["> 75: 2.0% → 31.4%"],),
    ),
    Attribute(
        semconv.DRIFT_ATTRIBUTION,
        "string[]",
        "Features that can account for a prediction's drift, each with its share, and the share of none.",
        (["income 0.62", "(unexplained) 0.38"],),
    ),
    Attribute(
        semconv.DRIFT_RANK, "string", "Place among the features that drifted, most important first.", ("1 of 12",)
    ),
    Attribute(semconv.DRIFT_SERIES, "string", "What is watched window by window.", ("prediction_mean", "drift_score")),
    Attribute(semconv.DRIFT_VALUE, "double", "The series' value where the change showed.", (0.41,)),
    Attribute(semconv.ALERT_CAUSE, "string", "The alert that tells of it already.", ("common_change",)),
    Attribute(semconv.ALERT_FEATURES, "string[]", "Features that began to drift together.", (["age", "income"],)),
    Attribute(semconv.DRIFT_P_VALUE, "double", "Chance of such a score without drift.", (1e-9,)),
    Attribute(semconv.DRIFT_Q_VALUE, "double", "The same after Benjamini-Hochberg over all columns.", (2e-8,)),
    Attribute(semconv.WINDOW_START, "int", "Start of the window, ns since the epoch.", (1_767_312_000_000_000_000,)),
    Attribute(semconv.WINDOW_END, "int", "End of the window, exclusive.", (1_767_312_300_000_000_000,)),
    Attribute(semconv.WINDOW_ROWS, "int", "Rows in the window.", (18_000,)),
    Attribute(semconv.WINDOW_REVISION, "int", "How many times it was evaluated before, with fewer rows.", (1,)),
    Attribute(semconv.METRIC_OVERFLOW, "boolean", "Whether it is of all that lies beyond a limit.", (True,)),
    Attribute(semconv.DROP_REASON, "string", "Why something was let go.", ("queue_full", "max_features")),
    Attribute(semconv.HTTP_ROUTE, "string", "Template of the request's path.", ("/predict",)),
    Attribute(semconv.PROCESSOR_SIGNAL, "string", "What the processor counts.", ("traces", "metrics", "logs")),
    Attribute(semconv.PROCESSOR_EXPORTER, "string", "Where it sends.", ("otlp_grpc",)),
    Attribute(semconv.PROCESSOR_OUTCOME, "string", "What became of it.", ("merged", "duplicate")),
    Attribute(semconv.PROCESSOR_TASK, "string", "Which task of the processor.", ("evaluation",)),
)

_MODEL: Final = (Use(semconv.MODEL_NAME), _when(semconv.MODEL_VERSION, "the version is known"))
_CALL: Final = (
    *_MODEL,
    Use(semconv.OPERATION_NAME),
    _when(semconv.SYSTEM_NAME, "the library is known"),
    _when(semconv.ERROR_TYPE, "the call ended with an exception"),
)
_SEGMENT: Final = (
    _when(semconv.SEGMENT_DIMENSION, "it is about a segment"),
    _when(semconv.SEGMENT_VALUE, "it is about a segment"),
    _when(semconv.METRIC_OVERFLOW, "it is about all that lies beyond a limit"),
)
_FEATURE: Final = (*_MODEL, Use(semconv.FEATURE_NAME))
_REFERENCE: Final = Use(semconv.DRIFT_REFERENCE)
_OUTPUT: Final = (*_MODEL, _when(semconv.PREDICTION_NAME, "the model has several outputs"))
_COLUMN: Final = (
    *_MODEL,
    _when(semconv.FEATURE_NAME, "the column is an input"),
    _when(semconv.PREDICTION_NAME, "the column is an output"),
)
_ALERT: Final = (
    *_COLUMN,
    Use(semconv.ALERT_NAME),
    Use(semconv.ALERT_STATE),
    Use(semconv.ALERT_REASON),
    *(Use(name) for name in (semconv.WINDOW_START, semconv.WINDOW_END, semconv.WINDOW_ROWS)),
    _when(semconv.WINDOW_REVISION, "the window was evaluated again because rows came late"),
    *(
        _when(name, "it is about one column")
        for name in (semconv.DRIFT_METHOD, semconv.DRIFT_SCORE, semconv.DRIFT_THRESHOLD)
    ),
    _when(semconv.DRIFT_METHOD_REASON, "it was chosen automatically"),
    _when(semconv.DRIFT_P_VALUE, "the statistic has one"),
    _when(semconv.DRIFT_Q_VALUE, "the statistic has a p-value"),
    _when(semconv.BASELINE_ID, "the window was compared with a baseline"),
    *_SEGMENT,
    _when(semconv.DRIFT_REFERENCE, "it is about drift"),
    _when(semconv.DRIFT_REFERENCE_DESCRIPTION, "it is about drift"),
    _when(semconv.DRIFT_MOVED, "ranges or categories that moved can be told"),
    _when(semconv.DRIFT_ATTRIBUTION, "it is about a prediction"),
    _when(semconv.DRIFT_RANK, "it is about a feature that drifted"),
    _when(semconv.ALERT_CAUSE, "it is part of a change that was told already"),
    _when(semconv.ALERT_FEATURES, "it is about features that changed together"),
    _when(semconv.EXEMPLAR_TRACE_IDS, "requests that show it were traced"),
    _when(semconv.EXEMPLAR_PREDICTION_IDS, "requests that show it had ids"),
)
_SERIES: Final = (*_COLUMN, Use(semconv.DRIFT_SERIES), Use(semconv.DRIFT_METHOD))
_SIGNAL: Final = (Use(semconv.PROCESSOR_SIGNAL),)
_SENT: Final = (*_SIGNAL, Use(semconv.PROCESSOR_EXPORTER))

_METRIC_USES: Final[dict[semconv.Metric, tuple[Use, ...]]] = {
    semconv.INFERENCE_DURATION: _CALL,
    semconv.INFERENCE_BATCH_SIZE: _CALL,
    semconv.INFERENCE_ACTIVE: _MODEL,
    semconv.PREDICTIONS: (*_OUTPUT, _when(semconv.PREDICTION_LABEL, "predictions are classes or truth values")),
    semconv.FEATURE_VALUE: _FEATURE,
    semconv.PREDICTION_VALUE: _OUTPUT,
    semconv.PREDICTION_SCORE: _OUTPUT,
    semconv.INFERENCE_DROPPED: (*_MODEL, Use(semconv.DROP_REASON)),
    semconv.INFERENCE_EVENTS_DROPPED: (),
    semconv.LABELS_DROPPED: (),
    semconv.FEATURE_MISSING_RATIO: (*_FEATURE, *_SEGMENT),
    semconv.FEATURE_OUT_OF_RANGE_RATIO: (*_FEATURE, *_SEGMENT),
    semconv.FEATURE_UNSEEN_CATEGORY_RATIO: (*_FEATURE, *_SEGMENT),
    semconv.FEATURE_TYPE_MISMATCH_RATIO: (*_FEATURE, *_SEGMENT),
    semconv.FEATURE_INFINITE_RATIO: (*_FEATURE, *_SEGMENT),
    semconv.MODEL_DRIFT_SHARE: (*_MODEL, *_SEGMENT),
    semconv.MODEL_DRIFT_CLASSIFIER: _MODEL,
    semconv.FEATURE_DRIFT_IMPORTANCE: _FEATURE,
    semconv.MODEL_ROWS: (*_MODEL, *_SEGMENT),
    semconv.MODEL_PRODUCERS: (*_MODEL, *_SEGMENT, Use(semconv.PACKAGES_DIGEST)),
    semconv.ALERT_STATE_METRIC: (*_COLUMN, *_SEGMENT, Use(semconv.ALERT_NAME)),
    semconv.PROCESSOR_RECEIVED: _SIGNAL,
    semconv.PROCESSOR_FORWARDED: _SENT,
    semconv.PROCESSOR_DROPPED: (*_SIGNAL, Use(semconv.DROP_REASON)),
    semconv.PROCESSOR_SNAPSHOTS: (Use(semconv.PROCESSOR_OUTCOME),),
    semconv.PROCESSOR_SNAPSHOTS_MISSING: (),
    semconv.PROCESSOR_ROWS: _MODEL,
    semconv.PROCESSOR_CONSUMED: _SIGNAL,
    semconv.PROCESSOR_PENDING: _SENT,
    semconv.PROCESSOR_QUEUE_SIZE: (Use(semconv.PROCESSOR_EXPORTER),),
    semconv.PROCESSOR_LOG_SIZE: (),
    semconv.PROCESSOR_LOG_LIMIT: (),
    semconv.PROCESSOR_REFUSED: (*_SIGNAL, Use(semconv.DROP_REASON)),
    semconv.PROCESSOR_RETRIES: _SENT,
    semconv.PROCESSOR_RECOVERED: _SENT,
    semconv.PROCESSOR_BLOCKED: (Use(semconv.PROCESSOR_EXPORTER),),
    semconv.PROCESSOR_DEAD_LETTERS: (Use(semconv.PROCESSOR_OUTCOME),),
    semconv.PROCESSOR_DEAD_LETTERS_HELD: (),
    semconv.PROCESSOR_RESULTS: (*_SENT, Use(semconv.PROCESSOR_OUTCOME)),
    semconv.PROCESSOR_WINDOWS: (Use(semconv.PROCESSOR_OUTCOME),),
    semconv.PROCESSOR_FEATURES_DROPPED: (Use(semconv.DROP_REASON),),
    semconv.PROCESSOR_OVERFLOW: (Use(semconv.DROP_REASON),),
    semconv.PROCESSOR_ROWS_LATE: _MODEL,
    semconv.PROCESSOR_HISTOGRAMS: (Use(semconv.PROCESSOR_OUTCOME),),
    semconv.PROCESSOR_HISTORY_DROPPED: (Use(semconv.DROP_REASON),),
    semconv.PROCESSOR_PRODUCERS_FORGOTTEN: (),
    semconv.PROCESSOR_CONSOLE_REFUSED: (Use(semconv.DROP_REASON),),
    semconv.PROCESSOR_ERRORS: (Use(semconv.PROCESSOR_TASK),),
    semconv.CONCEPT_ALARMS: _SERIES,
}

SPANS: Final = (
    Signal(
        "ml.inference",
        "span",
        "One call of a model, INTERNAL, named `{ml.operation.name} {ml.model.name}`; in a batch of several requests it"
        " has no parent and links to the span of each.",
        (
            *_CALL,
            Use(semconv.BATCH_SIZE, "recommended"),
            _when(semconv.PREDICTION_ID, "the call belongs to one request"),
            _when(semconv.MODEL_ID, "the model registry gives one"),
            _when(semconv.MODEL_RUN_ID, "the model registry knows it"),
        ),
    ),
)

EVENTS: Final = (
    Signal(
        semconv.EVENT_SKETCH_SNAPSHOT,
        "event",
        "Mergeable summaries of one model, or of one segment of its rows, over one export interval.",
        (
            *_MODEL,
            *(
                Use(name)
                for name in (
                    semconv.SKETCH_PAYLOAD,
                    semconv.SKETCH_ENCODING,
                    semconv.SKETCH_CHECKSUM,
                    semconv.SKETCH_SEQUENCE,
                    semconv.SKETCH_ROWS,
                )
            ),
            Use(semconv.PACKAGES_DIGEST, "recommended"),
            _when(semconv.SEGMENT_DIMENSION, "the snapshot is about a segment"),
            _when(semconv.SEGMENT_VALUE, "the snapshot is about a segment"),
        ),
    ),
    Signal(
        semconv.EVENT_BASELINE,
        "event",
        "What a model knew in training, for the processor to compare with; it goes no further.",
        (*_MODEL, Use(semconv.BASELINE_ID), Use(semconv.BASELINE_PAYLOAD)),
    ),
    Signal(
        semconv.EVENT_INFERENCE_RESULT,
        "event",
        "One row with its values; only where capturing events was asked for.",
        (
            *_MODEL,
            Use(semconv.OPERATION_NAME),
            Use(semconv.ROW_INDEX),
            _when(semconv.PREDICTION_ID, "the row has an id"),
            _opt_in(semconv.INFERENCE_FEATURES),
            _opt_in(semconv.INFERENCE_PREDICTION),
            _opt_in(semconv.INFERENCE_SCORE),
            _opt_in(semconv.ENTITY_ID),
        ),
    ),
    Signal(
        semconv.EVENT_LABEL,
        "event",
        "The outcome of a prediction, known later.",
        (
            Use(semconv.PREDICTION_ID),
            Use(semconv.LABEL_VALUE),
            _when(semconv.MODEL_NAME, "it was told"),
            _when(semconv.MODEL_VERSION, "it was told"),
        ),
    ),
    Signal(semconv.EVENT_DRIFT_DETECTED, "event", "A column began to drift.", _ALERT),
    Signal(semconv.EVENT_ALERT, "event", "An alert fired or was resolved.", _ALERT),
    Signal(
        semconv.EVENT_CONCEPT_ALARM,
        "event",
        "A streaming detector found a change in a series of windows.",
        (
            *_SERIES,
            *(
                Use(name)
                for name in (semconv.DRIFT_VALUE, semconv.WINDOW_START, semconv.WINDOW_END, semconv.WINDOW_ROWS)
            ),
        ),
    ),
)

_RATIOS: Final = (
    semconv.FEATURE_MISSING_RATIO,
    semconv.FEATURE_OUT_OF_RANGE_RATIO,
    semconv.FEATURE_UNSEEN_CATEGORY_RATIO,
    semconv.FEATURE_TYPE_MISMATCH_RATIO,
    semconv.FEATURE_INFINITE_RATIO,
)
_OF_COLUMNS: Final[dict[semconv.Metric, tuple[Use, ...]]] = {
    semconv.LABEL_SHIFT: (*_OUTPUT, *_SEGMENT),
    **{
        metric: (*_OUTPUT, Use(semconv.LABEL_VALUE), *_SEGMENT)
        for metric in (semconv.LABEL_SHARE, semconv.LABEL_SHARE_LOWER, semconv.LABEL_SHARE_UPPER)
    },
    **{semconv.of_prediction(metric): (*_OUTPUT, *_SEGMENT) for metric in _RATIOS},
    **{
        semconv.feature_drift(method): (*_FEATURE, _REFERENCE, *_SEGMENT)
        for method in (*BUILTIN_DETECTORS, *BUILTIN_MULTIVARIATE, *sorted(TEXT_METHODS))
    },
    **{
        semconv.prediction_drift(method): (*_OUTPUT, _REFERENCE, *_SEGMENT)
        for method in (*BUILTIN_DETECTORS, *sorted(TEXT_METHODS))
    },
    **{
        semconv.model_drift(method): (*_MODEL, _REFERENCE, *_SEGMENT)
        for method in ("correlation", "covariance", "mahalanobis", "pca_reconstruction")
    },
}

METRICS: Final = tuple(
    Signal(metric.name, "metric", metric.description, uses, metric)
    for metric, uses in (_METRIC_USES | _OF_COLUMNS).items()
)

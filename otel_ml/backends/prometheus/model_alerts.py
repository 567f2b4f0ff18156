"""Alerts about models: those of the processor passed on, by how much they matter, and what only Prometheus sees."""

from __future__ import annotations

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.prometheus.rule import PERCENT, SUBJECT, Alert, Group, Record, RuleOptions, label
from otel_ml.backends.promql import ALERT, EACH_ALERT, EACH_FEATURE, EACH_MODEL, FEATURE, MODEL, PREDICTION, WHOLE

# What tells of one column; the others are about all of them together, or beside another deployment.
_OF_A_COLUMN = "drift|gradual_drift|slow_drift"
_IS_FEATURE = f'{FEATURE}!=""'
_WHY = "The event ml.alert in your logs says in one sentence why."

CALLS = "model:ml_inference_calls:rate5m"
ERRORS = "model:ml_inference_errors:ratio_rate5m"
DURATION = "model:ml_inference_duration_seconds:p95_rate5m"
FIRING = "model:ml_alerts_firing:count"


def recorded(options: RuleOptions) -> Group:
    """What boards and alerts of your own may want to ask for often."""
    return Group(
        "otel-ml-recorded",
        (
            Record(CALLS, promql.calls(options.histograms, by=EACH_MODEL, window="5m")),
            Record(ERRORS, promql.error_share(options.histograms, by=EACH_MODEL, window="5m")),
            Record(DURATION, promql.latency(0.95, options.histograms, by=EACH_MODEL, window="5m")),
            Record(FIRING, promql.firing(by=EACH_MODEL)),
        ),
    )


def drift() -> Group:
    """Alerts of the processor about drift. It asks for persistence and lets go late, so these need no `for`."""
    return Group(
        "otel-ml-drift",
        (
            Alert(
                "MLCommonChange",
                _firing("common_change"),
                "ticket",
                f"{SUBJECT}: many features began to drift at once",
                "Features that begin to drift together usually are one change upstream, or another population. Alerts"
                f" of the single features are held back. {_WHY}",
            ),
            Alert(
                "MLFeatureDrift",
                _firing(_OF_A_COLUMN, _IS_FEATURE),
                "info",
                f"{SUBJECT}: {label(ALERT)} of feature {label(FEATURE)}",
                f"A feature is unlike the training data, and unlike what is usual at this time. {_WHY}",
                is_of_feature=True,
            ),
            Alert(
                "MLPredictionDrift",
                _firing(_OF_A_COLUMN, f'{FEATURE}=""'),
                "ticket",
                f"{SUBJECT}: {label(ALERT)} of {label(PREDICTION)}",
                f"The model's answers are unlike those it gave on the training data. {_WHY}",
            ),
            Alert(
                "MLJointDrift",
                _firing("correlation_drift|gradual_correlation_drift|classifier_drift"),
                "ticket",
                f"{SUBJECT}: {label(ALERT)}",
                f"Features do not go together as they did in training, which none of them needs to show alone. {_WHY}",
            ),
            Alert(
                "MLCanaryDrift",
                _firing("canary_drift|canary_correlation_drift"),
                "ticket",
                f"{SUBJECT} {label(promql.SEGMENT)}: {label(ALERT)} {label(FEATURE)}{label(PREDICTION)}",
                "One version or deployment is unlike the stable one in the same window, so it is no season. Look before"
                f" the rollout goes on. {_WHY}",
            ),
            Alert(
                "MLLabelShift",
                _firing("label_shift"),
                "ticket",
                f"{SUBJECT}: the likely labels have shifted",
                "The predictions point to other shares of labels than the training data had (BBSE).",
            ),
        ),
    )


def quality(options: RuleOptions) -> Group:
    """Alerts of the processor about bad values."""
    missing = f"max by ({EACH_FEATURE}) ({promql.series(semconv.FEATURE_MISSING_RATIO, WHOLE)})"
    is_missing = f"{_state('missing', _IS_FEATURE, WHOLE)} == {promql.FIRING}"
    return Group(
        "otel-ml-quality",
        (
            Alert(
                "MLFeatureLost",
                f"{missing} >= {options.lost_share:g}\nand on ({EACH_FEATURE})\n{is_missing}",
                "page",
                f"{SUBJECT}: {label(FEATURE)} is missing in {PERCENT} of rows",
                "A feature that the training data had is gone from most rows: the model answers without it.",
                is_of_feature=True,
            ),
            Alert(
                "MLTypeMismatch",
                _firing("type_mismatch"),
                "page",
                f"{SUBJECT}: {label(FEATURE)}{label(PREDICTION)} is of another kind",
                "Values of another kind than in training, such as text where a number was: the schema has changed.",
                is_of_feature=True,
            ),
            Alert(
                "MLMissingValues",
                _firing("missing"),
                "ticket",
                f"{SUBJECT}: {label(FEATURE)}{label(PREDICTION)} is missing more often",
                "More rows than in training lack this column.",
                is_of_feature=True,
            ),
            Alert(
                "MLBadValues",
                _firing("out_of_range|unseen_category|infinite"),
                "ticket",
                f"{SUBJECT}: {label(ALERT)} in {label(FEATURE)}{label(PREDICTION)}",
                "Values that the training data did not have: beyond its range, of a new category, or infinite.",
                is_of_feature=True,
            ),
        ),
    )


def telemetry(options: RuleOptions) -> Group:
    """What only Prometheus can see: that something does not arrive, and how the calls go."""
    after = options.silent_after
    known = f"max by ({MODEL}) (last_over_time({promql.series(semconv.MODEL_ROWS, WHOLE)}[6h]))"
    rows = f"increase({promql.series(semconv.PROCESSOR_ROWS)}[{after}])"
    return Group(
        "otel-ml-telemetry",
        (
            Alert(
                "MLTelemetryAbsent",
                f"absent_over_time({promql.series(semconv.PROCESSOR_RECEIVED)}[15m])",
                "page",
                "No otel-ml processor has been heard of for 15 minutes",
                "Neither results nor the processors' own metrics arrive: no model is watched. Alerts that fired before"
                " resolve without anything having been repaired.",
                "5m",
                is_of_model=False,
            ),
            Alert(
                "MLModelSilent",
                f"{known}\nunless\n(sum by ({MODEL}) ({rows}) > 0)",
                "ticket",
                f"{label(MODEL)}: no rows for {after}",
                "The model had rows within the last six hours, and has none now: nobody asks it, its server is down, or"
                " its telemetry is lost on the way.",
                "5m",
            ),
            Alert(
                "MLModelUnwatched",
                f"{CALLS} > 0\nunless\n(sum by ({EACH_MODEL}) ({rows}) > 0)",
                "ticket",
                f"{SUBJECT}: called, and not watched",
                "The model answers calls, but no processor merges its rows: snapshots are lost on the way, or refused.",
                "15m",
            ),
            Alert(
                "MLInferenceErrors",
                f"{ERRORS} > {options.error_share:g}",
                "ticket",
                f"{SUBJECT}: {PERCENT} of calls fail",
                "Calls of the model raise. What a web server answers with is another question.",
                "10m",
            ),
            Alert(
                "MLRowsLetGo",
                promql.rises(semconv.INFERENCE_DROPPED, by=f"{EACH_MODEL}, {promql.REASON}", window="15m"),
                "ticket",
                f"{SUBJECT}: {{{{ $value | humanize }}}} rows went unseen ({label(promql.REASON)})",
                "A server let rows go so that serving did not wait for telemetry. What it sends is of the other rows"
                " only.",
            ),
        ),
    )


def _names(names: str) -> str:
    return f'{ALERT}=~"{names}"' if "|" in names else f'{ALERT}="{names}"'


def _state(names: str, *matchers: str) -> str:
    return f"max by ({EACH_ALERT}) ({promql.series(semconv.ALERT_STATE_METRIC, _names(names), *matchers)})"


def _firing(names: str, *matchers: str) -> str:
    return f"{_state(names, *matchers)} == {promql.FIRING}"

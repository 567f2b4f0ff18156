"""PromQL over our names.

Results are aggregated by the labels that are ours: `job` and `instance` change with every restart of a processor, and
what it said before it was restarted lives on for five minutes.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from otel_ml import semconv
from otel_ml.prometheus_names import label_name, metric_name
from otel_ml.semconv import Metric

Histograms: TypeAlias = Literal["classic", "native"]
"""How durations are stored: as `_bucket` series with `le`, or as one native histogram."""

MODEL: Final = label_name(semconv.MODEL_NAME)
VERSION: Final = label_name(semconv.MODEL_VERSION)
FEATURE: Final = label_name(semconv.FEATURE_NAME)
PREDICTION: Final = label_name(semconv.PREDICTION_NAME)
ALERT: Final = label_name(semconv.ALERT_NAME)
REFERENCE: Final = label_name(semconv.DRIFT_REFERENCE)
DIMENSION: Final = label_name(semconv.SEGMENT_DIMENSION)
SEGMENT: Final = label_name(semconv.SEGMENT_VALUE)
OPERATION: Final = label_name(semconv.OPERATION_NAME)
ERROR: Final = label_name(semconv.ERROR_TYPE)
OUTCOME: Final = label_name(semconv.PROCESSOR_OUTCOME)
EXPORTER: Final = label_name(semconv.PROCESSOR_EXPORTER)
SIGNAL: Final = label_name(semconv.PROCESSOR_SIGNAL)
REASON: Final = label_name(semconv.DROP_REASON)
TASK: Final = label_name(semconv.PROCESSOR_TASK)
DIGEST: Final = label_name(semconv.PACKAGES_DIGEST)
TRUE_LABEL: Final = label_name(semconv.LABEL_VALUE)
PREDICTED_LABEL: Final = label_name(semconv.PREDICTION_LABEL)

WHOLE: Final = f'{DIMENSION}=""'
"""Matches what is about all rows of a model, not about a segment of them."""
EACH_MODEL: Final = f"{MODEL}, {VERSION}"
EACH_FEATURE: Final = f"{EACH_MODEL}, {FEATURE}"
EACH_PREDICTION: Final = f"{EACH_MODEL}, {PREDICTION}"
EACH_ALERT: Final = f"{EACH_MODEL}, {ALERT}, {FEATURE}, {PREDICTION}, {DIMENSION}, {SEGMENT}"

FIRING: Final = "2"
_DRIFT: Final = metric_name(semconv.feature_drift(""))
RATE_INTERVAL: Final = "$__rate_interval"


def series(metric: Metric, *matchers: str, suffix: str = "") -> str:
    """A selector: `ml_model_window_rows{ml_model_name="fraud"}`.

    Args:
        metric: What to select.
        matchers: Those of labels; empty ones are left out.
        suffix: `_bucket`, `_count` or `_sum` of a histogram.
    """
    given = ", ".join(filter(None, matchers))
    return metric_name(metric) + suffix + (f"{{{given}}}" if given else "")


def feature_drift(statistic: str, *matchers: str) -> str:
    """The drift of features by one statistic, which may be a variable of a board."""
    return f"{_DRIFT}{statistic}{{{', '.join(matchers)}}}"


def drift_by_any_statistic(*matchers: str) -> str:
    """The drift of features by all statistics; its name says which."""
    given = ", ".join((f'__name__=~"{_DRIFT}.+"', *matchers))
    return f"{{{given}}}"


def rate(metric: Metric, *matchers: str, by: str = "", window: str = RATE_INTERVAL) -> str:
    """By how much a counter grows a second."""
    return f"sum{_by(by)} (rate({series(metric, *matchers)}[{window}]))"


def calls(histograms: Histograms, *matchers: str, by: str, window: str = RATE_INTERVAL) -> str:
    """Calls of models a second: what the histogram of their durations has counted."""
    if histograms == "classic":
        counted = f"rate({series(semconv.INFERENCE_DURATION, *matchers, suffix='_count')}[{window}])"
    else:
        counted = f"histogram_count(rate({series(semconv.INFERENCE_DURATION, *matchers)}[{window}]))"
    return f"sum{_by(by)} ({counted})"


def error_share(histograms: Histograms, *matchers: str, by: str, window: str = RATE_INTERVAL) -> str:
    """Share of the calls that failed; 0, and not nothing, where none did."""
    every = calls(histograms, *matchers, by=by, window=window)
    failed = calls(histograms, *matchers, f'{ERROR}!=""', by=by, window=window)
    return f"({failed} or {every} * 0) / {every}"


def latency(quantile: float, histograms: Histograms, *matchers: str, by: str, window: str = RATE_INTERVAL) -> str:
    """A quantile of the durations of calls, in seconds."""
    if histograms == "classic":
        buckets = f"rate({series(semconv.INFERENCE_DURATION, *matchers, suffix='_bucket')}[{window}])"
        return f"histogram_quantile({quantile:g}, sum by (le, {by}) ({buckets}))"
    durations = f"rate({series(semconv.INFERENCE_DURATION, *matchers)}[{window}])"
    return f"histogram_quantile({quantile:g}, sum by ({by}) ({durations}))"


def value_quantile(quantile: float, metric: Metric, *matchers: str, by: str, window: str = RATE_INTERVAL) -> str:
    """A quantile of values that are sent as exponential histograms, whichever way the backend stores these.

    Prometheus makes native histograms of them, VictoriaMetrics buckets with `vmrange`, and an SDK may have sent
    explicit bounds (`le`) from the start. Only one of the two sides of the `or` finds anything.
    """
    native = f"sum by ({by}) (rate({series(metric, *matchers)}[{window}]))"
    buckets = f"sum by (le, vmrange, {by}) (rate({series(metric, *matchers, suffix='_bucket')}[{window}]))"
    return f"histogram_quantile({quantile:g}, {native}) or histogram_quantile({quantile:g}, {buckets})"


def rises(metric: Metric, *matchers: str, by: str = "", window: str) -> str:
    """By how much a counter rose within the window, where it did.

    Our counters are not sent while they are 0, so the first thing that goes wrong makes a series that begins above 0:
    `increase` alone would not see it.
    """
    found = series(metric, *matchers)
    born = f"sum{_by(by)} ({found} unless last_over_time({found}[6h] offset {window}))"
    return f"(sum{_by(by)} (increase({found}[{window}])) > 0) or ({born} > 0)"


def silent_for_s(*matchers: str) -> str:
    """Seconds since rows of a model and version were last merged, to the minute, for up to six hours."""
    merged = f"increase({series(semconv.PROCESSOR_ROWS, *matchers)}[3m]) > bool 0"
    return f"time() - max by ({EACH_MODEL}) (max_over_time((time() * ({merged}))[6h:1m]) > 0)"


def firing(*matchers: str, by: str) -> str:
    """How many alerts fire; 0 where some did before."""
    states = f"max by ({EACH_ALERT}) ({series(semconv.ALERT_STATE_METRIC, *matchers)})"
    return f"sum{_by(by)} ({states} == bool {FIRING})"


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""

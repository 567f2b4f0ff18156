"""Names in Prometheus: what its own translation of OTLP makes of ours, checked against a real one in integration/."""

import pytest

from otel_ml import semconv
from otel_ml.prometheus_names import label_name, metric_name
from otel_ml.semconv import Metric


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        (semconv.INFERENCE_DURATION, "ml_inference_duration_seconds"),
        (semconv.INFERENCE_BATCH_SIZE, "ml_inference_batch_size"),
        (semconv.INFERENCE_ACTIVE, "ml_inference_active"),
        (semconv.PREDICTIONS, "ml_predictions_total"),
        (semconv.FEATURE_VALUE, "ml_feature_value"),
        (semconv.FEATURE_MISSING_RATIO, "ml_feature_missing_ratio"),
        (semconv.MODEL_DRIFT_SHARE, "ml_model_drift_share_ratio"),
        (semconv.ALERT_STATE_METRIC, "ml_alert_state_ratio"),
        (semconv.PROCESSOR_LOG_SIZE, "ml_processor_log_size_bytes"),
        (semconv.feature_drift("psi"), "ml_feature_drift_psi"),
    ],
)
def test_units_and_kinds_end_a_name(metric, name):
    """Only gauges of unit 1 are ratios, only monotonic sums are totals, and what stands in braces is no unit."""
    assert metric_name(metric) == name


def test_a_point_may_say_what_kind_it_is():
    """What is exposed as a sum is named as one, whatever the instrument."""
    metric = Metric("ml.sent", "By", "", "counter")

    assert metric_name(metric) == metric_name(metric, is_sum=True) == "ml_sent_bytes_total"
    assert metric_name(metric, is_sum=False) == "ml_sent_bytes"


def test_labels_keep_letters_digits_and_underscores():
    """Everything else becomes an underscore, each character for itself."""
    assert label_name(semconv.MODEL_NAME) == "ml_model_name"
    assert label_name("a.-é") == "a___"

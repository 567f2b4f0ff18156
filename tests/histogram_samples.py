"""Plain OTLP histograms as services without our library send them, for any test that needs some."""

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    ExponentialHistogram,
    Histogram,
    Metric,
    ResourceMetrics,
    ScopeMetrics,
)

from otel_ml import semconv
from otel_ml.sketch.exponential import ExponentialHistogram as Buckets

DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
SDK_BOUNDS = (0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000)
"""What every SDK's histograms have unless told otherwise."""
MODEL_ATTRIBUTES = {semconv.MODEL_NAME: "fraud", semconv.MODEL_VERSION: "3"}


def attributes_of(texts):
    """Attributes in OTLP."""
    return [KeyValue(key=key, value=AnyValue(string_value=text)) for key, text in texts.items()]


def request_of(*metrics, resource=None, scope="payments"):
    """One encoded export request."""
    of_resource = ResourceMetrics(scope_metrics=[ScopeMetrics(metrics=metrics)])
    of_resource.scope_metrics[0].scope.name = scope
    of_resource.resource.attributes.extend(
        attributes_of({"service.name": "checkout"} if resource is None else resource)
    )
    return ExportMetricsServiceRequest(resource_metrics=[of_resource]).SerializeToString()


def explicit(
    values, start, end, *, feature="amount", name="ml.feature.value", bounds=SDK_BOUNDS, temporality=DELTA, **attributes
):
    """A metric of one data point with explicit bounds, as the default histogram of an SDK makes it."""
    values = np.asarray(values, dtype=float)
    metric = Metric(name=name, histogram=Histogram(aggregation_temporality=temporality))
    point = metric.histogram.data_points.add(
        start_time_unix_nano=start,
        time_unix_nano=end,
        count=len(values),
        explicit_bounds=bounds,
        bucket_counts=np.bincount(np.searchsorted(bounds, values, side="left"), minlength=len(bounds) + 1).tolist(),
        attributes=attributes_of({**MODEL_ATTRIBUTES, semconv.FEATURE_NAME: feature, **attributes}),
    )
    _add_sums(point, values)
    return metric


def exponential(values, start, end, *, feature="amount", name="ml.feature.value", temporality=DELTA, **attributes):
    """A metric of one data point that is an exponential histogram."""
    values = np.asarray(values, dtype=float)
    counted = Buckets.of(values)
    metric = Metric(name=name, exponential_histogram=ExponentialHistogram(aggregation_temporality=temporality))
    point = metric.exponential_histogram.data_points.add(
        start_time_unix_nano=start,
        time_unix_nano=end,
        count=len(values),
        scale=counted.scale,
        zero_count=counted.zero_count,
        attributes=attributes_of({**MODEL_ATTRIBUTES, semconv.FEATURE_NAME: feature, **attributes}),
    )
    for side, buckets in ((point.positive, counted.positive), (point.negative, counted.negative)):
        side.offset = buckets.offset
        side.bucket_counts.extend(buckets.counts.tolist())
    _add_sums(point, values)
    return metric


def _add_sums(point, values):
    if len(values):
        point.sum, point.min, point.max = float(values.sum()), float(values.min()), float(values.max())

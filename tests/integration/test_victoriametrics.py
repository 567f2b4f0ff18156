"""Results and exponential histograms in a real VictoriaMetrics."""

import time

import numpy as np
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from peers.running import ask, send, until
from peers.samples import MODEL, baseline, drifting_just_now

pytestmark = pytest.mark.slow


def series(server, query):
    answer = ask(f"{server.url}/api/v1/query", query=query)
    return [(found["metric"], float(found["value"][1])) for found in answer["data"]["result"]]


def exporting_to(server):
    """VictoriaMetrics has a path of its own for OTLP; the signal's is appended."""
    return {"otlp_http": {"endpoint": f"{server.url}/opentelemetry"}}


def feature_values(values, scale=3):
    """An export of `ml.feature.value` as the SDK makes it: cumulative, base-2 exponential buckets."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="ml.feature.value")
    metric.exponential_histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    now = time.time_ns()
    point = metric.exponential_histogram.data_points.add(
        start_time_unix_nano=now - 60 * 10**9,
        time_unix_nano=now,
        count=len(values),
        sum=float(sum(values)),
        scale=scale,
    )
    for name, text in (("ml.model.name", "fraud"), ("ml.model.version", "3"), ("ml.feature.name", "amount")):
        point.attributes.add(key=name).value.string_value = text
    # Bucket i holds (2^(i/2^scale), 2^((i+1)/2^scale)].
    indexes = np.ceil(np.log2(values) * 2**scale).astype(int) - 1
    point.positive.offset = int(indexes.min())
    point.positive.bucket_counts.extend(np.bincount(indexes - indexes.min()).tolist())
    return request


def test_drift_can_be_queried(peers):
    """Gauges arrive with model, version and feature as labels."""
    server = peers.victoriametrics()
    processor = peers.processor(
        exporters=exporting_to(server),
        drift={"window": "1m", "min_rows": 100, "baselines": [str(baseline(peers.folder))]},
    )
    send(processor.address, *drifting_just_now())
    query = 'max_over_time({__name__=~"ml_feature_drift_psi.*", ml_drift_reference="baseline"}[15m])'
    found = until(lambda: [one for one in series(server, query) if one[1] > 0.2])

    assert all(labels.items() >= {**MODEL, "ml_feature_name": "amount"}.items() for labels, _ in found)


def test_exponential_histograms_give_quantiles(peers):
    """`ml.feature.value` passes through, and its median is that of the values to within a bucket."""
    values = np.random.default_rng(3).lognormal(3, 1, 10_000)
    server = peers.victoriametrics()
    processor = peers.processor(exporters=exporting_to(server))
    send(processor.address, feature_values(values))
    query = (
        'histogram_quantile(0.5, sum by (vmrange) ({__name__=~"ml_feature_value.*_bucket", ml_feature_name="amount"}))'
    )
    ((_, median),) = until(lambda: series(server, query))

    # Buckets of scale 3 are 9 % wide.
    assert median == pytest.approx(np.median(values), rel=0.09)

"""Snapshots and OTLP requests as model servers send them, for the tests of the processor."""

import zlib
from dataclasses import dataclass, field

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from otel_ml import semconv
from otel_ml.sketch import codec
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.exact import ExactCounts
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.snapshot import ENCODING, Snapshot
from otel_ml.sketch.summary import CategoricalSummary, FeatureSummary, NumericSummary

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
MODEL = ModelKey("fraud", "3")
# A round minute of a day in 2025: far enough in the past that no test runs into its future.
START = 1_750_000_020 * SECOND - (1_750_000_020 * SECOND) % (5 * MINUTE)


def numeric(name, values, *, missing=0, mismatched=0, layout=None, role=FeatureRole.FEATURE):
    """The summary a process sends of numeric values: in a baseline's bins, or as histogram and quantiles."""
    values = np.sort(np.asarray(values, dtype=float))
    moments = Moments()
    moments.update(values)
    content = NumericSummary(moments)
    if layout is not None:
        content.bins[layout.hash] = AnchoredBins(layout.hash, layout.count_sorted(values))
    elif len(np.unique(values)) <= 20:
        content.exact = ExactCounts.of(values)
    elif values.size:
        content.histogram = ExponentialHistogram.of(values)
        content.quantiles = QuantileSketch()
        content.quantiles.update(values)
    counters = Counters(rows=values.size + missing + mismatched, missing=missing, mismatched=mismatched)
    return FeatureSummary(FeatureKey(role, name), content, counters)


def categorical(name, counts, *, missing=0, role=FeatureRole.FEATURE):
    """The summary a process sends of categories."""
    categories = CategoryCounts()
    categories.update(counts)
    content = CategoricalSummary(categories)
    content.cardinality.update(counts)
    counters = Counters(rows=sum(counts.values()) + missing, missing=missing)
    return FeatureSummary(FeatureKey(role, name), content, counters)


@dataclass
class Producer:
    """A model server: numbers its snapshots 1, 2, 3, …"""

    producer_id: bytes = b"p" * 16
    model: ModelKey = MODEL
    sequence: int = field(default=0)

    def snapshot(self, *features, rows=None, start=START, length=MINUTE):
        """The next snapshot; `rows` are those of the first column unless given."""
        self.sequence += 1
        if rows is None:
            rows = features[0].counters.rows if features else 0
        return Snapshot(self.producer_id, self.sequence, self.model, start, start + length, rows, 0, features)


def snapshot_record(snapshot, **changes):
    """The log record a snapshot travels in; `changes` replace what is given by name (payload, checksum, encoding)."""
    payload = changes.get("payload", codec.encode(snapshot))
    record = ExportLogsServiceRequest().resource_logs.add().scope_logs.add().log_records.add()
    record.event_name = semconv.EVENT_SKETCH_SNAPSHOT
    record.severity_number = 9
    record.time_unix_nano = snapshot.end_time_unix_nano
    record.body.string_value = "snapshot"
    _attribute(record, semconv.MODEL_NAME).string_value = snapshot.model.name
    if isinstance(payload, str):
        _attribute(record, semconv.SKETCH_PAYLOAD).string_value = payload
    elif payload is not None:
        _attribute(record, semconv.SKETCH_PAYLOAD).bytes_value = payload
    _attribute(record, semconv.SKETCH_ENCODING).string_value = changes.get("encoding", ENCODING)
    checksum = changes.get("checksum", zlib.crc32(payload) if isinstance(payload, bytes) else 0)
    if checksum is not None:
        _attribute(record, semconv.SKETCH_CHECKSUM).int_value = checksum
    return record


def text_record(text="hello"):
    """A log record that is none of our business."""
    record = ExportLogsServiceRequest().resource_logs.add().scope_logs.add().log_records.add()
    record.time_unix_nano = START
    record.body.string_value = text
    _attribute(record, "http.route").string_value = "/predict"
    return record


def logs_request(*records, resource=None):
    """One export request with these records in one scope, and these texts as further attributes of its resource."""
    request = ExportLogsServiceRequest()
    described = {"service.name": "model-server", **(resource or {})}
    resource = request.resource_logs.add()
    for key, text in described.items():
        _attribute(resource.resource, key).string_value = text
    scope = resource.scope_logs.add()
    scope.scope.name = "otel_ml"
    scope.log_records.extend(records)
    return request


def traces_request(spans=2):
    """An export request of spans."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for index in range(spans):
        scope.spans.add(name=f"predict {index}", trace_id=b"t" * 16, span_id=b"s" * 8)
    return request


def metrics_request(points=3):
    """An export request of one gauge with several points."""
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="temperature")
    for index in range(points):
        metric.gauge.data_points.add(as_double=index)
    return request


def _attribute(holder, key):
    return holder.attributes.add(key=key).value

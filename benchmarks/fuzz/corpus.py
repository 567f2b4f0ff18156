"""What is mutated: requests of all signals as they really come, and snapshots of every kind of column."""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Final

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector_processor.component import Signal
from otel_ml import Baseline, semconv
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch import codec
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.exemplar import OF_CALLS, Exemplar, ExemplarReason
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.snapshot import ENCODING, Segment, Snapshot
from otel_ml.sketch.summary import NumericSummary

MODEL: Final = ModelKey("fuzzed", "1")
START: Final = 1_750_000_000_000_000_000
MINUTE: Final = 60_000_000_000
HISTOGRAM: Final = "fuzz.histogram"
"""A metric whose data points are the values of a column."""

_ROWS: Final = 400


@dataclass(frozen=True)
class Corpus:
    """What is well-formed.

    Attributes:
        baseline: Of the rows that the snapshots are of.
        payloads: Encoded snapshots.
        requests: Encoded requests.
    """

    baseline: Baseline
    payloads: list[bytes]
    requests: dict[Signal, list[bytes]]


def corpus() -> Corpus:
    """The same in every process."""
    baseline = Baseline.build(_columns(_rows(2_000, 1)), model=MODEL.name, version=MODEL.version)
    snapshots = [
        _snapshot(baseline, 2),
        _snapshot(None, 3),
        _snapshot(baseline, 4, count=1),
        _snapshot(None, 5, count=3),
    ]
    snapshots.append(replace(snapshots[0], segment=Segment("country", "NO")))
    for feature in (*snapshots[0].features[:3], *snapshots[1].features[:3]):
        feature.exemplars.append(Exemplar(ExemplarReason.LARGEST, 1 << 100, 1 << 50, START, "id", 1.5))
    payloads = [codec.encode(snapshot) for snapshot in snapshots]
    payloads[0] = _with_rows(payloads[0])
    # Some servers do not pack their columns.
    payloads.append(codec.encode(snapshots[0], pack=False))
    # Small ones, of one column each: there a mutation hits something.
    payloads += [
        codec.encode(replace(snapshot, features=[feature]), pack=pack)
        for snapshot, pack in ((snapshots[0], True), (snapshots[0], False), (snapshots[1], True))
        for feature in snapshot.features
    ]
    logs = [logs_request(payload) for payload in payloads[:6]]
    logs += [logs_request(payloads[0], payloads[1], texts=5), logs_request(texts=3)]
    logs.append(b"".join(logs[:3] * 3))
    return Corpus(
        baseline,
        payloads,
        {Signal.LOGS: logs, Signal.TRACES: [_traces()], Signal.METRICS: [_metrics()]},
    )


def logs_request(*payloads: bytes, texts: int = 0) -> bytes:
    """Snapshots as our library sends them, and other records beside them."""
    request = ExportLogsServiceRequest()
    resource = request.resource_logs.add(schema_url="https://opentelemetry.io/schemas/1.30.0")
    resource.resource.attributes.add(key="service.version").value.string_value = "1.4"
    scope = resource.scope_logs.add()
    scope.scope.name = semconv.SCOPE_NAME
    for index in range(texts):
        record = scope.log_records.add(time_unix_nano=START, severity_number=9)
        record.body.string_value = f"a line of text, number {index}, about {semconv.EVENT_SKETCH_SNAPSHOT}"
        record.attributes.add(key="http.route").value.string_value = "/predict"
    for payload in payloads:
        record = scope.log_records.add(time_unix_nano=START, event_name=semconv.EVENT_SKETCH_SNAPSHOT)
        record.attributes.add(key=semconv.SKETCH_PAYLOAD).value.bytes_value = payload
        record.attributes.add(key=semconv.SKETCH_ENCODING).value.string_value = ENCODING
        record.attributes.add(key=semconv.SKETCH_CHECKSUM).value.int_value = zlib.crc32(payload)
    return request.SerializeToString()


def _snapshot(baseline: Baseline | None, seed: int, count: int = _ROWS) -> Snapshot:
    info = ModelInfo(MODEL)
    accumulator = ModelAccumulator(MODEL, baseline=baseline)
    rows = _rows(count, seed)
    accumulator.add([Inference(info, "predict", rows, timestamp_unix_nano=START)])
    drained = accumulator.drain()
    summaries = [column.summary for column in drained.columns]
    for summary in summaries:
        if isinstance(summary.content, NumericSummary) and summary.content.quantiles is not None:
            # The library that drew these by chance takes no seed.
            summary.content.quantiles = QuantileSketch()
            values = np.array([row[summary.key.name] for row in rows])
            summary.content.quantiles.update_weighted(values, np.ones(len(values), np.int64))
    return Snapshot(
        bytes(15) + bytes([seed]),
        seed,
        MODEL,
        START,
        START + MINUTE,
        drained.rows,
        0,
        summaries,
        packages_digest="digest",
        calls=_calls(seed),
    )


def _calls(seed: int) -> CallSummary:
    calls = CallSummary()
    calls.update(np.random.default_rng(seed).lognormal(-4, 1, 50))
    calls.add_errors({"ValueError": 3, "httpx.ReadTimeout": 1})
    calls.add_exemplars([Exemplar(reason, seed + 1, seed + 1, seed, f"id {seed}", 0.5) for reason in OF_CALLS])
    return calls


def _with_rows(payload: bytes) -> bytes:
    """The snapshot with some rows, which would be drawn by chance."""
    message = pb.Snapshot.FromString(payload)
    rows = _rows(20, 9)
    message.row_sample.priorities.extend(index << 60 for index in range(15))
    message.row_sample.threshold = (1 << 64) - 1
    for name in ("amount", "balance"):
        message.row_sample.number_names.append(name)
        message.row_sample.numbers.extend(row[name] for row in rows[:15])
    message.row_sample.category_names.append("country")
    message.row_sample.categories.extend(["country 1", "country 2"])
    message.row_sample.codes.extend(index % 3 for index in range(15))
    return message.SerializeToString()


def _rows(count: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    vectors = np.random.default_rng(seed).normal(size=(count, 6))
    since = datetime(2025, 6, 1, tzinfo=timezone.utc)
    return [
        {
            "amount": round(chance.lognormvariate(3, 1), 2),
            "age": float(chance.randrange(18, 90)),
            "balance": chance.gauss(0, 1000),
            "score": chance.random(),
            "constant": 1.0,
            "is_new": chance.random() < 0.3,
            "country": f"country {int(chance.paretovariate(1)) % 300}",
            "comment": " ".join(chance.choices(("good", "bad", "Late", "paid", "42", "why?"), k=chance.randrange(12))),
            "signed_up": since - timedelta(days=chance.random() * 900),
            "vector": vector,
        }
        for vector in vectors
    ]


def _columns(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [row[name] for row in rows] for name in rows[0]}


def _traces() -> bytes:
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for index in range(5):
        span = scope.spans.add(name=f"predict {index}", trace_id=b"t" * 16, span_id=b"s" * 8, end_time_unix_nano=START)
        span.attributes.add(key="http.route").value.string_value = "/predict"
    return request.SerializeToString()


def _metrics() -> bytes:
    request = ExportMetricsServiceRequest()
    metrics = request.resource_metrics.add().scope_metrics.add().metrics
    metrics.add(name="gauge").gauge.data_points.add(as_double=1.5, time_unix_nano=START)
    metrics.add(name="sum").sum.data_points.add(as_int=7, time_unix_nano=START)
    metrics.add(name="summary").summary.data_points.add(count=3, sum=2.5, time_unix_nano=START)
    explicit = metrics.add(name=HISTOGRAM).histogram
    explicit.aggregation_temporality = 1
    explicit.data_points.add(
        count=6,
        sum=9.5,
        min=0.5,
        max=3.5,
        bucket_counts=[1, 2, 3],
        explicit_bounds=[1.0, 2.0],
        start_time_unix_nano=START,
        time_unix_nano=START + MINUTE,
    )
    exponential = metrics.add(name=HISTOGRAM).exponential_histogram
    exponential.aggregation_temporality = 2
    point = exponential.data_points.add(
        count=7, sum=9.5, scale=3, zero_count=1, start_time_unix_nano=START, time_unix_nano=START + MINUTE
    )
    point.positive.offset = -5
    point.positive.bucket_counts.extend([1, 2, 3])
    return request.SerializeToString()

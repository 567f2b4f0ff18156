"""Requests as model servers and applications send them, prepared so that a generator need only number them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otel_ml import semconv
from otel_ml.sketch import codec
from otel_ml.sketch.bins import AnchoredBins, BinLayout, layout_from_quantiles
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.exponential import ExponentialHistogram
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.moments import Moments
from otel_ml.sketch.quantiles import QuantileSketch
from otel_ml.sketch.snapshot import ENCODING, Snapshot
from otel_ml.sketch.summary import FeatureSummary, NumericSummary

PRODUCER: Final = bytes(range(200, 216))
FIRST_SEQUENCE: Final = 1 << 21
"""From here to 2^28 a sequence number takes four bytes, so that another one fits in its place."""
_ANY_CHECKSUM: Final = 0xFEDCBA98
_HEADER: Final = struct.Struct("<6I")
# Tags of protobuf: field 3 of a Snapshot and of an AnyValue are both varints.
_FIELD_3: Final = b"\x18"
SECOND: Final = 1_000_000_000
ROWS: Final = 1000


class Body(NamedTuple):
    """An encoded request; of one with a snapshot, where its producer, sequence, payload and checksum are."""

    encoded: bytes
    offsets: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)


def layout() -> BinLayout:
    """The bins that a baseline of a standard normal column has."""
    return layout_from_quantiles(np.sort(np.random.default_rng(0).normal(size=20_000)))


def summary(name: str, values: np.ndarray, layout: BinLayout | None) -> FeatureSummary:
    """What a server says of a numeric column: counts in a baseline's bins, or histogram and quantiles without one."""
    values = np.sort(values)
    moments = Moments()
    moments.update(values)
    content = NumericSummary(moments)
    if layout is not None:
        content.bins[layout.hash] = AnchoredBins(layout.hash, layout.count_sorted(values))
    else:
        content.histogram = ExponentialHistogram.of(values)
        content.quantiles = QuantileSketch()
        content.quantiles.update(values)
    return FeatureSummary(FeatureKey(FeatureRole.FEATURE, name), content, Counters(rows=values.size))


def snapshot(
    model: ModelKey,
    features: int,
    layout: BinLayout | None,
    start_unix_nano: int,
    rows: int = ROWS,
    seed: int = 1,
    *,
    has_correlations: bool = False,
) -> Snapshot:
    """One interval of ten seconds of a model with so many numeric features."""
    values = np.random.default_rng(seed).normal(size=(features, rows))
    summaries = [summary(f"feature_{index:03d}", of_one, layout) for index, of_one in enumerate(values)]
    if has_correlations:
        together = EmbeddingSummary()
        together.add(values.T)
        key = FeatureKey(FeatureRole.JOINT, f"{1:016x}")
        summaries.append(FeatureSummary(key, together, Counters(rows=rows)))
    end = start_unix_nano + 10 * SECOND
    return Snapshot(PRODUCER, FIRST_SEQUENCE, model, start_unix_nano, end, rows, 0, summaries)


def write_snapshot(record: LogRecord, payload: bytes, end_unix_nano: int, model: str, checksum: int) -> None:
    """Make a log record what a snapshot travels in."""
    record.event_name = semconv.EVENT_SKETCH_SNAPSHOT
    record.severity_number = 9
    record.time_unix_nano = end_unix_nano
    record.body.string_value = "snapshot"
    record.attributes.add(key=semconv.MODEL_NAME).value.string_value = model
    record.attributes.add(key=semconv.SKETCH_PAYLOAD).value.bytes_value = payload
    record.attributes.add(key=semconv.SKETCH_ENCODING).value.string_value = ENCODING
    record.attributes.add(key=semconv.SKETCH_CHECKSUM).value.int_value = checksum


def request(service: str = "model-server") -> ExportLogsServiceRequest:
    """An export request with one empty scope."""
    made = ExportLogsServiceRequest()
    resource = made.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    resource.scope_logs.add().scope.name = "otel_ml"
    return made


def snapshot_body(snapshot: Snapshot) -> Body:
    """A request with this snapshot alone, whose producer, number and checksum the generator replaces."""
    payload = codec.encode(snapshot)
    made = request()
    record = made.resource_logs[0].scope_logs[0].log_records.add()
    write_snapshot(record, payload, snapshot.end_time_unix_nano, snapshot.model.name, _ANY_CHECKSUM)
    encoded = made.SerializeToString()
    begin = _only(encoded, payload)
    producer = begin + _only(payload, PRODUCER)
    sequence = producer + len(PRODUCER)
    if encoded[sequence : sequence + 1] != _FIELD_3:
        raise AssertionError("the sequence number does not follow the producer any more")
    checksum = _only(encoded, _FIELD_3 + _varint(_ANY_CHECKSUM))
    return Body(encoded, (producer, sequence + 1, begin, begin + len(payload), checksum + 1))


def logs_body(records: int, seed: int = 1) -> Body:
    """A request of ordinary log records of an application, some 250 bytes each."""
    chance = np.random.default_rng(seed)
    made = request("checkout")
    for index in range(records):
        record = made.resource_logs[0].scope_logs[0].log_records.add()
        write_log(record, f"request {chance.integers(1 << 40):012x} took {index} ms")
    return Body(made.SerializeToString())


def write_log(record: LogRecord, text: str) -> None:
    """Make a log record one of an application."""
    record.time_unix_nano = record.observed_time_unix_nano = 1_750_000_000 * SECOND
    record.severity_number = 9
    record.severity_text = "INFO"
    record.body.string_value = text
    record.trace_id = b"0123456789abcdef"
    record.span_id = b"01234567"
    for key, value in (
        ("http.route", "/checkout/{cart}"),
        ("http.request.method", "POST"),
        ("user_agent.name", "curl"),
    ):
        record.attributes.add(key=key).value.string_value = value
    record.attributes.add(key="http.response.status_code").value.int_value = 200


def write(path: Path, bodies: Sequence[Body]) -> Path:
    """A file as the generator reads it; see its `readTemplates`."""
    with path.open("wb") as file:
        for body in bodies:
            file.write(_HEADER.pack(len(body.encoded), *body.offsets) + body.encoded)
    return path


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _only(within: bytes, wanted: bytes) -> int:
    if within.count(wanted) != 1:
        raise AssertionError(f"{within.count(wanted)} places instead of one")
    return within.index(wanted)

"""What a restart should find: dedup marks, alerts, and the windows that are still open."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

from collector_processor.component import Store
from collector_processor.processors.alerts import AlertBook
from collector_processor.processors.deduplication import Deduplicator
from collector_processor.processors.evaluation.correction import Correction
from collector_processor.processors.windows import Stream, Window, WindowStore
from otel_ml.sketch import codec
from otel_ml.sketch.feature import FeatureKind, ModelKey
from otel_ml.sketch.snapshot import Segment, Snapshot
from otel_ml.sketch.summary import FeatureSummary

_MARKS: Final = "dedup"
_ALERTS: Final = "alerts"
_CORRECTION: Final = "correction"
_STREAMS: Final = "streams"
_WINDOWS: Final = "windows"
# A merged window travels as a snapshot to ourselves, which has to have a producer.
_PRODUCER: Final = bytes(16)


def sections(
    windows: WindowStore, deduplicator: Deduplicator, alerts: AlertBook, correction: Correction
) -> Mapping[str, Mapping[str, bytes]]:
    """Everything to be kept. Marks and windows belong together: one without the other would merge twice, or never."""
    return {
        _MARKS: deduplicator.encode(),
        _ALERTS: alerts.encode(),
        _CORRECTION: correction.encode(),
        _STREAMS: {json.dumps(model): _encode_stream(stream) for model, stream in windows.streams.items()},
        _WINDOWS: {
            json.dumps([*model, *slot, number]): encoded
            for model, stream in windows.streams.items()
            for slot, window in stream.windows.items()
            for number, encoded in enumerate(_encode_window(window))
        },
    }


def restore(
    store: Store, windows: WindowStore, deduplicator: Deduplicator, alerts: AlertBook, correction: Correction
) -> None:
    """Put back what `sections` gave."""
    deduplicator.restore(store.read(_MARKS))
    alerts.restore(store.read(_ALERTS))
    correction.restore(store.read(_CORRECTION))
    for key, value in store.read(_STREAMS).items():
        windows.restore_stream(ModelKey(*json.loads(key)), **json.loads(value))
    for key, value in store.read(_WINDOWS).items():
        name, version, _, segment, _ = json.loads(key)
        header, _, payload = value.partition(b"\n")
        fields = json.loads(header)
        found = codec.decode(payload) if payload else None
        parts, rows = (found.features, found.row_sample) if found else ((), None)
        slice_of = Segment(*segment) if segment else None
        windows.restore_window(ModelKey(name, version), segment=slice_of, parts=parts, row_sample=rows, **fields)


def _encode_stream(stream: Stream) -> bytes:
    return json.dumps(
        {
            "latest_end_unix_nano": stream.latest_end_unix_nano,
            "closed_until_unix_nano": stream.closed_until_unix_nano,
        }
    ).encode()


def _encode_window(window: Window) -> Iterator[bytes]:
    """A header alone with the counts, then one snapshot for each kind, for a column may have been read as several."""
    span = {"start_unix_nano": window.start_unix_nano, "end_unix_nano": window.end_unix_nano}
    counts = {"rows": window.rows, "dropped_rows": window.dropped_rows, "snapshots": window.snapshots}
    yield json.dumps({**span, **counts}).encode()
    start, end = window.start_unix_nano, window.end_unix_nano
    if window.row_sample is not None:
        sample = window.row_sample.within(codec.SPLIT_BYTES)
        alone = Snapshot(_PRODUCER, 1, window.model, start, end, 0, 0, [], row_sample=sample)
        yield json.dumps(span).encode() + b"\n" + codec.encode(alone)
    by_kind: dict[FeatureKind, list[FeatureSummary]] = {}
    for (_, kind), part in window.parts.items():
        by_kind.setdefault(kind, []).append(part)
    for parts in by_kind.values():
        merged = Snapshot(_PRODUCER, 1, window.model, start, end, 0, 0, parts)
        for piece in codec.split(merged, lambda: 1):
            yield json.dumps(span).encode() + b"\n" + codec.encode(piece)

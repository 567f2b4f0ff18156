"""What a restart should find: dedup marks, alerts, and the windows that are still open."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Final, TypeAlias

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
_LOG: Final = "log"
_POSITION: Final = "position"
# A merged window travels as a snapshot to ourselves, which has to have a producer.
_PRODUCER: Final = bytes(16)
_LENGTH: Final = struct.Struct("<I")


Sections: TypeAlias = dict[str, Mapping[str, bytes]]
Changes: TypeAlias = "dict[str, Mapping[str, bytes | None]]"


def sections(
    windows: WindowStore, deduplicator: Deduplicator, alerts: AlertBook, correction: Correction, position: int
) -> Sections:
    """Everything to be kept of the moment at which the log was merged up to `position`.

    Marks, windows and position belong together: one without the others would merge twice, or never.
    """
    windows.take_changes()
    deduplicator.take_changes()
    return {
        _LOG: {_POSITION: str(position).encode()},
        _MARKS: deduplicator.encode(),
        _ALERTS: alerts.encode(),
        _CORRECTION: correction.encode(),
        _STREAMS: {json.dumps(model): _encode_stream(stream) for model, stream in windows.streams.items()},
        _WINDOWS: {
            json.dumps([*model, *slot]): _encode_window(window)
            for model, stream in windows.streams.items()
            for slot, window in stream.windows.items()
        },
    }


def increment(
    windows: WindowStore, deduplicator: Deduplicator, alerts: AlertBook, correction: Correction, position: int
) -> tuple[Sections, Changes]:
    """What is not as it was at the last checkpoint: whole sections, and changes of others, None for what is gone.

    It is said once: if it cannot be written, the next checkpoint has to be of everything.
    """
    changed = windows.take_changes()
    streams: dict[str, bytes | None] = {}
    for model in changed.streams:
        stream = windows.streams.get(model)
        streams[json.dumps(model)] = None if stream is None else _encode_stream(stream)
    found: dict[str, bytes | None] = {}
    for model, slot in changed.windows:
        stream = windows.streams.get(model)
        window = None if stream is None else stream.windows.get(slot)
        found[json.dumps([*model, *slot])] = None if window is None else _encode_window(window)
    marks = deduplicator.encode_changes(deduplicator.take_changes())
    whole: Sections = {
        _LOG: {_POSITION: str(position).encode()},
        _ALERTS: alerts.encode(),
        _CORRECTION: correction.encode(),
    }
    return whole, {_MARKS: marks, _STREAMS: streams, _WINDOWS: found}


def position(store: Store) -> int:
    """Up to where the log was merged; 0 where nobody ever kept anything."""
    return int(store.read(_LOG).get(_POSITION, b"0"))


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
        name, version, _, segment = json.loads(key)
        _restore_window(windows, ModelKey(name, version), Segment(*segment) if segment else None, value)


def _encode_stream(stream: Stream) -> bytes:
    return json.dumps(
        {
            "latest_end_unix_nano": stream.latest_end_unix_nano,
            "closed_until_unix_nano": stream.closed_until_unix_nano,
        }
    ).encode()


def _encode_window(window: Window) -> bytes:
    """A line with the counts, then snapshots, each behind its length: one or more of every kind of column.

    A kind for itself, for a column may have been read as several.
    """
    start, end = window.start_unix_nano, window.end_unix_nano
    counts = {"rows": window.rows, "dropped_rows": window.dropped_rows, "snapshots": window.snapshots}
    pieces: list[bytes] = []
    if window.row_sample is not None:
        sample = window.row_sample.within(codec.SPLIT_BYTES)
        pieces.append(codec.encode(Snapshot(_PRODUCER, 1, window.model, start, end, 0, 0, [], row_sample=sample)))
    if window.calls is not None:
        pieces.append(codec.encode(Snapshot(_PRODUCER, 1, window.model, start, end, 0, 0, [], calls=window.calls)))
    by_kind: dict[FeatureKind, list[FeatureSummary]] = {}
    for (_, kind), part in window.parts.items():
        by_kind.setdefault(kind, []).append(part)
    for parts in by_kind.values():
        merged = Snapshot(_PRODUCER, 1, window.model, start, end, 0, 0, parts)
        pieces += [codec.encode(piece) for piece in codec.split(merged, lambda: 1)]
    header = json.dumps({"start_unix_nano": start, "end_unix_nano": end, **counts, **window.progress}).encode() + b"\n"
    return header + b"".join(_LENGTH.pack(len(piece)) + piece for piece in pieces)


def _restore_window(windows: WindowStore, model: ModelKey, segment: Segment | None, value: bytes) -> None:
    header = value.index(b"\n") + 1
    fields = json.loads(value[:header])
    windows.restore_window(model, segment=segment, **fields)
    position = header
    while position < len(value):
        (length,) = _LENGTH.unpack_from(value, position)
        found = codec.decode(value[position + _LENGTH.size : position + _LENGTH.size + length])
        position += _LENGTH.size + length
        windows.restore_window(
            model,
            fields["start_unix_nano"],
            fields["end_unix_nano"],
            segment=segment,
            parts=found.features,
            row_sample=found.row_sample,
            calls=found.calls,
        )

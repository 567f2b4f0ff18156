"""How hostile or broken senders change a message: in any byte, at the borders of its fields, and in its meaning."""

from __future__ import annotations

import json
import math
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.fuzz.corpus import Corpus, logs_request
from collector_processor.component import Signal
from otel_ml.proto import snapshot_pb2 as pb

REQUESTS: Final = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}
_WORDS: Final = (0, 1, 2, 7, 127, 128, 255, 256, 65535, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)
_LONGS: Final = (1 << 40, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, 1 << 62, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
_DOUBLES: Final = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    5e-324,
    2.2e-308,
    1e-30,
    1e30,
    1.7e308,
    -1.7e308,
    math.inf,
    -math.inf,
    math.nan,
)
_FLOAT_MAX: Final = 3.4e38
_DOUBLE_BYTES: Final = 8
_LARGE: Final = 5_000


def item(corpus: Corpus, seed: int, index: int) -> tuple[Signal, bytes, bool]:
    """The signal and the bytes of an item, and whether they are JSON; always the same ones."""
    rng = random.Random(f"{seed}/{index}")
    choice = rng.random()
    if choice < 0.60:
        payloads = [_payload(rng, corpus) for _ in range(rng.choice((1, 1, 1, 2)))]
        # Beside sound ones of the same columns as well, with which it is read and merged.
        payloads += rng.choices(corpus.payloads, k=rng.choice((0, 0, 0, 1, 20)))
        return Signal.LOGS, logs_request(*payloads), False
    signal = rng.choice((Signal.LOGS, Signal.LOGS, Signal.METRICS, Signal.TRACES))
    body = rng.choice(corpus.requests[signal])
    if choice < 0.62:
        return signal, rng.randbytes(rng.randrange(300)), rng.random() < 0.3
    if choice < 0.70:
        return signal, _as_json(rng, signal, body), True
    if choice < 0.85:
        return signal, _meant(rng, REQUESTS[signal], body), False
    return signal, _bytes(rng, body, corpus.requests[signal]), False


def _payload(rng: random.Random, corpus: Corpus) -> bytes:
    """The bytes of a snapshot that somebody changed and gave a new checksum."""
    payload = rng.choice(corpus.payloads)
    if rng.random() < 0.65:
        return _meant(rng, pb.Snapshot, payload)
    return _bytes(rng, payload, corpus.payloads)


def _bytes(rng: random.Random, body: bytes, others: Sequence[bytes]) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        body = rng.choice(_CHANGES)(rng, body, others)
    return body


def _flipped(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 8)) if changed else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _overwritten(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    value = rng.choice(_WORDS + _LONGS)
    written = rng.choice((_varint(value), struct.pack("<Q", value), struct.pack("<d", rng.choice(_DOUBLES))))
    at = rng.randrange(len(body) + 1)
    return body[:at] + written + body[at + len(written) :]


def _truncated(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    return body[: rng.randrange(len(body) + 1)]


def _duplicated(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = sorted((_border(rng, body), _border(rng, body)))
    return body[:end] + body[start:end] * rng.choice((1, 1, 2, 50)) + body[end:]


def _spliced(rng: random.Random, body: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return body[: _border(rng, body)] + other[_border(rng, other) :]


def _removed(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    start, end = sorted((_border(rng, body), _border(rng, body)))
    return body[:start] + body[end:]


def _length_bomb(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    at = _border(rng, body)
    tag = _varint(rng.randrange(1, 20) << 3 | rng.choice((0, 1, 2, 2, 2, 3, 4, 5, 6, 7)))
    return body[:at] + tag + _varint(rng.choice(_WORDS + _LONGS)) + body[at:]


def _crowded(rng: random.Random, body: bytes, _: Sequence[bytes]) -> bytes:
    """Thousands of messages that say nothing, or groups within groups."""
    tag = rng.randrange(1, 20) << 3
    crowd = rng.choice((_varint(tag | 2) + b"\0", _varint(tag | 3), _varint(tag | 2) + b"\2\x08\0"))
    at = _border(rng, body)
    return body[:at] + crowd * rng.choice((50, 1_000, _LARGE, 30_000)) + body[at:]


_CHANGES: Final[Sequence[Callable[[random.Random, bytes, Sequence[bytes]], bytes]]] = (
    _flipped,
    _flipped,
    _overwritten,
    _overwritten,
    _truncated,
    _duplicated,
    _spliced,
    _removed,
    _length_bomb,
    _crowded,
)


def _border(rng: random.Random, body: bytes) -> int:
    """A place between two fields, at a depth that chance decides; anywhere where there is none."""
    start, end = 0, len(body)
    for _ in range(rng.randrange(6)):
        fields = list(_fields(body, start, end))
        inner = [(begin, stop) for begin, stop, is_long in fields if is_long and stop - begin > 2]
        if not inner:
            break
        start, end = rng.choice(inner)
    borders = [start, *(stop for _, stop, _ in _fields(body, start, end))]
    return rng.choice(borders) if rng.random() < 0.9 else rng.randrange(len(body) + 1)


def _fields(body: bytes, at: int, end: int) -> list[tuple[int, int, bool]]:
    """Start and end of what each field holds, and whether that has a length; as far as they can be told."""
    found: list[tuple[int, int, bool]] = []
    while at < end and len(found) < 500:
        tag, at = _read_varint(body, at, end)
        size = {1: 8, 5: 4}.get(tag & 7, 0)
        start = at
        if tag & 7 == 0:
            _, at = _read_varint(body, at, end)
        elif tag & 7 == 2:
            size, start = _read_varint(body, at, end)
            at = start
        elif not size:
            break
        at += size
        if at > end:
            break
        found.append((start, at, tag & 7 == 2))
    return found


def _read_varint(body: bytes, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        value |= (body[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if body[at - 1] < 128:
            break
    return value, at


def _varint(value: int) -> bytes:
    digits = bytearray()
    while value > 127:
        digits.append(value & 127 | 128)
        value >>= 7
    return bytes([*digits, value])


def _meant(rng: random.Random, kind: type[Message], body: bytes) -> bytes:
    """The same message with some of its fields changed to what is absurd, or nearly possible."""
    try:
        message = kind.FromString(body)
    except DecodeError:
        return body
    for _ in range(rng.choice((1, 1, 1, 2, 3, 10))):
        _change(rng, message)
    return message.SerializeToString()


def _change(rng: random.Random, message: Any) -> None:
    while True:
        fields = message.ListFields()
        if not fields or rng.random() < 0.08:
            _set_any(rng, message)
            return
        field, value = rng.choice(fields)
        if field.message_type is None:
            _set(rng, message, field, value)
            return
        if not field.is_repeated if hasattr(field, "is_repeated") else field.label != FieldDescriptor.LABEL_REPEATED:
            if rng.random() < 0.05:
                message.ClearField(field.name)
                return
            message = value
            continue
        how = rng.random()
        if how < 0.06:
            del value[rng.randrange(len(value))]
            return
        if how < 0.12:
            value.add().CopyFrom(rng.choice(value))
            return
        message = rng.choice(value)


def _set_any(rng: random.Random, message: Any) -> None:
    """Set a field that is perhaps not there, or not allowed beside the others."""
    field = rng.choice(message.DESCRIPTOR.fields)
    value = getattr(message, field.name)
    if field.message_type is None:
        _set(rng, message, field, value)
    elif hasattr(value, "add"):
        value.add()
    else:
        value.SetInParent()


def _set(rng: random.Random, message: Any, field: Any, value: Any) -> None:
    if not isinstance(value, (str, bytes)) and hasattr(value, "append"):
        elements = list(value)
        how = rng.random()
        if elements and how < 0.6:
            at = rng.randrange(len(elements))
            elements[at] = _value(rng, field, elements[at])
        elif elements and how < 0.75:
            del elements[rng.randrange(len(elements)) :]
        elif elements and how < 0.9:
            elements = elements * rng.choice((2, 3, 1 + _LARGE // len(elements)))
        else:
            elements.append(_value(rng, field, elements[-1] if elements else None))
        message.ClearField(field.name)
        getattr(message, field.name).extend(elements)
    else:
        setattr(message, field.name, _value(rng, field, value))


def _value(rng: random.Random, field: Any, value: Any) -> Any:
    """Another value for a field: absurd, or close to what it was."""
    if field.type in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        near = (value or 1.0) * rng.choice((1.0 + 1e-15, 0.5, 2.0, -1.0, 1e10, 1e-10))
        found = rng.choice((rng.choice(_DOUBLES), near, rng.gauss(0, 1)))
        is_float = field.type == FieldDescriptor.TYPE_FLOAT and math.isfinite(found)
        return min(max(found, -_FLOAT_MAX), _FLOAT_MAX) if is_float else found
    if field.type == FieldDescriptor.TYPE_BOOL:
        return rng.random() < 0.5
    if field.type == FieldDescriptor.TYPE_STRING:
        return rng.choice(("", "x", "x" * _LARGE, "\0", "é" * 300, f"{value}1", str(value)[:-1]))
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _image(rng, value or b"")
    found = rng.choice((rng.choice(_WORDS + _LONGS), (value or 0) + rng.choice((-1, 1, 2)), rng.getrandbits(16)))
    if rng.random() < 0.3:
        found = -found
    return _fitting(field, found)


def _fitting(field: Any, value: int) -> int:
    """The number, with as many bits as the field has."""
    is_signed = field.cpp_type in (
        FieldDescriptor.CPPTYPE_INT32,
        FieldDescriptor.CPPTYPE_INT64,
        FieldDescriptor.CPPTYPE_ENUM,
    )
    bits = 64 if field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64) else 32
    value %= 1 << bits
    return value - (1 << bits) if is_signed and value >> bits - 1 else value


def _image(rng: random.Random, image: bytes) -> bytes:
    """The image of a sketch with changes, mostly in its header; or an array, some or all of whose numbers changed."""
    choice = rng.random()
    if choice < 0.1:
        return rng.randbytes(rng.randrange(200))
    if choice < 0.2:
        return image[: rng.randrange(len(image) + 1)]
    if choice < 0.25:
        return image + rng.randbytes(rng.randrange(1, 64))
    changed = bytearray(image)
    if choice < 0.3:
        # Of integers, the same ones in as many more bytes.
        wider = rng.choice((2, 4, 8))
        return b"".join(bytes([byte]) + bytes(wider - 1) for byte in image)
    if choice < 0.45 and len(image) >= _DOUBLE_BYTES:
        at = rng.randrange(len(image) // _DOUBLE_BYTES) * _DOUBLE_BYTES
        changed[at : at + _DOUBLE_BYTES] = struct.pack("<d", rng.choice(_DOUBLES))
        return bytes(changed)
    for _ in range(rng.choice((1, 1, 2, 4)) if changed else 0):
        at = rng.randrange(min(len(changed), 48) if rng.random() < 0.7 else len(changed))
        width = rng.choice((1, 1, 2, 4, 8))
        value = rng.choice((*_WORDS, *_LONGS, rng.getrandbits(64))) % (1 << 8 * width)
        changed[at : at + width] = value.to_bytes(width, "little")
    return bytes(changed)


def _as_json(rng: random.Random, signal: Signal, body: bytes) -> bytes:
    text = json_format.MessageToJson(REQUESTS[signal].FromString(body), indent=None)
    choice = rng.random()
    if choice < 0.5:
        tree = json.loads(text)
        for _ in range(rng.choice((1, 2, 5))):
            _change_json(rng, tree)
        return json.dumps(tree).encode()
    if choice < 0.6:
        depth = rng.choice((10, 200, _LARGE, 100_000))
        return rng.choice((b"[" * depth, b'{"resourceLogs":' * depth, b"[" * depth + b"]" * depth))
    return _bytes(rng, text.encode(), [text.encode()])


def _change_json(rng: random.Random, tree: Any) -> None:
    absurd = (None, True, -1, 1e999, 1 << 64, "", "x", "\ud800", [], {}, [[]], {"a": {}}, "AAAA", "=", 0.5)
    while True:
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        if not keys:
            return
        key = rng.choice(keys)
        if isinstance(tree[key], (dict, list)) and tree[key] and rng.random() < 0.9:
            tree = tree[key]
            continue
        tree[key] = rng.choice(absurd)
        return

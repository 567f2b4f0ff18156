"""The snapshots in the log records of a request. The only file that knows how a snapshot travels."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from collector_processor.receivers.skeleton import LogRecords, LogResources, LogScopes
from otel_ml import semconv
from otel_ml.errors import CorruptSnapshotError
from otel_ml.sketch import codec
from otel_ml.sketch.snapshot import ENCODING, Snapshot

_EVENT_NAME: Final = semconv.EVENT_SKETCH_SNAPSHOT
_EVENT_NAME_BYTES: Final = _EVENT_NAME.encode()
# How events were named before LogRecord had a field for it, and by what cannot set that field.
_EVENT_NAME_ATTRIBUTE: Final = "event.name"
_LONGEST_VALUE: Final = 256
"""Characters of a resource attribute: what is longer names no deployment."""


def may_hold_snapshots(encoded: bytes) -> bool:
    """Whether the name of the event stands anywhere in these bytes; without it, there is no snapshot."""
    return _EVENT_NAME_BYTES in encoded


class SnapshotReader:
    """Reads the snapshots in a request whose outer levels are known to be well-formed, and tells them from the rest.

    Args:
        resource_attributes: Keys of what snapshots should know of the resource they come with.

    Attributes:
        found: Log records that are, or claim to be, snapshots.
        snapshots: Those that could be read.
        rejected: Number of those that could not, by reason.
    """

    def __init__(self, resource_attributes: Collection[str] = ()) -> None:
        self._resource_attributes = resource_attributes
        self._payloads: list[tuple[bytes, Mapping[str, str]]] = []
        self.found = 0
        self.snapshots: list[Snapshot] = []
        self.rejected: Counter[str] = Counter()

    def reads_all(self, skeleton: Any) -> bool:
        """Whether a request holds nothing but snapshots, which are read then; otherwise none is."""
        for resource in skeleton.resources:
            of_resource = _texts(resource.resource, self._resource_attributes)
            for scope in resource.scopes:
                for encoded in scope.records:
                    record = _record(encoded)
                    if record is None:
                        self._payloads, self.found = [], 0
                        self.rejected.clear()
                        return False
                    self._take(record, of_resource)
        self._decode()
        return True

    def divide(self, request: bytes) -> tuple[bytes, bytes]:
        """The request with nothing but its snapshots, and the one without them; empty where there is nothing left.

        What goes to one side as a whole keeps its very bytes, and so does every record; both sides keep what is said
        of their resources and scopes, be it unknown to this version.
        """
        divided = self._divided(LogResources, request, self._divided_resource)
        self._decode()
        return divided

    def _divided_resource(self, encoded: bytes, _: Any) -> tuple[bytes, bytes]:
        return self._divided(LogScopes, encoded, self._divided_scope)

    def _divided_scope(self, encoded: bytes, resource: Any) -> tuple[bytes, bytes]:
        of_resource = _texts(resource.resource, self._resource_attributes)
        return self._divided(LogRecords, encoded, lambda record, _: self._divided_record(record, of_resource))

    def _divided_record(self, encoded: bytes, of_resource: Mapping[str, str]) -> tuple[bytes, bytes]:
        record = _record(encoded)
        if record is None:
            return b"", encoded
        self._take(record, of_resource)
        return encoded, b""

    def _take(self, record: LogRecord, of_resource: Mapping[str, str]) -> None:
        self.found += 1
        try:
            self._payloads.append((_checked_payload(record), of_resource))
        except _RejectedError as error:
            self.rejected[error.reason] += 1

    def _decode(self) -> None:
        payloads, self._payloads = self._payloads, []
        decoded = codec.decode_all([payload for payload, _ in payloads])
        for snapshot, (_, of_resource) in zip(decoded, payloads, strict=True):
            if isinstance(snapshot, CorruptSnapshotError):
                self.rejected["corrupt"] += 1
            else:
                self.snapshots.append(replace(snapshot, resource=of_resource) if of_resource else snapshot)

    @staticmethod
    def _divided(kind: Any, encoded: bytes, divide: Callable[[bytes, Any], tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        """A message whose parts were divided, as two of its kind."""
        message = kind.FromString(encoded)
        taken: list[bytes] = []
        left: list[bytes] = []
        for part in message.parts:
            ours, others = divide(part, message) if _EVENT_NAME_BYTES in part else (b"", part)
            if ours:
                taken.append(ours)
            if others or not ours:
                left.append(others)
        if not taken:
            return b"", encoded
        if not left:
            return encoded, b""
        return _with_parts(message, taken), _with_parts(message, left)


def _with_parts(message: Any, parts: list[bytes]) -> bytes:
    # Deleting the others one by one would take a time that grows with the square of their number.
    del message.parts[:]
    message.parts.extend(parts)
    encoded: bytes = message.SerializeToString()
    return encoded


class _RejectedError(Exception):
    """A log record claims to be a snapshot and is none that can be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _record(encoded: bytes) -> LogRecord | None:
    """The log record that is, or claims to be, a snapshot; None if it does not."""
    try:
        record = LogRecord.FromString(encoded)
    except DecodeError:
        return None
    return record if _is_snapshot(record) else None


def _is_snapshot(record: LogRecord) -> bool:
    if record.event_name:
        return record.event_name == _EVENT_NAME
    return any(
        attribute.key == _EVENT_NAME_ATTRIBUTE and attribute.value.string_value == _EVENT_NAME
        for attribute in record.attributes
    )


def _texts(resource: Iterable[bytes], wanted: Collection[str]) -> dict[str, str]:
    """The wanted attributes as texts, as far as they are a short text, a whole number or a truth value.

    Of a key that is there twice, the first counts, as it does for a Collector.
    """
    if not wanted:
        return {}
    found: dict[str, str | None] = {}
    try:
        attributes = Resource.FromString(b"".join(resource)).attributes
    except DecodeError:
        return {}
    for attribute in attributes:
        if attribute.key in wanted and attribute.key not in found:
            found[attribute.key] = _text(attribute.value)
    return {key: text for key, text in found.items() if text is not None}


def _text(value: AnyValue) -> str | None:
    kind = value.WhichOneof("value")
    if kind == "int_value":
        return str(value.int_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    # An empty one is how some templates spell that they do not know.
    return value.string_value if kind == "string_value" and 0 < len(value.string_value) <= _LONGEST_VALUE else None


def _checked_payload(record: LogRecord) -> bytes:
    """The encoded snapshot, arrived as it was sent."""
    attributes = {attribute.key: attribute.value for attribute in record.attributes}
    encoding = attributes.get(semconv.SKETCH_ENCODING)
    if encoding is not None and encoding.string_value != ENCODING:
        raise _RejectedError("unknown_encoding")
    attribute = attributes.get(semconv.SKETCH_PAYLOAD)
    # Some pipelines keep the body only; a body of text is the short one that every snapshot has.
    payload = record.body.bytes_value if attribute is None else _payload(attribute)
    if not payload:
        raise _RejectedError("missing_payload")
    checksum = attributes.get(semconv.SKETCH_CHECKSUM)
    if checksum is None or checksum.WhichOneof("value") != "int_value":
        raise _RejectedError("missing_checksum")
    if checksum.int_value != zlib.crc32(payload):
        raise _RejectedError("wrong_checksum")
    return payload


def _payload(value: AnyValue) -> bytes:
    """Bytes, or the base64 that some Collector processors and JSON turn bytes into."""
    kind = value.WhichOneof("value")
    if kind == "bytes_value":
        return value.bytes_value
    if kind != "string_value":
        raise _RejectedError("missing_payload")
    try:
        return base64.b64decode(value.string_value, validate=True)
    except (binascii.Error, ValueError):
        raise _RejectedError("missing_payload") from None

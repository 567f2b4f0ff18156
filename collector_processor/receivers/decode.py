"""From OTLP bytes to what they hold.

A request without snapshots is never taken apart: the name of the event would have to stand in its bytes. Of one with
snapshots only those are read; the rest is passed on in the bytes that came, with fields unknown to this version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse

from collector_processor.component import Signal
from collector_processor.receivers.skeleton import count_items, count_records
from collector_processor.receivers.skeleton import read_logs as read_skeleton
from collector_processor.receivers.snapshots_in_logs import SnapshotReader, may_hold_snapshots
from otel_ml.sketch.snapshot import Snapshot

__all__ = ["Logs", "count_items", "partial_success", "read_logs", "snapshots_in"]


@dataclass(frozen=True, slots=True)
class Logs:
    """A logs request, with the snapshots in it apart.

    Attributes:
        body: The request without the snapshots; the received bytes where there were none or they were to stay, and
            nothing at all where there was nothing else.
        received: Log records that came.
        remaining: Log records in `body`.
        snapshots: The snapshots that could be read.
        rejected: Number of snapshots that could not be read, by reason.
        taken: The records that were taken out, as a logs request: reading it gives `snapshots` and `rejected` again.
    """

    body: bytes
    received: int
    remaining: int
    snapshots: Sequence[Snapshot] = ()
    rejected: Counter[str] = field(default_factory=Counter)
    taken: bytes = b""


def read_logs(body: bytes, *, take: bool, resource_attributes: Collection[str] = ()) -> Logs:
    """The snapshots in a logs request, and the rest of it.

    Args:
        body: An encoded ExportLogsServiceRequest.
        take: Take the snapshots out; otherwise `body` stays as it came.
        resource_attributes: Keys of what snapshots should know of the resource they come with.

    Raises:
        UndecodableRequestError: The bytes are no logs request.
    """
    skeleton = read_skeleton(body)
    received = count_records(skeleton)
    if not may_hold_snapshots(body):
        return Logs(body, received, received)
    reader = SnapshotReader(resource_attributes)
    # Mostly there is nothing else: our own library sends them in requests of their own. Nothing is written again then.
    taken, rest = (body, b"") if reader.reads_all(skeleton) else reader.divide(body)
    if not take:
        return Logs(body, received, received, reader.snapshots, reader.rejected)
    return Logs(rest, received, received - reader.found, reader.snapshots, reader.rejected, taken)


def snapshots_in(
    signal: Signal, body: bytes, resource_attributes: Collection[str] = ()
) -> tuple[Sequence[Snapshot], Counter[str]]:
    """The snapshots in a request that was accepted before, and the number of those that cannot be read, by reason.

    Raises:
        UndecodableRequestError: The bytes are no such request.
    """
    if signal is not Signal.LOGS:
        return (), Counter()
    logs = read_logs(body, take=False, resource_attributes=resource_attributes)
    return logs.snapshots, logs.rejected


def partial_success(rejected: int, message: str) -> bytes:
    """The encoded response to a logs request of which some records were not taken (0: a mere warning)."""
    return ExportLogsServiceResponse(
        partial_success=ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=message)
    ).SerializeToString()

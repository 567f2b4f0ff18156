"""What an entry of the log holds for ourselves, read again after a restart."""

from __future__ import annotations

from collections.abc import Collection

from collector_processor.component import Entry, Request, Signal
from collector_processor.receivers import decode
from collector_processor.receivers.plain_histograms import HistogramReader


def reread(
    entry: Entry, *, resource_attributes: Collection[str] = (), histograms: HistogramReader | None = None
) -> Request:
    """The snapshots and histograms that were found in a request when it was received, with nothing to be passed on.

    Raises:
        UndecodableRequestError: The log holds what no receiver would have let in.
    """
    body = entry.taken or entry.body
    if entry.signal is Signal.METRICS and entry.is_watched and histograms is not None:
        return Request(entry.signal, b"", 0, histograms=histograms.read(entry.body).points)
    if entry.signal is not Signal.LOGS:
        return Request(entry.signal, b"", 0, taken=entry.taken)
    logs = decode.read_logs(body, take=False, resource_attributes=resource_attributes)
    return Request(entry.signal, b"", 0, logs.snapshots, taken=body)

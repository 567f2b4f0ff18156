"""The door of the service: what comes through it is safe, counted, and seen by whoever watches, in one order.

A request is accepted once the log holds it. Only then is it counted as received, and only then are snapshots in it
merged, in the order of the log, whether or not the client still waits for the answer: after a crash the same order is
read again from the log, and what was accepted counts once.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Protocol

from collector_processor.component import Entry, Log, Request, Signal
from collector_processor.errors import RefusedError, TooLargeError
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv


class Watcher(Protocol):
    """Whoever learns of every request that was accepted."""

    def observe(self, request: Request, end: int) -> None:
        """Take notice of a request that ends there in the log; never raises."""
        ...


class Intake:
    """Takes requests over into the log.

    Args:
        exported: Signals that some exporter sends; the others' results have nowhere to go.
    """

    def __init__(self, log: Log, telemetry: SelfTelemetry, exported: Collection[Signal]) -> None:
        self._log = log
        self._telemetry = telemetry
        self._exported = frozenset(exported)
        self._watcher: Watcher | None = None
        self._received = {
            signal: telemetry.series(semconv.PROCESSOR_RECEIVED, processor_signal=signal.value) for signal in Signal
        }
        self._consumed = {
            signal: telemetry.series(semconv.PROCESSOR_CONSUMED, processor_signal=signal.value) for signal in Signal
        }

    def watch(self, watcher: Watcher) -> None:
        """Tell `watcher` of every request from now on, of those made here as well."""
        self._watcher = watcher

    async def consume(self, request: Request) -> None:
        """Return once nothing can lose the request any more.

        Raises:
            TooLargeError: There will never be room for it.
            RefusedError: There is no room; nothing of the request was taken. One made here is counted as dropped then:
                nobody else would send it again.
        """
        if request.own and request.signal not in self._exported:
            return
        entry = Entry(request.signal, request.body, request.items, request.taken, request.is_watched, request.own)
        if entry.size > self._log.largest and not request.own:
            raise TooLargeError(
                f"the request is larger than the log has room for, {self._log.largest} bytes (send smaller batches, or"
                " raise store::log::max_size_mib)"
            )
        try:
            await self._log.append(entry, partial(self._accepted, request))
        except RefusedError as refused:
            if not request.own:
                raise
            self._telemetry.count(
                semconv.PROCESSOR_RESULTS,
                request.items,
                processor_signal=request.signal.value,
                processor_outcome=refused.reason,
            )

    def _accepted(self, request: Request, end: int) -> None:
        if not request.own:
            self._count(request)
        if self._watcher is not None:
            self._watcher.observe(request, end)

    def _count(self, request: Request) -> None:
        rejected = sum(request.rejected.values())
        self._received[request.signal].add(request.items + request.consumed + rejected)
        self._consumed[request.signal].add(request.consumed)
        for reason, number in request.rejected.items():
            self._telemetry.count(
                semconv.PROCESSOR_DROPPED, number, processor_signal=request.signal.value, drop_reason=reason
            )

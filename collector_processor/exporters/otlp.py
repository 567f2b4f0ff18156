"""From the log to a backend: read on, join, send, and remember how far everything is done.

What was accepted leaves, or is counted as dropped with the reason. Nothing waits here: the log keeps what a backend
does not take yet, over restarts as well where it is on disk, and refuses clients once it is full.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final

from collector_processor.component import AttributeValue, DeadLetters, Log, Signal, Store
from collector_processor.exporters.accounting import Accounting
from collector_processor.exporters.batches import Batch, batches_of
from collector_processor.exporters.cursor import Cursor, Stretch
from collector_processor.exporters.delivery import Delivery
from collector_processor.exporters.patience import Patience
from collector_processor.exporters.settings import OtlpExporterSettings
from collector_processor.exporters.transport import Transport
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv
from otel_ml.semconv import Metric

_log = logging.getLogger(__name__)

# While one batch is refused again and again, others overtake it, but not without end: a crash sends them twice.
_AHEAD_PER_BATCH: Final = 4
_LEAST_AHEAD: Final = 16 * 1024 * 1024
# A call costs as much as a hundred kilobytes in it: what is less waits while another call is on its way, so that calls
# are few under load and nothing waits without it.
_WORTH_A_CALL: Final = 64 * 1024
_GATHER_S: Final = 0.05
_LOOK_S: Final = 0.1


class OtlpExporter:
    """Sends what is in the log to one backend.

    Args:
        name: How the configuration calls it, the attribute in what is counted, and its name as a holder of the log.
        signals: Those of its pipelines; the others are passed over.
        log: Started before this.
        store: Keeps the cursor; started before this.
    """

    def __init__(
        self,
        name: str,
        settings: OtlpExporterSettings,
        transport: Transport,
        signals: Collection[Signal],
        log: Log,
        store: Store,
        dead_letters: DeadLetters,
        telemetry: SelfTelemetry,
    ) -> None:
        self.name = name
        self._in_flight_limit = settings.sending_queue.num_consumers
        self._batch = settings.sending_queue.batch
        self._ahead_limit = max(_LEAST_AHEAD, _AHEAD_PER_BATCH * self._in_flight_limit * self._batch.max_size)
        self._transport = transport
        self._signals = frozenset(signals)
        self._log = log
        self._telemetry = telemetry
        self._accounting = Accounting(name, telemetry)
        self._cursor = Cursor(name, log, store, telemetry)
        self._patience = Patience(name, settings.retry_on_failure, transport, self._accounting, telemetry)
        self._delivery = Delivery(
            name, self._patience, dead_letters, self._accounting, telemetry, is_last_chance=not log.is_durable
        )
        self._formed: deque[tuple[Batch, Stretch]] = deque()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._finished = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Send from now on, beginning where the last process was."""
        mark, end = self._cursor.start(), self._log.end
        recovered = {signal: end.items.get(signal, 0) - mark.items.get(signal, 0) for signal in self._signals}
        self._accounting.begin(mark.items, recovered)
        self._telemetry.observe(self._gauges)
        self._tasks = [
            asyncio.create_task(self._telemetry.guard("export", self._forward)),
            asyncio.create_task(self._telemetry.guard("cursor", self._cursor.keep_saved)),
        ]

    async def shutdown(self, timeout_s: float) -> None:
        """Finish what is on its way, for at most `timeout_s`, and save how far everything is done.

        What a durable log still holds stays there. What a log in memory holds is sent first, in the same time; what is
        left then is dropped and counted.
        """
        if not self._tasks:
            await self._transport.close()
            return
        deadline_s = time.monotonic() + timeout_s
        forward, saving = self._tasks
        if not self._log.is_durable:
            await self._drain(timeout_s)
        await _ended([forward])
        # What only waits to be sent again may as well wait in a log that outlives us.
        while len(self._in_flight) > (self._patience.waiting if self._log.is_durable else 0):
            remaining_s = deadline_s - time.monotonic()
            if remaining_s <= 0:
                break
            await asyncio.wait(self._in_flight, timeout=min(_LOOK_S, remaining_s))
        if self._in_flight:
            _log.warning(
                "exporters::%s: %d batches are not sent yet%s",
                self.name,
                len(self._in_flight),
                "; they stay in the log" if self._log.is_durable else ", and dropped",
            )
        await _ended([*self._in_flight, saving])
        if self._log.is_durable:
            await self._cursor.save()
        else:
            await self._drop_the_rest()
        await self._transport.close()
        self._tasks = []

    def pending(self, signal: Signal) -> int:
        """Received items of a signal that are neither sent nor dropped yet."""
        if signal not in self._signals:
            return 0
        return self._log.end.items.get(signal, 0) - self._accounting.done(signal)

    async def _forward(self) -> None:
        limit = self._batch.max_size
        while True:
            await self._until(self._has_slot)
            while self._formed:
                self._send(*self._formed.popleft())
                await self._until(self._has_slot)
            # Read only once something can be sent: what arrives meanwhile makes the next batch larger.
            await self._until(self._may_read)
            found = await self._log.read(self._cursor.position, limit)
            if found and await self._gathered(found[-1].end - self._cursor.position):
                found = await self._log.read(self._cursor.position, limit)
            if not found:
                await self._log.wait_beyond(self._cursor.position)
                continue
            stretch, lost = await self._cursor.advance(found)
            self._accounting.lost(lost)
            batches = batches_of(found, self._signals, limit)
            stretch.remaining = len(batches)
            self._formed.extend((batch, stretch) for batch in batches)
            if not batches:
                self._cursor.settle()

    async def _gathered(self, size: int) -> bool:
        """Wait for more when it is worth it, and say whether we did."""
        if self._batch.linger and size < self._batch.max_size:
            await asyncio.sleep(self._batch.linger)
            return True
        if self._in_flight and size < _WORTH_A_CALL:
            self._finished.clear()
            # Some calls take long, or wait to be repeated.
            timer = asyncio.get_running_loop().call_later(_GATHER_S, self._finished.set)
            await self._finished.wait()
            timer.cancel()
            return True
        return False

    def _has_slot(self) -> bool:
        return len(self._in_flight) < self._in_flight_limit

    def _may_read(self) -> bool:
        return self._has_slot() and self._cursor.ahead < self._ahead_limit

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for something that a batch's end can bring about."""
        while not condition():
            self._finished.clear()
            await self._finished.wait()

    def _send(self, batch: Batch, stretch: Stretch) -> None:
        task = asyncio.create_task(self._delivered(batch, stretch))
        self._in_flight.add(task)
        task.add_done_callback(self._landed)

    async def _delivered(self, batch: Batch, stretch: Stretch) -> None:
        await self._delivery.deliver(batch)
        stretch.remaining -= 1
        self._cursor.settle()

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._finished.set()

    async def _drain(self, timeout_s: float) -> None:
        """Wait until all that is in the log now is done."""
        end = self._log.end.position

        try:
            await asyncio.wait_for(self._until(lambda: self._cursor.mark.position >= end), timeout_s)
        except (TimeoutError, asyncio.TimeoutError):
            return

    async def _drop_the_rest(self) -> None:
        """Count as dropped what nobody will send: formed batches, and what was not even read."""
        for batch, _ in self._formed:
            self._accounting.dropped(batch, "shutdown")
        self._formed.clear()
        while found := await self._log.read(self._cursor.position, self._batch.max_size):
            _, lost = await self._cursor.advance(found)
            self._accounting.lost(lost)
            for batch in batches_of(found, self._signals, self._batch.max_size):
                self._accounting.dropped(batch, "shutdown")

    def _gauges(self) -> Iterable[tuple[Metric, float, Mapping[str, AttributeValue]]]:
        exporter: dict[str, AttributeValue] = {semconv.PROCESSOR_EXPORTER: self.name}
        yield semconv.PROCESSOR_QUEUE_SIZE, self._log.end.position - self._cursor.mark.position, exporter
        yield semconv.PROCESSOR_BLOCKED, int(self._patience.is_blocked), exporter
        for signal in self._signals:
            yield semconv.PROCESSOR_PENDING, self.pending(signal), {**exporter, semconv.PROCESSOR_SIGNAL: signal.value}


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: before Python 3.12, `wait_for` can swallow a cancellation."""
    remaining = set(tasks)
    while remaining:
        for task in remaining:
            task.cancel()
        _, remaining = await asyncio.wait(remaining, timeout=1.0)

"""Entries that wait for the disk: those being written go together, and the next ones gather meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from collector_processor.component import Entry
from collector_processor.store.log.readers import Waiters
from collector_processor.store.log.refusals import SHUTTING_DOWN, refused


class Waiting(NamedTuple):
    """An entry on its way to the disk, and who waits for it."""

    entry: Entry
    committed: Callable[[int], None] | None
    future: asyncio.Future[int]
    cost: int


class GroupCommit:
    """Gathers entries into batches, one of them being written at a time.

    Args:
        linger_s: How long to wait for more before a batch is written, while requests come together: a client that
            waits for each answer before it sends the next request would wait for nothing.
        write: Begins to write entries; `settled` is called when that is done.

    Attributes:
        cost: What all that waits will take on disk at most.
    """

    def __init__(self, linger_s: float, write: Callable[[Sequence[Entry]], None]) -> None:
        self.cost = 0
        self._linger_s = linger_s
        self._begin_writing = write
        self._pending: list[Waiting] = []
        self._batch: Sequence[Waiting] = ()
        self._come_together = False
        self._timer: asyncio.Handle | None = None
        self._progress = Waiters()

    def put(self, entry: Entry, committed: Callable[[int], None] | None, cost: int) -> asyncio.Future[int]:
        """Let an entry wait for the next batch, and return what becomes of it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._pending.append(Waiting(entry, committed, future, cost))
        self.cost += cost
        if self._timer is None and not self._batch:
            self._schedule(loop)
        return future

    def settled(self) -> Sequence[Waiting]:
        """Return the batch that was written."""
        batch, self._batch = self._batch, ()
        self.cost -= sum(waiting.cost for waiting in batch)
        return batch

    def go_on(self) -> None:
        """Write what has gathered meanwhile, after lingering for more."""
        if self._pending:
            self._schedule(asyncio.get_running_loop())
        self._progress.wake()

    async def drain(self, timeout_s: float) -> bool:
        """Whether everything was written within a time, no longer lingering; what was not is refused then."""
        self._linger_s = 0.0
        self._write()
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + timeout_s
        while self._batch or self._pending:
            try:
                await asyncio.wait_for(self._progress.growth(), deadline_s - loop.time())
            except asyncio.TimeoutError:
                break
        left = [*self._batch, *self._pending]
        self._pending = []
        for waiting in left:
            if not waiting.future.done():
                waiting.future.set_exception(refused(SHUTTING_DOWN))
        return not left

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is None:
            # Even without lingering, what arrives in this turn of the loop goes together.
            later = self._linger_s if self._come_together else 0.0
            self._timer = loop.call_later(later, self._write) if later else loop.call_soon(self._write)

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending and not self._batch:
            self._batch, self._pending = self._pending, []
            self._come_together = len(self._batch) > 1
            self._begin_writing([waiting.entry for waiting in self._batch])

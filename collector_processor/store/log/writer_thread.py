"""The thread that writes for a log, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue

from collector_processor.component import Entry
from collector_processor.store.log.segment import Segment
from collector_processor.store.log.segment_writer import Outcome, SegmentWriter

_log = logging.getLogger(__name__)


class WriterThread:
    """Does one thing after another, and says on the event loop it was made on what came of each.

    A thread of ours and not an executor's: a batch of one entry is as cheap as that, and a disk that hangs does not
    keep the process from ending.
    """

    def __init__(self, writer: SegmentWriter) -> None:
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def commit(self, entries: Sequence[Entry], ceiling: int, done: Callable[[Outcome], None]) -> None:
        """Write a batch."""
        self._work.put(lambda: self._say(done, self._writer.commit(entries, ceiling)))

    def rotate(self, ceiling: int, done: Callable[[Outcome], None]) -> None:
        """Begin a new segment."""
        self._work.put(lambda: self._say(done, self._writer.rotate(ceiling)))

    def unlink(self, segments: Sequence[Segment]) -> None:
        """Throw segments away, before anything that is asked for later."""
        self._work.put(lambda: _unlink(segments))

    async def close(self, timeout_s: float) -> None:
        """Close the file and end, once all that was asked for is done; wait no longer than `timeout_s` for that."""
        self._work.put(self._writer.close)
        self._work.put(None)
        await asyncio.to_thread(self._thread.join, timeout_s)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                _log.exception("log: the thread that writes goes on after an error")

    def _say(self, done: Callable[[Outcome], None], outcome: Outcome) -> None:
        # Nobody is there to hear it once the loop is closed.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(done, outcome)


def _unlink(segments: Sequence[Segment]) -> None:
    for segment in segments:
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            # It comes back at the next start, and everybody is past it then.
            _log.warning("log: %s cannot be removed: %s", segment.path, error.strerror)

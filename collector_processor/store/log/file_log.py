"""The write-ahead log: nothing is acknowledged before it is on disk, and one trip to the disk serves all who wait.

The event loop keeps the accounts: what waits, where the log ends, who still needs what. One thread writes: it gets a
batch, and while it writes, the next one gathers. Positions count bytes of entries, from segment to segment and over
restarts; what is held on disk is therefore the difference of two positions, and a header for each segment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final

from collector_processor.component import Entry, Mark, Signal, Stored
from collector_processor.errors import StartError
from collector_processor.store.log import recovery
from collector_processor.store.log.damage import Damages
from collector_processor.store.log.frames import frame_bytes
from collector_processor.store.log.group_commit import GroupCommit
from collector_processor.store.log.held_segments import HeldSegments
from collector_processor.store.log.readers import Holds, Listeners, Waiters
from collector_processor.store.log.refusals import (
    BUSY,
    DISK_ERROR,
    LOG_FULL,
    SHUTTING_DOWN,
    disk_reason,
    received_share,
    refused,
)
from collector_processor.store.log.segment import HEADER_BYTES, make_directory
from collector_processor.store.log.segment_writer import Outcome, SegmentWriter
from collector_processor.store.log.tail import Tail
from collector_processor.store.log.writer_thread import WriterThread
from collector_processor.store.settings import LogSettings

_log = logging.getLogger(__name__)

_MIB: Final = 1 << 20
# Segments are thrown away whole: a budget of few of them would be held by their unread ends.
_SEGMENTS_IN_BUDGET: Final = 8
# Readers that keep up find their entries here, and cost no reading, checking and copying.
_TAIL_BYTES: Final = 16 * _MIB
_RETRY_S: Final = 1.0
# What closing a file takes at most, unless the disk hangs.
_CLOSING_S: Final = 1.0
# What an entry costs beside its bytes at most: its head, and a segment of its own.
_ENTRY_BYTES: Final = frame_bytes(0) + HEADER_BYTES


class FileLog:
    """Requests on disk, in the order in which they were accepted.

    Args:
        directory: Of the segments; made if it is not there.
        holders: Nothing is thrown away before each of them has held the log once.

    Attributes:
        budget_bytes: What the segments may take on disk, allocated room included. Received entries may take 95 % of it.
        commits: How many batches were written.
        committed_entries: How many entries were in them.
        refused_entries: How many entries the disk did not take.
        damages: What was found to be lost since start.
    """

    def __init__(self, directory: Path, settings: LogSettings, holders: Collection[str]) -> None:
        self.budget_bytes = settings.max_size_mib * _MIB
        self.commits = 0
        self.committed_entries = 0
        self.refused_entries = 0
        self.damages = Damages()
        self._directory = directory
        self._waiting_limit = settings.max_waiting_mib * _MIB
        self._segment_bytes = min(settings.segment_size_mib * _MIB, self.budget_bytes // _SEGMENTS_IN_BUDGET)
        self._holds = Holds(holders)
        self._waiters = Waiters()
        self._listeners = Listeners()
        # Known from start on.
        self._segments = HeldSegments()
        self._position = 0
        self._items = dict.fromkeys(Signal, 0)
        self._tail = Tail(0)
        self._thread: WriterThread | None = None
        self._commits = GroupCommit(settings.linger, self._write)
        self._is_closing = False
        self._is_rotating = False
        self._wants_room = False
        self._last_reason: str | None = None

    @property
    def is_durable(self) -> bool:
        """It outlives the process."""
        return True

    @property
    def begin(self) -> Mark:
        """The oldest entry that is still there, or the end."""
        return self._segments.begin or self.end

    @property
    def end(self) -> Mark:
        """Where the next entry goes; everything before it is safe."""
        return Mark(self._position, dict(self._items))

    @property
    def size_bytes(self) -> int:
        """What is held on disk: entries that somebody needs, and those that share a segment with them."""
        return self._segments.size(self._position)

    async def start(self) -> None:
        """Find what is there, and make ready to write behind it.

        Raises:
            StartError: The directory cannot be used, or is of another version.
        """
        try:
            await asyncio.to_thread(make_directory, self._directory)
            recovered = await asyncio.to_thread(recovery.recover, self._directory)
        except OSError as error:
            raise StartError(
                f"store::directory: {str(self._directory)!r} cannot be used: {error.strerror or error} (a directory of"
                " ours, or a new one)"
            ) from error
        for damage in recovered.damages:
            self.damages.add(damage)
        self._segments = HeldSegments(recovered.segments)
        self._position, self._items = recovered.end.position, dict(recovered.end.items)
        self._tail = Tail(self._position)
        writer = SegmentWriter(self._directory, recovered.end, self._segment_bytes)
        # With a segment at once, so that nobody waits for it, and the end is on disk whatever is thrown away before it.
        # Where there is no room for it, each entry tries again.
        outcome = await asyncio.to_thread(writer.rotate, self._ceiling)
        if outcome.error is not None and disk_reason(outcome.error) == DISK_ERROR:
            raise StartError(
                f"store::directory: {str(self._directory)!r} cannot be written: {outcome.error.strerror} (a directory"
                " of ours, or a new one)"
            )
        self._note(outcome)
        self._thread = WriterThread(writer)
        self._holds.limit_to(self._position)
        self._release()

    async def shutdown(self, timeout_s: float) -> None:
        """Write what waits, and close."""
        self._is_closing = True
        thread = self._thread
        if thread is None:
            return
        if not await self._commits.drain(timeout_s):
            _log.error("log: the disk did not take what waits within %.1f s", timeout_s)
        await thread.close(_CLOSING_S)
        self._thread = None

    @property
    def largest(self) -> int:
        """Bytes of the largest received entry that there is room for when nothing else is there."""
        return received_share(self.budget_bytes) - _ENTRY_BYTES - HEADER_BYTES

    def refusal(self, size: int, *, own: bool = False) -> str | None:
        """Why an entry of so many bytes would not be taken now; None if it would."""
        if self._is_closing or self._thread is None:
            return SHUTTING_DOWN
        if self._commits.cost and not own and self._commits.cost + size > self._waiting_limit:
            return BUSY
        limit = self.budget_bytes if own else received_share(self.budget_bytes)
        if self.size_bytes + self._commits.cost + _ENTRY_BYTES + size <= limit:
            return None
        # Perhaps it is the open segment that is in the way, though nobody needs what is in it.
        self._wants_room = True
        self._release()
        return LOG_FULL

    async def append(self, entry: Entry, committed: Callable[[int], None] | None = None) -> int:
        """Keep an entry, and return its end once nothing short of losing the disk can lose it.

        Raises:
            RefusedError: There is no room, or the disk failed; nothing was kept.
        """
        size = entry.size
        reason = self.refusal(size, own=entry.own)
        if reason is not None:
            raise refused(reason)
        return await self._commits.put(entry, committed, size + _ENTRY_BYTES)

    async def read(self, position: int, limit_bytes: int) -> Sequence[Stored]:
        """Entries from a position on, about as many as `limit_bytes` hold, at least one; none at the end."""
        while True:
            position = self.damages.behind(position)
            if position >= self._tail.begin:
                return self._tail.read(position, limit_bytes)
            segments = self._segments.all
            try:
                stored, damages = await asyncio.to_thread(recovery.read, segments, self.end, position, limit_bytes)
            except OSError:
                _log.exception("log: cannot be read now; trying again")
                await asyncio.sleep(_RETRY_S)
                continue
            for damage in damages:
                # What was thrown away meanwhile is not lost.
                if damage.after.position > self.begin.position:
                    self.damages.add(damage)
            return stored

    async def wait_beyond(self, position: int) -> None:
        """Return once there is an entry at or behind a position."""
        while self._position <= self.damages.behind(position):
            await self._waiters.growth()

    async def mark_at(self, position: int) -> Mark:
        """The mark at a place where an entry begins or ends; at the begin or the end for what lies outside.

        Reads up to a whole segment: for when a reader starts.
        """
        if position >= self._position:
            return self.end
        return await asyncio.to_thread(recovery.mark_at, self._segments.all, self.end, position)

    def hold(self, holder: str, position: int) -> None:
        """Keep everything from a position on for `holder`, and no longer what lies before it."""
        self._holds.hold(holder, position)
        if self._thread is not None:
            self._holds.limit_to(self._position)
            self._release()

    @property
    def _ceiling(self) -> int:
        """Up to which position the budget allows files to be allocated, the header of the next one counted."""
        return self.begin.position + self.budget_bytes - HEADER_BYTES * (len(self._segments.all) + 1)

    def _write(self, entries: Sequence[Entry]) -> None:
        assert self._thread is not None, "entries are taken between start and shutdown"
        self._thread.commit(entries, self._ceiling, self._settle)

    def _settle(self, outcome: Outcome) -> None:
        """Count what is on disk now, and tell those who wait, in the order of the log."""
        batch = self._commits.settled()
        self._note(outcome)
        for (entry, committed, future, _), end in zip(batch, outcome.ends, strict=False):
            self._tail.append(Stored(self._position, end, entry))
            self._position = end
            if not entry.own:
                self._items[entry.signal] += entry.items
            if committed is not None:
                self._listeners.call(committed, end)
            if not future.done():
                future.set_result(end)
        self._tail.shrink_to(_TAIL_BYTES)
        failed = batch[len(outcome.ends) :]
        self.refused_entries += len(failed)
        for waiting in failed:
            if not waiting.future.done():
                waiting.future.set_exception(refused(disk_reason(outcome.error or OSError())))
        if outcome.ends:
            self.commits += 1
            self.committed_entries += len(outcome.ends)
            self._waiters.wake()
        self._release()
        self._commits.go_on()

    def _note(self, outcome: Outcome) -> None:
        """Take over segments that were begun; log the first failure of a kind, and the end of it."""
        self._segments.add(outcome.opened)
        reason = None if outcome.error is None else disk_reason(outcome.error)
        if reason != self._last_reason:
            self._last_reason = reason
            if outcome.error is None:
                _log.info("log: the disk takes entries again")
            else:
                _log.error("log: entries are refused, %s: %s", reason, outcome.error)

    def _release(self) -> None:
        """Throw away what nobody needs any more."""
        released = self._holds.released(self._position)
        if released is None or self._thread is None:
            return
        self._tail.drop_before(released)
        if gone := self._segments.drop_before(released):
            self._thread.unlink(gone)
            self.damages.forget_before(self.begin.position)
        if released == self._position and not self._is_rotating:
            used = self._segments.used(self._position)
            if 2 * used > self._segment_bytes or (used and self._wants_room):
                self._is_rotating = True
                self._thread.rotate(self._ceiling, self._rotated)

    def _rotated(self, outcome: Outcome) -> None:
        self._is_rotating = self._wants_room = False
        self._note(outcome)
        self._release()

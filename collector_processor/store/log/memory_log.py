"""The log of a processor without a directory: in memory, and gone with the process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from collector_processor.component import Entry, Mark, Signal, Stored
from collector_processor.store.log.frames import frame_bytes
from collector_processor.store.log.readers import Holds, Listeners, Waiters
from collector_processor.store.log.refusals import LOG_FULL, SHUTTING_DOWN, received_share, refused
from collector_processor.store.log.tail import Tail
from collector_processor.store.settings import LogSettings

_MIB = 1 << 20


class MemoryLog:
    """Requests in memory, in the order in which they were accepted.

    Args:
        holders: Nothing is forgotten before each of them has held the log once.

    Attributes:
        budget_bytes: What the entries may take; received ones may take 95 % of it.
        commits: How many entries were ever taken; each is a commit of its own.
        committed_entries: The same.
    """

    def __init__(self, settings: LogSettings, holders: Collection[str]) -> None:
        self.budget_bytes = settings.max_size_mib * _MIB
        self.commits = 0
        self.committed_entries = 0
        self._holds = Holds(holders)
        self._waiters = Waiters()
        self._listeners = Listeners()
        self._tail = Tail(0)
        self._position = 0
        self._items = dict.fromkeys(Signal, 0)
        self._begin_items = dict.fromkeys(Signal, 0)
        self._is_closed = False

    @property
    def is_durable(self) -> bool:
        """It ends with the process."""
        return False

    @property
    def begin(self) -> Mark:
        """The oldest entry that is still there, or the end."""
        return Mark(self._tail.begin, dict(self._begin_items))

    @property
    def end(self) -> Mark:
        """Where the next entry goes."""
        return Mark(self._position, dict(self._items))

    @property
    def size_bytes(self) -> int:
        """What the entries take that are held."""
        return self._tail.size

    async def start(self) -> None:
        """Nothing to do."""

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - takes no time
        """Take nothing any more."""
        self._is_closed = True

    @property
    def largest(self) -> int:
        """Bytes of the largest received entry that there is room for when nothing else is there."""
        return received_share(self.budget_bytes) - frame_bytes(0)

    def refusal(self, size: int, *, own: bool = False) -> str | None:
        """Why an entry of so many bytes would not be taken now; None if it would."""
        if self._is_closed:
            return SHUTTING_DOWN
        limit = self.budget_bytes if own else received_share(self.budget_bytes)
        return None if self._tail.size + frame_bytes(size) <= limit else LOG_FULL

    async def append(self, entry: Entry, committed: Callable[[int], None] | None = None) -> int:
        """Keep an entry, and return its end.

        Raises:
            RefusedError: There is no room.
        """
        reason = self.refusal(entry.size, own=entry.own)
        if reason is not None:
            raise refused(reason)
        begin = self._position
        self._position = end = begin + frame_bytes(entry.size)
        if not entry.own:
            self._items[entry.signal] += entry.items
        self._tail.append(Stored(begin, end, entry))
        self.commits += 1
        self.committed_entries += 1
        if committed is not None:
            self._listeners.call(committed, end)
        self._release()
        self._waiters.wake()
        return end

    async def read(self, position: int, limit_bytes: int) -> Sequence[Stored]:
        """Entries from a position on, about as many as `limit_bytes` hold, at least one; none at the end."""
        return self._tail.read(position, limit_bytes)

    async def wait_beyond(self, position: int) -> None:
        """Return once there is an entry at or behind a position."""
        while self._position <= position:
            await self._waiters.growth()

    async def mark_at(self, position: int) -> Mark:
        """The mark at a place where an entry begins or ends; at the begin or the end for what lies outside."""
        items = dict(self._begin_items)
        for stored in self._tail.before(position):
            if not stored.entry.own:
                items[stored.entry.signal] += stored.entry.items
        return Mark(max(self._tail.begin, min(position, self._position)), items)

    def hold(self, holder: str, position: int) -> None:
        """Keep everything from a position on for `holder`, and no longer what lies before it."""
        self._holds.hold(holder, position)
        self._holds.limit_to(self._position)
        self._release()

    def _release(self) -> None:
        released = self._holds.released(self._position)
        if released is None:
            return
        for stored in self._tail.drop_before(released):
            if not stored.entry.own:
                self._begin_items[stored.entry.signal] += stored.entry.items

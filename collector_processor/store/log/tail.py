"""The latest entries of a log in memory, found by position."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

from collector_processor.component import Entry, Signal, Stored

_POSITION: Final = itemgetter(0)
_GONE: Final = Stored(-1, -1, Entry(Signal.LOGS, b"", 0))


class Tail:
    """All entries of a log from a position on.

    Attributes:
        begin: Nothing before this is here, everything from here on is.
        size: What the entries are long together, as positions count.
    """

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.size = 0
        # Places of dropped entries are swept up when they are the most, so that dropping costs what is dropped.
        self._entries: list[Stored] = []
        self._first = 0

    def append(self, stored: Stored) -> None:
        """Take the next entry of the log."""
        self._entries.append(stored)
        self.size += stored.end - stored.position

    def read(self, position: int, limit_bytes: int) -> list[Stored]:
        """Entries from a position on, as many as the limit allows, but at least one if there is any."""
        found: list[Stored] = []
        for index in range(self._index(position), len(self._entries)):
            stored = self._entries[index]
            limit_bytes -= stored.end - stored.position
            if limit_bytes < 0 and found:
                break
            found.append(stored)
        return found

    def before(self, position: int) -> Sequence[Stored]:
        """The entries before a position."""
        return self._entries[self._first : self._index(position)]

    def drop_before(self, position: int) -> Sequence[Stored]:
        """Forget the entries before a position, and return them."""
        index = self._index(position)
        dropped = self._entries[self._first : index]
        if dropped:
            self.size -= sum(stored.end - stored.position for stored in dropped)
            self.begin = dropped[-1].end
            self._entries[self._first : index] = [_GONE] * len(dropped)
            self._first = index
            if 2 * self._first > len(self._entries):
                del self._entries[: self._first]
                self._first = 0
        return dropped

    def shrink_to(self, size: int) -> None:
        """Forget the oldest entries until the others are no longer than `size`."""
        excess, end = self.size - size, self.begin
        if excess <= 0:
            return
        for index in range(self._first, len(self._entries)):
            stored = self._entries[index]
            excess -= stored.end - stored.position
            end = stored.end
            if excess <= 0:
                break
        self.drop_before(end)

    def _index(self, position: int) -> int:
        return bisect_left(self._entries, position, self._first, key=_POSITION)

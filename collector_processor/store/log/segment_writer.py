"""Writes batches of entries, each safe on disk before the next, from segment to segment."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from collector_processor.component import Entry, Mark
from collector_processor.store.log.frames import encode, frame_bytes
from collector_processor.store.log.segment import HEADER_BYTES, Segment, create

# What one system call takes; the same on every Linux.
_MOST_BUFFERS: Final = 1024
# How small a segment gets, against its usual size, on a disk that is nearly full. The rest is left to the store of
# cursors and checkpoints: without room there, nothing could ever leave the log again.
_SMALL_SEGMENT: Final = 8


@dataclass(slots=True)
class Outcome:
    """What became of a batch.

    Attributes:
        ends: Where each entry that is safe now ends; the entries after those were not kept.
        opened: Segments that were begun.
        error: Why the others were not kept.
    """

    ends: list[int] = field(default_factory=list)
    opened: list[Segment] = field(default_factory=list)
    error: OSError | None = None


class SegmentWriter:
    """Writes behind an end; used from one thread at a time.

    Args:
        segment_bytes: Of one file; larger where an entry is.
    """

    def __init__(self, directory: Path, end: Mark, segment_bytes: int) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._position = end.position
        self._items = dict(end.items)
        self._file: int | None = None
        # Of the open segment: where it begins, and up to where there is room in it.
        self._base = self._limit = end.position

    def commit(self, entries: Sequence[Entry], ceiling: int) -> Outcome:
        """Write entries; never raises.

        Args:
            ceiling: Up to which position files may be allocated; an entry goes beyond where it has to.
        """
        outcome = Outcome()
        try:
            while len(outcome.ends) < len(entries):
                need = frame_bytes(entries[len(outcome.ends)].size)
                if self._file is None or self._position + need > self._limit:
                    outcome.opened.append(self._next_segment(need, ceiling))
                    ceiling -= HEADER_BYTES
                outcome.ends += self._write(entries, len(outcome.ends))
        except Exception as error:
            # Whatever it is, the entries were not kept, and the next ones deserve another try.
            outcome.error = error if isinstance(error, OSError) else OSError(errno.EIO, repr(error))
            self._abandon()
        return outcome

    def rotate(self, ceiling: int) -> Outcome:
        """Begin a new segment unless the open one is empty; never raises."""
        outcome = Outcome()
        if self._file is None or self._position > self._base:
            try:
                outcome.opened.append(self._next_segment(0, ceiling))
            except OSError as error:
                outcome.error = error
        return outcome

    def close(self) -> None:
        """Give back the room that was not written to."""
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.ftruncate(file, self._position - self._base + HEADER_BYTES)
            with suppress(OSError):
                os.close(file)

    def _next_segment(self, need: int, ceiling: int) -> Segment:
        self.close()
        usual = min(self._segment_bytes, ceiling - self._position)
        begin = Mark(self._position, dict(self._items))
        size = max(usual, need + HEADER_BYTES)
        try:
            segment, file = create(self._directory, begin, size)
        except OSError as error:
            size = max(usual // _SMALL_SEGMENT, need + HEADER_BYTES)
            if error.errno != errno.ENOSPC:
                raise
            segment, file = create(self._directory, begin, size)
        self._file, self._base, self._limit = file, self._position, self._position + size - HEADER_BYTES
        return segment

    def _write(self, entries: Sequence[Entry], first: int) -> list[int]:
        """Write as many entries as the open segment has room for, and return their ends."""
        assert self._file is not None
        buffers: list[bytes] = []
        ends: list[int] = []
        end = self._position
        for index in range(first, len(entries)):
            entry = entries[index]
            if end + frame_bytes(entry.size) > self._limit:
                break
            end = encode(entry, end, buffers)
            ends.append(end)
        write_all(self._file, buffers, self._position - self._base + HEADER_BYTES)
        os.fdatasync(self._file)
        self._position = end
        for entry in entries[first : first + len(ends)]:
            if not entry.own:
                self._items[entry.signal] += entry.items
        return ends

    def _abandon(self) -> None:
        """Leave the open segment as it was before what failed: what the disk has of it nobody knows.

        Should cutting fail as well, then the next segment still begins where this one was good, and with that ends it.
        """
        if self._file is not None:
            with suppress(OSError):
                os.ftruncate(self._file, self._position - self._base + HEADER_BYTES)
                os.fsync(self._file)
        self.close()


def write_all(file: int, buffers: Sequence[bytes], offset: int) -> None:
    """Write buffers one after another, however many and however little the system takes at once.

    Raises:
        OSError: Not everything was written.
    """
    index = 0
    while index < len(buffers):
        some = buffers[index : index + _MOST_BUFFERS]
        index += len(some)
        left = sum(map(len, some))
        rest: list[bytes | memoryview] = list(some)
        while left:
            written = os.pwritev(file, rest, offset)
            if not written:
                raise OSError(errno.EIO, "nothing was written")
            offset += written
            left -= written
            if left:
                rest = _without(rest, written)


def _without(buffers: list[bytes | memoryview], written: int) -> list[bytes | memoryview]:
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [memoryview(buffer)[written:], *buffers[index + 1 :]]
        written -= len(buffer)
    return []

"""The segments that are on disk, the oldest first; the last one is being written."""

from __future__ import annotations

from collections.abc import Sequence

from collector_processor.component import Mark
from collector_processor.store.log.segment import HEADER_BYTES, Segment


class HeldSegments:
    """Segments from the oldest that somebody needs to the one that is open.

    Their size is a matter of positions: entries lie without gaps from one file to the next, each behind a header.
    """

    def __init__(self, segments: Sequence[Segment] = ()) -> None:
        self._segments = tuple(segments)

    @property
    def all(self) -> Sequence[Segment]:
        """The segments as they are now; another object when they change."""
        return self._segments

    @property
    def begin(self) -> Mark | None:
        """Where the oldest begins."""
        return self._segments[0].begin if self._segments else None

    def size(self, end: int) -> int:
        """What they take on disk up to an end."""
        if not self._segments:
            return 0
        return end - self._segments[0].begin.position + HEADER_BYTES * len(self._segments)

    def used(self, end: int) -> int:
        """How much of that is in the open one."""
        return end - self._segments[-1].begin.position if self._segments else 0

    def add(self, opened: Sequence[Segment]) -> None:
        """Take over segments that were begun."""
        for segment in opened:
            # One that begins where the last one does replaced it: that had held nothing.
            is_same = self._segments and self._segments[-1].begin.position == segment.begin.position
            self._segments = (*(self._segments[:-1] if is_same else self._segments), segment)

    def drop_before(self, position: int) -> Sequence[Segment]:
        """Let go of the segments that end before a position, but never of the open one, and return them."""
        index = 0
        while index + 1 < len(self._segments) and self._segments[index + 1].begin.position <= position:
            index += 1
        gone, self._segments = self._segments[:index], self._segments[index:]
        return gone

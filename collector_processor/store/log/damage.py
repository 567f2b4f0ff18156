"""What of a log cannot be read any more: known, so that it is counted once, and stepped over."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

from collector_processor.component import Mark, Signal

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Damage:
    """Entries that are lost, from one position to another, where the next good one may be.

    Attributes:
        before: The mark where it begins.
        after: The mark where it ends.
        what: What is wrong, and where.
    """

    before: Mark
    after: Mark
    what: str

    @property
    def items(self) -> dict[Signal, int]:
        """What was in there."""
        return {signal: max(0, count - self.before.items[signal]) for signal, count in self.after.items.items()}


class Damages:
    """All damage known, each counted once, however many readers meet it.

    Attributes:
        segments: How many segments have some.
        lost_bytes: How much of the log cannot be read.
        lost_items: Received items in there.
    """

    def __init__(self) -> None:
        self.segments = 0
        self.lost_bytes = 0
        self.lost_items: Counter[Signal] = Counter()
        self._ranges: dict[int, int] = {}
        # By where a damage ends: the earliest place where it was met. Another reader may meet it further behind.
        self._earliest: dict[int, Mark] = {}

    def add(self, damage: Damage) -> None:
        """Count a damage and say so, as far as it is not known."""
        begin, end = damage.before.position, damage.after.position
        self._ranges[begin] = end
        known = self._earliest.get(end)
        if known is not None and known.position <= begin:
            return
        self._earliest[end] = damage.before
        new = Damage(damage.before, known or damage.after, damage.what)
        self.segments += known is None
        self.lost_bytes += new.after.position - begin
        self.lost_items.update(new.items)
        lost = ", ".join(f"{count} of {signal.value}" for signal, count in new.items.items() if count)
        _log.error("log: %s; %d bytes are lost (%s)", new.what, new.after.position - begin, lost or "no items")

    def behind(self, position: int) -> int:
        """The first position from `position` on that is not damaged, as far as is known."""
        while (end := max((e for b, e in self._ranges.items() if b <= position < e), default=position)) != position:
            position = end
        return position

    def forget_before(self, position: int) -> None:
        """Forget what nobody can read any more."""
        self._ranges = {begin: end for begin, end in self._ranges.items() if end > position}
        self._earliest = {end: mark for end, mark in self._earliest.items() if end > position}

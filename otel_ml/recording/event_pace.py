"""How many single events a process may emit in a second, whatever they are about."""

from __future__ import annotations

import time
from typing import Final

MAX_PER_S: Final = 1_000
"""A log record costs 14 µs, and the SDK holds 2,048 of them for a second before it lets the oldest go: among them
might be a snapshot. So events of single rows and labels together stay below half of that."""


class EventPace:
    """Counts events within each second."""

    def __init__(self) -> None:
        self._left = MAX_PER_S
        self._second = 0.0

    def may_emit(self) -> bool:
        """Whether there is room for one more event in this second."""
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._second, self._left = now, MAX_PER_S
        return self._left > 0

    def emitted(self) -> None:
        """Count one."""
        self._left -= 1

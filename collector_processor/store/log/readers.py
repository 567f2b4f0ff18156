"""Those whom a log serves: up to where each has let go of it, who waits for it to grow, who is called back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

_log = logging.getLogger(__name__)


class Holds:
    """Up to where a log may forget.

    Args:
        holders: Nothing is forgotten before each of them has said what it needs.
    """

    def __init__(self, holders: Collection[str]) -> None:
        self._silent = set(holders)
        self._positions: dict[str, int] = {}

    def hold(self, holder: str, position: int) -> None:
        """Note that a holder needs everything from a position on; what it has let go once, it does not get back."""
        self._silent.discard(holder)
        self._positions[holder] = max(position, self._positions.get(holder, position))

    def limit_to(self, end: int) -> None:
        """Take a position beyond the end, of some other log, as the end: what comes next is not let go of."""
        self._positions = {holder: min(end, position) for holder, position in self._positions.items()}

    def released(self, end: int) -> int | None:
        """The position before which nobody needs anything, at most `end`; None as long as somebody has not spoken."""
        return None if self._silent else min(self._positions.values(), default=end)


class Waiters:
    """Those who wait for the log to grow."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[None]] = set()

    async def growth(self) -> None:
        """Return when the log has grown."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._futures.add(future)
        try:
            await future
        finally:
            self._futures.discard(future)

    def wake(self) -> None:
        """Say that it has grown."""
        for future in self._futures:
            if not future.done():
                future.set_result(None)


class Listeners:
    """Calls back those who want to know of entries, and is not impressed by what they raise."""

    def __init__(self) -> None:
        self._has_failed = False

    def call(self, committed: Callable[[int], None], end: int) -> None:
        """Say that an entry is safe; the first failure is logged."""
        try:
            committed(end)
        except Exception:
            if not self._has_failed:
                self._has_failed = True
                _log.exception("log: an entry that is safe could not be used; further failures are not logged")

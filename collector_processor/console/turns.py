"""Whose turn it is to ask the history: few at a time, so that those who write into it get theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

ResultT = TypeVar("ResultT")

_AT_A_TIME: Final = 2
_WAITING: Final = 256


class BusyError(Exception):
    """So many wait already that one more would wait for too long."""


class Turns:
    """Lets questions through one after the other.

    A server counts connections, and whoever closes one may open the next: without a bound, what nobody waits for any
    more would pile up.

    Args:
        at_a_time: Questions that are being answered, or lie in the queue of the thread that writes as well.
        waiting: Others that may wait.
    """

    def __init__(self, at_a_time: int = _AT_A_TIME, waiting: int = _WAITING) -> None:
        self._turns = asyncio.Semaphore(at_a_time)
        self._limit = at_a_time + waiting
        self._inside = 0

    async def take(
        self, question: Callable[[], Awaitable[ResultT]], *, has_left: Callable[[], Awaitable[bool]]
    ) -> ResultT | None:
        """The answer; None where who asked has left before its turn came.

        Raises:
            BusyError: Too many wait.
        """
        if self._inside >= self._limit:
            raise BusyError
        self._inside += 1
        try:
            async with self._turns:
                return None if await has_left() else await question()
        finally:
            self._inside -= 1

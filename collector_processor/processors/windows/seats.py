"""Who may have something of its own, where that is not for everybody."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)

_PATIENCE: Final = 12
"""Windows after which who was not seen makes room."""


class Seats(Generic[KeyT]):
    """A bounded number of seats, first come, first served: a flood of new names takes nobody's.

    Args:
        limit: How many.
        length: Of a window, in nanoseconds.
    """

    __slots__ = ("_latest", "_length", "_limit", "_swept")

    def __init__(self, limit: int, length: int) -> None:
        self._limit = limit
        self._length = length
        self._latest: dict[KeyT, int] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._latest)

    def take(self, key: KeyT, at: int) -> bool:
        """Whether `key` has a seat in the window that begins `at`."""
        latest = self._latest.get(key)
        if latest is None:
            if len(self._latest) >= self._limit:
                self._sweep(at)
            if len(self._latest) >= self._limit:
                return False
            latest = at
        self._latest[key] = max(latest, at)
        return True

    def _sweep(self, at: int) -> None:
        # Once a window: a flood asks thousands of times.
        if at > self._swept:
            self._swept = at
            oldest = at - _PATIENCE * self._length
            self._latest = {key: latest for key, latest in self._latest.items() if latest >= oldest}

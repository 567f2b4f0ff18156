"""What sums have grown by lately: sums only grow, and people ask how things are now."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

EVERY_S: Final = 60.0
"""How often a reading is taken."""
SPAN_S: Final = 3600.0
"""How far back they go."""

_SECOND: Final = 1_000_000_000
_SPAN: Final = round(SPAN_S * _SECOND)
# One more than fit into the span, for a minute may be a little short; beyond that a clock was set back.
_READINGS: Final = round(SPAN_S / EVERY_S) + 1

SeriesKey: TypeAlias = tuple[str, frozenset[tuple[str, object]]]
"""Of a sum: the name of its metric, and its attributes."""


@dataclass(frozen=True, slots=True)
class Recent:
    """What a sum has grown by within the span, and when it grew last, to the minute.

    Attributes:
        latest_unix_nano: End of the minute; None if it never grew.
    """

    grown: int
    latest_unix_nano: int | None


class Readings:
    """A ring of readings; each holds by how much sums have grown since the one before, those that did."""

    def __init__(self) -> None:
        self._ring: deque[tuple[int, Mapping[SeriesKey, int]]] = deque()
        self._values: dict[SeriesKey, int] = {}
        self._grown: dict[SeriesKey, int] = {}
        self._latest: dict[SeriesKey, int] = {}

    def take(self, now_unix_nano: int, values: Mapping[SeriesKey, int]) -> None:
        """Read all sums."""
        grown = {key: value - before for key, value in values.items() if value != (before := self._values.get(key, 0))}
        for key, amount in grown.items():
            self._grown[key] = self._grown.get(key, 0) + amount
            self._latest[key] = now_unix_nano
        self._values.update({key: values[key] for key in grown})
        self._ring.append((now_unix_nano, grown))
        self._let_go(now_unix_nano)

    def recent(self, now_unix_nano: int, values: Mapping[SeriesKey, int]) -> dict[SeriesKey, Recent]:
        """How much each sum has grown by within the span, what came since the last reading included."""
        self._let_go(now_unix_nano)
        found = {}
        for key, value in values.items():
            unread = value - self._values.get(key, 0)
            latest = now_unix_nano if unread else self._latest.get(key)
            found[key] = Recent(self._grown.get(key, 0) + unread, latest)
        return found

    def _let_go(self, now_unix_nano: int) -> None:
        while self._ring and (len(self._ring) > _READINGS or self._ring[0][0] <= now_unix_nano - _SPAN):
            for key, amount in self._ring.popleft()[1].items():
                self._grown[key] -= amount
                if not self._grown[key]:
                    del self._grown[key]

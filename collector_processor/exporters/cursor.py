"""How far an exporter has come in the log, and where it would go on after a restart."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector_processor.component import Log, Mark, Signal, Store, Stored
from collector_processor.self_telemetry import SelfTelemetry

_log = logging.getLogger(__name__)

_KEY: Final = "mark"
# How often at most it is written: what was sent since then is sent again after a crash.
_SAVE_INTERVAL_S: Final = 0.2
_FAILURE_DELAY_S: Final = 1.0


@dataclass(slots=True, eq=False)
class Stretch:
    """A part of the log that was read at once.

    Attributes:
        end: Where the next one begins.
        size: Bytes of its entries.
        remaining: Batches made of it that are not done yet.
    """

    end: Mark
    size: int
    remaining: int


class Cursor:
    """The place before which everything is done; what lies behind it may be done in any order.

    A log that does not outlive the process needs no cursor that does: it is let go of at once then.
    """

    def __init__(self, name: str, log: Log, store: Store, telemetry: SelfTelemetry) -> None:
        self._name = name
        self._section = f"cursor/{name}"
        self._log = log
        self._store = store
        self._telemetry = telemetry
        self._stretches: deque[Stretch] = deque()
        self._done = self._read = Mark(0, {})
        self._saved_position = 0
        self._moved = asyncio.Event()
        self.ahead = 0
        """Bytes that were read and are not all done."""

    @property
    def mark(self) -> Mark:
        """Everything before it is done."""
        return self._done

    @property
    def position(self) -> int:
        """Where to read on."""
        return self._read.position

    def start(self) -> Mark:
        """Go to where the last process was, or else to the begin of the log, and hold the log there."""
        self._done = self._read = self._loaded()
        self._saved_position = self._done.position
        self._log.hold(self._name, self._done.position)
        return self._done

    async def advance(self, found: Sequence[Stored]) -> tuple[Stretch, Mapping[Signal, int]]:
        """Remember that these were read, and say what is missing: received items that the log lost.

        The caller says how many batches the stretch makes, and calls `settle` as they are done.
        """
        items, size, position, is_whole = Counter(self._read.items), 0, self._read.position, True
        for begin, end, entry in found:
            is_whole = is_whole and begin == position
            position = end
            size += entry.size
            if not entry.own:
                items[entry.signal] += entry.items
        lost: Mapping[Signal, int] = {}
        if not is_whole:
            kept = (await self._log.mark_at(position)).items
            lost = {signal: max(0, kept.get(signal, 0) - items[signal]) for signal in Signal}
            items.update(lost)
        self._read = Mark(position, items)
        stretch = Stretch(self._read, size, 0)
        self._stretches.append(stretch)
        self.ahead += size
        return stretch, lost

    def settle(self) -> None:
        """Move past all stretches of which nothing remains."""
        while self._stretches and not self._stretches[0].remaining:
            stretch = self._stretches.popleft()
            self._done = stretch.end
            self.ahead -= stretch.size
            self._moved.set()
        if not self._log.is_durable and self._saved_position != self._done.position:
            self._saved_position = self._done.position
            self._log.hold(self._name, self._done.position)

    async def keep_saved(self) -> None:
        """Save whenever it has moved, every so often at most."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            if not await self.save():
                self._moved.set()
                await asyncio.sleep(_FAILURE_DELAY_S)
            await asyncio.sleep(_SAVE_INTERVAL_S)

    async def save(self) -> bool:
        """Write it, and only then let the log go up to there; whether that worked. A failure is counted."""
        mark = self._done
        if mark.position == self._saved_position:
            return True
        try:
            await self._store.write({self._section: {_KEY: _encode(mark)}})
        except Exception as error:
            self._telemetry.failed("cursor", error)
            return False
        self._saved_position = mark.position
        self._log.hold(self._name, mark.position)
        return True

    def _loaded(self) -> Mark:
        begin, end = self._log.begin, self._log.end
        saved = self._store.read(self._section).get(_KEY) if self._log.is_durable else None
        if saved is None:
            return begin
        try:
            mark = _decode(saved)
        except (ValueError, TypeError, KeyError, AttributeError):
            _log.warning("exporters::%s: its cursor cannot be read; it sends again what is in the log", self._name)
            return begin
        if mark.position > end.position or any(mark.items[signal] > end.items.get(signal, 0) for signal in Signal):
            _log.warning(
                "exporters::%s: its cursor lies behind the end of the log, which is another one; all is sent",
                self._name,
            )
            return begin
        if mark.position < begin.position:
            _log.warning(
                "exporters::%s: what followed its cursor is no longer in the log: %d items that it did not send (the"
                " log keeps things for the exporters that are configured)",
                self._name,
                sum(begin.items.get(signal, 0) - mark.items[signal] for signal in Signal),
            )
            return begin
        return mark


def _encode(mark: Mark) -> bytes:
    items = {signal.value: mark.items.get(signal, 0) for signal in Signal}
    return json.dumps({"position": mark.position, "items": items}).encode()


def _decode(saved: bytes) -> Mark:
    values = json.loads(saved)
    return Mark(int(values["position"]), {signal: int(values["items"][signal.value]) for signal in Signal})

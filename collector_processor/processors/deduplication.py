"""Which snapshots were seen before. OTLP delivers at least once; merging once is decided here.

Of each producer the highest number is remembered, and one bit for each of the SPAN below: batches may be split, sent
again and overtake each other. Producers are forgotten when there are too many. A snapshot of a forgotten one that is
sent once more looks new, and is told apart by its interval:

- Who is forgotten was silent for longer than all others. Mostly it is gone, and its windows with it: what is sent again
  has an interval that ended no later than the last one heard of it, that window is closed for good, and the windows
  refuse it as late.
- Only where more producers than the limit are heard within a window and its lateness may that window still be open. So
  the time between the first and the last interval of all that were forgotten is remembered, and what an unknown
  producer says of that time, or one that came later and may be one of them, is not merged: whether it was merged
  before, nobody knows.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

# Sequence numbers below the highest seen that are remembered one by one.
SPAN: Final = 1024
# A number that is still unseen when so many later ones came is called missing: retries reorder by a few places.
REORDER: Final = 16

_MARK = struct.Struct("<QQQQQQ")
_FORGOTTEN = struct.Struct("<QQ")
_FORGOTTEN_KEY: Final = "forgotten"
_ALL = (1 << SPAN) - 1
_MAX: Final = (1 << 64) - 1


class Admission(Enum):
    """What to do with a snapshot."""

    NEW = "new"
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"
    """So far behind that nobody remembers; not merged, since merging twice would be worse than losing it."""
    FORGOTTEN = "forgotten"
    """Of a time of which producers were forgotten, and of an unknown one: not merged, for the same reason."""


@dataclass(slots=True)
class _Producer:
    """The highest number seen, the first one, and one bit for each of the SPAN numbers at and below the highest.

    Attributes:
        heard: Grows with every snapshot of any producer.
        since_unix_nano: Where the first interval ended.
        until_unix_nano: Where the last interval ended.
        doubtful_until: Up to when it may have been heard before, and be one of those that were forgotten.
    """

    first: int
    highest: int
    seen: int
    heard: int
    since_unix_nano: int
    until_unix_nano: int
    doubtful_until: int


class Deduplicator:
    """Remembers the sequence numbers of a bounded number of producers.

    Args:
        limit: Producers to remember; beyond it the one that was silent longest is forgotten.

    Attributes:
        missing: Numbers that were passed over.
        forgotten: Producers forgotten because there were too many.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._producers: OrderedDict[bytes, _Producer] = OrderedDict()
        self._heard = 0
        # The time of which producers were forgotten.
        self._forgotten_since, self._forgotten_until = _MAX, 0
        self._changed: set[str] = set()
        self.missing = 0
        self.forgotten = 0

    def admit(self, producer_id: bytes, sequence: int, end_unix_nano: int = _MAX) -> Admission:
        """Say whether this snapshot is new, and remember it.

        Args:
            end_unix_nano: Where its interval ends, which is no time that has yet to come.
        """
        producer = self._producers.get(producer_id)
        if producer is None:
            if self._forgotten_since <= end_unix_nano <= self._forgotten_until:
                return Admission.FORGOTTEN
            self._heard += 1
            # What was sent before we began to listen is not called missing.
            self._producers[producer_id] = _Producer(
                sequence, sequence, 1, self._heard, end_unix_nano, end_unix_nano, self._forgotten_until
            )
            self._changed.add(producer_id.hex())
            if len(self._producers) > self._limit:
                self._forget()
            return Admission.NEW
        self._producers.move_to_end(producer_id)
        self._heard += 1
        producer.heard = self._heard
        if end_unix_nano > producer.until_unix_nano:
            producer.until_unix_nano = end_unix_nano
        elif end_unix_nano < producer.since_unix_nano:
            producer.since_unix_nano = end_unix_nano
        self._changed.add(producer_id.hex())
        is_doubtful = self._forgotten_since <= end_unix_nano <= producer.doubtful_until
        if sequence > producer.highest:
            if is_doubtful:
                return Admission.FORGOTTEN
            self._advance(producer, sequence)
            return Admission.NEW
        bit = 1 << (producer.highest - sequence) if producer.highest - sequence < SPAN else 0
        if not bit:
            return Admission.TOO_OLD
        if producer.seen & bit:
            return Admission.DUPLICATE
        if is_doubtful:
            return Admission.FORGOTTEN
        producer.seen |= bit
        return Admission.NEW

    def encode(self) -> dict[str, bytes]:
        """Everything, to be kept."""
        found = {producer_id.hex(): self._encoded(producer) for producer_id, producer in self._producers.items()}
        if self._forgotten_since <= self._forgotten_until:
            found[_FORGOTTEN_KEY] = _FORGOTTEN.pack(self._forgotten_since, self._forgotten_until)
        return found

    def encode_changes(self, changes: Iterable[str]) -> dict[str, bytes | None]:
        """What has to be changed in what `encode` gave before; None where there is nothing any more."""
        found: dict[str, bytes | None] = {}
        for key in changes:
            if key == _FORGOTTEN_KEY:
                found[key] = _FORGOTTEN.pack(self._forgotten_since, self._forgotten_until)
            else:
                producer = self._producers.get(bytes.fromhex(key))
                found[key] = None if producer is None else self._encoded(producer)
        return found

    def take_changes(self) -> frozenset[str]:
        """Which entries have changed since this was last asked, for `encode_changes`."""
        changes = frozenset(self._changed)
        self._changed.clear()
        return changes

    def restore(self, kept: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave.

        Raises:
            ValueError: It is something else; nothing was remembered.
        """
        producers: list[tuple[bytes, _Producer]] = []
        forgotten = _MAX, 0
        try:
            for key, value in kept.items():
                if key == _FORGOTTEN_KEY:
                    forgotten = _FORGOTTEN.unpack(value)
                    continue
                first, highest, *others = _MARK.unpack_from(value)
                seen = int.from_bytes(value[_MARK.size :], "little")
                producers.append((bytes.fromhex(key), _Producer(first, highest, seen, *others)))
        except struct.error as error:
            raise ValueError(f"marks of producers: {error}") from error
        self._forgotten_since, self._forgotten_until = forgotten
        self._producers.update(sorted(producers, key=lambda pair: pair[1].heard))
        self._heard = max((producer.heard for producer in self._producers.values()), default=0)
        while len(self._producers) > self._limit:
            self._forget()

    def _encoded(self, producer: _Producer) -> bytes:
        numbers = _MARK.pack(
            producer.first,
            producer.highest,
            producer.heard,
            producer.since_unix_nano,
            producer.until_unix_nano,
            producer.doubtful_until,
        )
        return numbers + producer.seen.to_bytes(SPAN // 8, "little").rstrip(b"\0")

    def _forget(self) -> None:
        producer_id, producer = self._producers.popitem(last=False)
        self.forgotten += 1
        self._changed.add(producer_id.hex())
        # Who was never asked for its time is of no time.
        if producer.until_unix_nano < _MAX:
            self._forgotten_since = min(self._forgotten_since, producer.since_unix_nano)
            self._forgotten_until = max(self._forgotten_until, producer.until_unix_nano)
            self._changed.add(_FORGOTTEN_KEY)

    def _advance(self, producer: _Producer, sequence: int) -> None:
        steps = sequence - producer.highest
        # Numbers that leave the place where they might still be expected: the bits at REORDER-steps … REORDER-1, and
        # whatever the jump passes over beyond that.
        for position in range(max(0, REORDER - steps), REORDER):
            if producer.highest - position >= producer.first and not producer.seen >> position & 1:
                self.missing += 1
        # A jump beyond all memory is a producer gone astray rather than so many losses.
        self.missing += min(max(0, steps - REORDER), SPAN)
        producer.seen = ((producer.seen << steps) | 1) & _ALL if steps < SPAN else 1
        producer.highest = sequence

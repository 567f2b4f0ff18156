"""Which snapshots were seen before. OTLP delivers at least once; merging once is decided here."""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

# Sequence numbers below the highest seen that are remembered one by one.
SPAN: Final = 1024
# A number that is still unseen when so many later ones came is called missing: retries reorder by a few places.
REORDER: Final = 16

_MARK = struct.Struct("<QQ")
_ALL = (1 << SPAN) - 1


class Admission(Enum):
    """What to do with a snapshot."""

    NEW = "new"
    DUPLICATE = "duplicate"
    TOO_OLD = "too_old"
    """So far behind that nobody remembers; not merged, since merging twice would be worse than losing it."""


@dataclass(slots=True)
class _Producer:
    """The highest number seen, the first one, and one bit for each of the SPAN numbers at and below the highest."""

    first: int
    highest: int
    seen: int


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
        self.missing = 0
        self.forgotten = 0

    def admit(self, producer_id: bytes, sequence: int) -> Admission:
        """Say whether this snapshot is new, and remember it."""
        producer = self._producers.get(producer_id)
        if producer is None:
            # What was sent before we began to listen is not called missing.
            self._producers[producer_id] = _Producer(sequence, sequence, 1)
            if len(self._producers) > self._limit:
                self._producers.popitem(last=False)
                self.forgotten += 1
            return Admission.NEW
        self._producers.move_to_end(producer_id)
        if sequence > producer.highest:
            self._advance(producer, sequence)
            return Admission.NEW
        bit = 1 << (producer.highest - sequence) if producer.highest - sequence < SPAN else 0
        if not bit:
            return Admission.TOO_OLD
        if producer.seen & bit:
            return Admission.DUPLICATE
        producer.seen |= bit
        return Admission.NEW

    def encode(self) -> dict[str, bytes]:
        """The marks, to be kept: least recently heard first."""
        return {
            f"{position:08d}:{producer_id.hex()}": _MARK.pack(producer.first, producer.highest)
            + producer.seen.to_bytes(SPAN // 8, "little").rstrip(b"\0")
            for position, (producer_id, producer) in enumerate(self._producers.items())
        }

    def restore(self, marks: Mapping[str, bytes]) -> None:
        """Remember what `encode` gave."""
        for key in sorted(marks):
            first, highest = _MARK.unpack_from(marks[key])
            seen = int.from_bytes(marks[key][_MARK.size :], "little")
            self._producers[bytes.fromhex(key.partition(":")[2])] = _Producer(first, highest, seen)

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

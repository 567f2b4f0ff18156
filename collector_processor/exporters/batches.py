"""Requests of one signal, joined.

An OTLP export request is one repeated field, so encoded requests put one behind the other are the encoding of a request
with all that they hold: nothing needs to be decoded to join them, nor to take them apart again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from collector_processor.component import Signal, Stored


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that leave together.

    Attributes:
        own: Made here, not received.
        body: All of them, one behind the other.
        ends: Where each ends in `body`.
        counts: How many items each has.
        items: Their sum.
        is_sampled: One request of it went ahead, and was refused.
    """

    signal: Signal
    own: bool
    body: bytes
    ends: Sequence[int]
    counts: Sequence[int]
    items: int
    is_sampled: bool = False

    def __len__(self) -> int:
        return len(self.ends)

    def halves(self) -> tuple[Batch, Batch]:
        """The first and the second half of the requests."""
        middle = len(self.ends) // 2
        return self._part(0, middle), self._part(middle, len(self.ends))

    def without(self, position: int) -> tuple[Batch, Batch]:
        """One request, and all others."""
        one, before, after = (
            self._part(position, position + 1),
            self._part(0, position),
            self._part(position + 1, len(self.ends)),
        )
        shift = len(before.body)
        others = Batch(
            self.signal,
            self.own,
            before.body + after.body,
            [*before.ends, *(end + shift for end in after.ends)],
            [*before.counts, *after.counts],
            before.items + after.items,
            is_sampled=True,
        )
        return one, others

    def _part(self, start: int, stop: int) -> Batch:
        offset = self.ends[start - 1] if start else 0
        ends = [end - offset for end in self.ends[start:stop]]
        counts = self.counts[start:stop]
        size = ends[-1] if ends else 0
        return Batch(self.signal, self.own, self.body[offset : offset + size], ends, counts, sum(counts))


def batches_of(found: Sequence[Stored], signals: Collection[Signal], max_size: int) -> list[Batch]:
    """What was found in the log as batches of at most `max_size` bytes, except for single requests that are larger.

    Requests of other signals, and empty ones, are left out.
    """
    piles: list[_Pile] = []
    open_piles: dict[tuple[Signal, bool], _Pile] = {}
    for _, _, entry in found:
        body, signal = entry.body, entry.signal
        if not body or signal not in signals:
            continue
        key = (signal, entry.own)
        pile = open_piles.get(key)
        if pile is None or pile.size + len(body) > max_size:
            pile = open_piles[key] = _Pile(signal, entry.own)
            piles.append(pile)
        pile.size += len(body)
        pile.bodies.append(body)
        pile.ends.append(pile.size)
        pile.counts.append(entry.items)
    return [pile.joined() for pile in piles]


@dataclass(slots=True)
class _Pile:
    signal: Signal
    own: bool
    size: int = 0
    bodies: list[bytes] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def joined(self) -> Batch:
        body = self.bodies[0] if len(self.bodies) == 1 else b"".join(self.bodies)
        return Batch(self.signal, self.own, body, self.ends, self.counts, sum(self.counts))

"""One batch to its end: what of it the backend takes is forwarded, and what it never will goes to the dead letters."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from typing import Final

from collector_processor.component import DeadLetter, DeadLetters, Signal
from collector_processor.errors import PermanentError
from collector_processor.exporters.accounting import Accounting
from collector_processor.exporters.batches import Batch
from collector_processor.exporters.patience import GaveUpError, Patience, TooSlowError
from collector_processor.self_telemetry import SelfTelemetry

# So many single requests refused alike, and none taken in between: the backend means all of them.
_HOPELESS_AFTER: Final = 16
# Numbers and ids, which differ from request to request.
_VARYING: Final = re.compile(r"[0-9a-fA-F]*\d[0-9a-fA-F]*")


class Delivery:
    """Sends batches, and takes those apart that are refused.

    A refused batch is halved until the requests are found that the backend does not want: one among 200 costs 15
    attempts. When it wants none, halving stops, and what is left of a batch is put away whole. One request of each
    batch still goes ahead then: whether the backend has changed its mind shows without anybody's help.
    """

    def __init__(
        self,
        name: str,
        patience: Patience,
        dead_letters: DeadLetters,
        accounting: Accounting,
        telemetry: SelfTelemetry,
        *,
        is_last_chance: bool,
    ) -> None:
        self._name = name
        self._patience = patience
        self._dead_letters = dead_letters
        self._accounting = accounting
        self._telemetry = telemetry
        self._is_last_chance = is_last_chance
        self._refusals: dict[Signal, tuple[str, int]] = {}

    async def deliver(self, batch: Batch) -> None:
        """Return once every request of it is accounted for.

        When this is cancelled, what is not stays in the log; if it is the last chance, it is counted as dropped.
        """
        pieces, begin_s = [batch], time.monotonic()

        async def work() -> None:
            while pieces:
                pieces[-1:] = reversed(await self._send(pieces[-1], begin_s))

        try:
            await self._telemetry.guard("export", work)
        except asyncio.CancelledError:
            if self._is_last_chance:
                for piece in pieces:
                    self._accounting.dropped(piece, "shutdown")
            raise

    async def _send(self, piece: Batch, begin_s: float) -> Sequence[Batch]:
        """Send a piece, and return the pieces that it must be sent in instead."""
        try:
            rejected = await self._patience.send(piece, begin_s)
        except PermanentError as error:
            return await self._refused(piece, str(error), f"{error.code} {_VARYING.sub('#', str(error))}")
        except TooSlowError:
            return piece.halves()
        except GaveUpError as error:
            if error.reason == "failure":
                await self._bury(piece, error.reason, str(error))
            self._accounting.dropped(piece, error.reason)
        else:
            self._refusals.pop(piece.signal, None)
            self._accounting.sent(piece, rejected)
        return ()

    async def _refused(self, piece: Batch, message: str, kind: str) -> Sequence[Batch]:
        if len(piece) > 1:
            if not self._is_hopeless(piece.signal, kind):
                return piece.halves()
            if not piece.is_sampled:
                return piece.without(random.randrange(len(piece)))  # noqa: S311 - not a secret
        else:
            last, times = self._refusals.get(piece.signal, ("", 0))
            self._refusals[piece.signal] = (kind, times + 1 if last == kind else 1)
        await self._bury(piece, "rejected_by_backend", message)
        self._telemetry.say_once(
            f"{self._name}:{kind}", "exporters::%s: refused, and now a dead letter: %s", self._name, message
        )
        self._accounting.dropped(piece, "rejected_by_backend")
        return ()

    def _is_hopeless(self, signal: Signal, kind: str) -> bool:
        last, times = self._refusals.get(signal, ("", 0))
        return times >= _HOPELESS_AFTER and last == kind

    async def _bury(self, piece: Batch, reason: str, detail: str) -> None:
        await self._dead_letters.put([DeadLetter(self._name, piece.signal, reason, detail, piece.items, piece.body)])

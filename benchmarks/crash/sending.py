"""Sends every request until it is acknowledged, whatever happens to whom it is sent to."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Final

import grpc

from benchmarks.crash.traffic import Delivery, Traffic

_WORKERS: Final = 24
_TIMEOUT_S: Final = 10.0
# Of records, most of which pass through: what is on the way is never as much as fits in the lateness of a window, so
# that no snapshot is too late, however long one is held up.
_MOST_WAITING: Final = 2000
_LOOK_S: Final = 0.5
# gRPC's own patience with a server that is away grows to minutes.
_OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)
# An answer without a partial success, or with an empty one, as Collectors give it.
_ALL_TAKEN: Final = (b"", b"\n\x00")


class Sender:
    """A client of one target that gives up on nothing.

    Args:
        backlog: How many records the target holds that went no further; it is given no more while these are many.

    Attributes:
        acknowledged: Requests.
        failures: Attempts that failed, by status; each was made again.
        refused_for_good: What was answered with a status, or a partial success, that tells not to try again.
    """

    def __init__(
        self,
        target: str,
        traffic: Traffic,
        requests_per_s: float,
        seed: int,
        backlog: Callable[[], float] | None = None,
    ) -> None:
        self.acknowledged = 0
        self.failures: Counter[str] = Counter()
        self.refused_for_good: Counter[str] = Counter()
        self._target = target
        self._traffic = traffic
        self._interval_s = 1 / requests_per_s
        self._chance = random.Random(seed)
        self._backlog = backlog
        self._looked_s = 0.0
        self._is_over = False

    def stop(self) -> None:
        """Make nothing new, and send what is left."""
        self._is_over = True

    async def run(self) -> None:
        """Send until told to stop and everything that was made is acknowledged."""
        async with grpc.aio.insecure_channel(self._target, options=_OPTIONS) as channel:
            busy: set[asyncio.Task[None]] = set()
            due = asyncio.get_running_loop().time()
            while not self._is_over:
                await self._while_too_much_waits()
                # Whoever is away holds up the making of new requests, so that time in them stands still as well.
                busy = await _with_room(busy)
                busy.add(asyncio.create_task(self._deliver(channel, self._traffic.next())))
                due = max(due + self._interval_s, asyncio.get_running_loop().time() - 1)
                await asyncio.sleep(max(due - asyncio.get_running_loop().time(), 0))
            for delivery in self._traffic.rest():
                busy = await _with_room(busy)
                busy.add(asyncio.create_task(self._deliver(channel, delivery)))
            await asyncio.gather(*busy)

    async def close_windows(self) -> None:
        """Send what makes all windows close."""
        async with grpc.aio.insecure_channel(self._target, options=_OPTIONS) as channel:
            for delivery in self._traffic.closing():
                await self._deliver(channel, delivery)

    async def _while_too_much_waits(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._backlog is None or now < self._looked_s + _LOOK_S:
            return
        self._looked_s = now
        # A Collector tells only who asks, so there is no event to wait for.
        while not self._is_over and await asyncio.to_thread(self._backlog) > _MOST_WAITING:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOOK_S)

    async def _deliver(self, channel: grpc.aio.Channel, delivery: Delivery) -> None:
        export = channel.unary_unary(delivery.method)
        while True:
            try:
                answer = await export(delivery.body, timeout=_TIMEOUT_S)
            except grpc.aio.AioRpcError as error:
                code = error.code()
                self.failures[code.name] += 1
                if code not in {
                    grpc.StatusCode.UNAVAILABLE,
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    grpc.StatusCode.CANCELLED,
                }:
                    # A Collector would have thrown it away. It is sent again all the same, to see what else is wrong.
                    self.refused_for_good[f"{code.name}: {error.details()}"] += 1
                await asyncio.sleep(self._chance.uniform(0.02, 0.2))
            else:
                if answer not in _ALL_TAKEN:
                    self.refused_for_good[f"partial success: {answer!r}"] += 1
                self.acknowledged += 1
                return


async def _with_room(busy: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those that are not done, once there are fewer than there may be; raises what one of the others raised."""
    if not busy:
        return busy
    patience_s = None if len(busy) >= _WORKERS else 0
    done, left = await asyncio.wait(busy, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return left

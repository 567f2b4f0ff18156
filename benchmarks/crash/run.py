"""One run: a load, a backend that comes and goes, and a processor in between that is killed again and again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.crash.found import InconsistentStoreError, closed_keys, closed_windows
from benchmarks.crash.killing import Kills, Victim
from benchmarks.crash.sending import Sender
from benchmarks.crash.traffic import LATENESS_S, WINDOW_S, Traffic
from benchmarks.crash.truth import Difference, compare
from benchmarks.processor.collector import configuration, free_port, running_collector
from benchmarks.processor.programs import Sink, running_sink
from benchmarks.processor.servers import Processor

_REQUESTS_PER_S: Final = 100.0
_DRAIN_S: Final = 180.0
_LONGEST_MOOD_S: Final = 3.0
# As a Collector is run that must not lose anything: a queue on disk, no end to retries, batches cut by size. The cut is
# small here, so that the records of one request often leave in several.
_EXPORTER: Final = {
    "timeout": "5s",
    "retry_on_failure": {"initial_interval": "100ms", "max_interval": "300ms", "max_elapsed_time": 0},
    "sending_queue": {
        "storage": "file_storage",
        "queue_size": 200_000,
        "num_consumers": 4,
        "block_on_overflow": True,
        "batch": {"sizer": "bytes", "min_size": 4000, "max_size": 16_000, "flush_timeout": "50ms"},
    },
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a run.

    Attributes:
        difference: Between what was sent and what the windows hold.
        lost_records: Records that never arrived at the backend.
        duplicated_records: Records that arrived more than once, which is allowed.
        refusals: What was refused for good, by what was said.
        problems: Everything that went wrong, in words; empty where the promise was kept.
    """

    seed: int
    kills: Kills
    snapshots: int
    rows: int
    windows: int
    closed_under_way: int
    records: int
    acknowledged: int
    difference: Difference
    lost_records: int
    duplicated_records: int
    seconds: float
    refusals: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def run(folder: Path, kills: int, seed: int, *, with_collector: bool) -> Outcome:
    """Kill a processor so many times under load, let everything come to rest, and compare.

    Args:
        folder: For everything that is written.
        with_collector: Put a real Collector in front; otherwise the load itself sends again what is not acknowledged.

    Raises:
        ProcessorDiedError: The processor ended by itself.
        TimeoutError: Something does not come to rest; the message says what is missing.
    """
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(running_sink(identities=True))
        setup = _setup(folder, sink)
        target = f"127.0.0.1:{setup.port}"
        collector = None
        if with_collector:
            collector = _Collector(free_port(), free_port())
            stack.enter_context(collector.running(folder, target))
            target = f"127.0.0.1:{collector.port}"
        return asyncio.run(_run(folder, setup, sink, collector, target, kills, seed))


def _setup(folder: Path, sink: Sink) -> Processor:
    return Processor(
        folder,
        sink.otlp,
        port=free_port(),
        drift={
            "window": f"{WINDOW_S}s",
            "lateness": f"{LATENESS_S}s",
            "repeat": "0s",
            "limits": {"open_windows": 200},
            "references": {"history": {"windows": 100_000, "memory_mib": 1024}},
        },
        # Often, so that kills meet checkpoints as well.
        store={"checkpoint_interval": "2s"},
    )


async def _run(
    folder: Path, setup: Processor, sink: Sink, collector: _Collector | None, target: str, kills: int, seed: int
) -> Outcome:
    begun = time.monotonic()
    traffic = Traffic(seed)
    sender = Sender(target, traffic, _REQUESTS_PER_S, seed, None if collector is None else collector.backlog)
    acknowledged = (lambda: sender.acknowledged) if collector is None else (lambda: collector.counters()["sent_logs"])
    victim = Victim(setup, folder / "processor.log", seed, acknowledged, _progress(kills))
    state = setup.directory / "state.db"
    try:
        sending = asyncio.create_task(sender.run())
        flapping = asyncio.create_task(_flap(sink, random.Random(seed)))
        killing = asyncio.create_task(asyncio.to_thread(victim.kill_often, kills))
        await asyncio.wait({sending, flapping, killing}, return_when=asyncio.FIRST_COMPLETED)
        victim.spare()
        sender.stop()
        # Whichever failed says so here; the backend changes its mood until it is told not to.
        await killing
        flapping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flapping
        closed_under_way = len(closed_keys(state))
        await asyncio.to_thread(sink.behave, "ok")
        await asyncio.to_thread(victim.start)
        async with _deadline(f"requests are not acknowledged: {dict(sender.failures)}"):
            await sending
        thrown_away = 0
        if collector is not None:
            await _until(collector.is_drained, lambda: f"the Collector still holds some: {collector.counters()}")
            thrown_away = int(collector.counters()["failed"])
        await _until(
            lambda: len(_missing(traffic, sink)) == 0,
            lambda: f"records never arrived: {_missing(traffic, sink)[:20]}",
            is_fatal=False,
        )
        await sender.close_windows()
        await _until(
            lambda: closed_keys(state) >= traffic.truth.windows.keys(),
            lambda: f"windows never closed: {sorted(traffic.truth.windows.keys() - closed_keys(state))[:5]}",
            is_fatal=False,
        )
        await asyncio.to_thread(victim.terminate)
        if thrown_away:
            sender.refused_for_good["the Collector was told to throw records away"] = thrown_away
        return _outcome(traffic, sender, victim, sink, state, closed_under_way, begun, seed)
    finally:
        victim.destroy()


def _outcome(
    traffic: Traffic, sender: Sender, victim: Victim, sink: Sink, state: Path, closed: int, begun: float, seed: int
) -> Outcome:
    problems = [f"refused for good: {what} ({count} times)" for what, count in sender.refused_for_good.items()]
    try:
        difference = compare(traffic.truth.windows, closed_windows(state))
    except InconsistentStoreError as error:
        problems.append(str(error))
        difference = Difference(wrong_cells=1)
    problems += difference.where
    missing = _missing(traffic, sink)
    if missing:
        problems.append(f"records {missing[:20]} never arrived")
    identities = sink.identities()[: traffic.truth.identities]
    return Outcome(
        seed=seed,
        kills=victim.kills,
        snapshots=traffic.truth.snapshots,
        rows=traffic.truth.rows,
        windows=len(traffic.truth.windows),
        closed_under_way=closed,
        records=traffic.truth.identities,
        acknowledged=sender.acknowledged,
        difference=difference,
        lost_records=len(missing),
        duplicated_records=sum(count > 1 for count in identities),
        seconds=time.monotonic() - begun,
        refusals=dict(sender.refused_for_good),
        problems=problems,
    )


def _missing(traffic: Traffic, sink: Sink) -> list[int]:
    arrived = sink.identities().ljust(traffic.truth.identities, b"\0")
    return [number for number in range(traffic.truth.identities) if not arrived[number]]


async def _flap(sink: Sink, chance: random.Random) -> None:
    """A backend that is there, slow, refuses, forgets to answer, or is gone, by turns and at random."""
    moods = (("ok", 0), ("ok", 0), ("ok", 5), ("ok", 200), ("unavailable", 0), ("forgetful", 0), ("down", 0))
    while True:
        mood, delay_ms = chance.choice(moods)
        await asyncio.to_thread(sink.behave, mood, delay_ms)
        await asyncio.sleep(chance.uniform(0.1, _LONGEST_MOOD_S))


@dataclass(frozen=True, slots=True)
class _Collector:
    """A real one in front of the processor, and what it tells Prometheus."""

    port: int
    metrics_port: int

    @contextlib.contextmanager
    def running(self, folder: Path, backend: str) -> Iterator[None]:
        storage = {"directory": str(folder / "queue"), "create_directory": True, "fsync": False}
        settings = configuration(
            f"127.0.0.1:{self.port}", backend, exporter=_EXPORTER, metrics_port=self.metrics_port, storage=storage
        )
        with running_collector(folder, settings, core=None):
            yield

    def counters(self) -> dict[str, float]:
        """What it received, sent, and threw away, of all signals."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
        found = {"accepted": 0.0, "sent": 0.0, "sent_logs": 0.0, "failed": 0.0}
        names = {
            r"otelcol_exporter_sent_log_records": "sent_logs",
            r"otelcol_receiver_accepted_\w+": "accepted",
            r"otelcol_exporter_sent_\w+": "sent",
            r"otelcol_exporter_(?:send|enqueue)_failed_\w+": "failed",
        }
        for line in text.splitlines():
            for pattern, name in names.items():
                if re.match(pattern, line):
                    found[name] += float(line.rpartition(" ")[2])
        return found

    def backlog(self) -> float:
        """How many records it holds."""
        found = self.counters()
        return found["accepted"] - found["sent"] - found["failed"]

    def is_drained(self) -> bool:
        """Whether all that it received has left, one way or the other."""
        found = self.counters()
        return 0 < found["accepted"] <= found["sent"] + found["failed"]


@contextlib.asynccontextmanager
async def _deadline(what: str):  # type: ignore[no-untyped-def]
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(_DRAIN_S, task.cancel)
    try:
        yield
    except asyncio.CancelledError:
        raise TimeoutError(f"not within {_DRAIN_S:g} s: {what}") from None
    finally:
        timer.cancel()


async def _until(condition: Callable[[], bool], what: Callable[[], str], *, is_fatal: bool = True) -> None:
    """Return once it is true. What is not fatal is told, and found again when everything is compared."""
    deadline = time.monotonic() + _DRAIN_S
    while not await asyncio.to_thread(condition):
        if time.monotonic() > deadline:
            message = f"not within {_DRAIN_S:g} s: {what()}"
            if is_fatal:
                raise TimeoutError(message)
            print(f"crash: {message}", file=sys.stderr)
            return
        await asyncio.sleep(0.1)


def _progress(kills: int) -> Callable[[int], None]:
    def tell(number: int) -> None:
        if number % 20 == 0 or number == kills:
            print(f"crash: killed {number} of {kills} times", file=sys.stderr)

    return tell

"""The door of the service."""

import asyncio

import pytest

from collector_processor.component import Request, Signal
from collector_processor.errors import RefusedError, TooLargeError
from collector_processor.intake import Intake
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.store.log import FileLog
from collector_processor.store.log.memory_log import MemoryLog
from collector_processor.store.settings import LogSettings
from otel_ml import semconv

SMALL = LogSettings(max_size_mib=4, segment_size_mib=1)


class Watching:
    """Remembers what it was told, in order."""

    def __init__(self):
        self.seen = []

    def observe(self, request, end):
        self.seen.append((request.items, end))


def door(log, exported=Signal):
    telemetry, watcher = SelfTelemetry(), Watching()
    intake = Intake(log, telemetry, exported)
    intake.watch(watcher)
    return intake, telemetry, watcher


def request(items=1, size=10, **fields):
    return Request(Signal.LOGS, b"x" * size, items, **fields)


async def test_what_is_accepted_is_in_the_log_counted_and_seen():
    """Records in the body, those taken out, and those of no use are what was received."""
    log = MemoryLog(SMALL, ["exporter"])
    intake, telemetry, watcher = door(log)

    await intake.consume(request(3, taken=b"snapshots", consumed=2, rejected={"snapshot_corrupt": 1}))

    assert telemetry.total(semconv.PROCESSOR_RECEIVED, processor_signal="logs") == 6
    assert telemetry.total(semconv.PROCESSOR_CONSUMED, processor_signal="logs") == 2
    assert telemetry.total(semconv.PROCESSOR_DROPPED, drop_reason="snapshot_corrupt") == 1
    assert watcher.seen == [(3, log.end.position)]
    (stored,) = await log.read(0, 1000)
    assert (stored.entry.body, stored.entry.taken, stored.entry.items) == (b"x" * 10, b"snapshots", 3)


async def test_what_is_refused_is_neither_counted_nor_seen():
    """The client has it still, and sends it again."""
    intake, telemetry, watcher = door(MemoryLog(SMALL, ["exporter"]))

    await intake.consume(request(0, size=3 * 1024 * 1024, own=True))
    with pytest.raises(RefusedError, match="no room"):
        await intake.consume(request(size=2 * 1024 * 1024))

    assert telemetry.total(semconv.PROCESSOR_RECEIVED) == 0
    assert [items for items, _ in watcher.seen] == [0]


async def test_what_will_never_fit_is_not_asked_for_again():
    """A client that keeps coming back with it would hold up everything behind it for ever."""
    intake, _, watcher = door(MemoryLog(SMALL, ["exporter"]))

    with pytest.raises(TooLargeError, match="max_size_mib"):
        await intake.consume(request(size=5 * 1024 * 1024))

    assert watcher.seen == []


async def test_a_disk_that_hangs_does_not_fill_the_memory(tmp_path):
    """What waits for it is bounded; more is refused, and taken once the disk has caught up."""
    log = FileLog(tmp_path / "log", SMALL.model_copy(update={"max_waiting_mib": 1, "linger": 0.2}), ["exporter"])
    await log.start()
    intake, _, watcher = door(log)

    waiting = asyncio.create_task(intake.consume(request(1, size=800_000)))
    await asyncio.sleep(0)
    with pytest.raises(RefusedError, match="max_waiting_mib"):
        await intake.consume(request(2, size=800_000))
    await waiting
    await intake.consume(request(2, size=800_000))
    await log.shutdown(5)

    assert [items for items, _ in watcher.seen] == [1, 2]


async def test_a_result_of_our_own_that_finds_no_room_is_counted():
    """Nobody else would send it again."""
    intake, telemetry, _ = door(MemoryLog(SMALL, ["exporter"]))

    await intake.consume(request(7, size=5 * 1024 * 1024, own=True))

    assert telemetry.total(semconv.PROCESSOR_RESULTS, processor_outcome="log_full") == 7


async def test_a_result_that_nobody_exports_is_not_kept():
    """It would only take room."""
    log = MemoryLog(SMALL, ["exporter"])
    intake, _, _ = door(log, exported=[Signal.METRICS])

    await intake.consume(request(own=True))

    assert log.end.position == 0


async def test_what_is_in_the_log_is_seen_although_the_client_has_gone(tmp_path):
    """After a crash it would be read from there; without one it must count as well."""
    log = FileLog(tmp_path / "log", SMALL, ["exporter"])
    await log.start()
    intake, telemetry, watcher = door(log)

    waiting = [asyncio.create_task(intake.consume(request(number))) for number in range(1, 21)]
    await asyncio.sleep(0)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await log.shutdown(5)

    assert [items for items, _ in watcher.seen] == list(range(1, 21))
    assert [end for _, end in watcher.seen] == sorted(end for _, end in watcher.seen)
    assert telemetry.total(semconv.PROCESSOR_RECEIVED) == 210

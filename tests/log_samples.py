"""Logs in directories, and entries that can be told apart."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from collector_processor.component import Entry, Log, Signal, Stored
from collector_processor.store.log import FileLog
from collector_processor.store.log.segment import Segment, open_segment
from collector_processor.store.settings import LogSettings

MIB = 1 << 20
# As small as logs get: eight segments of half a mebibyte.
SMALL = LogSettings(max_size_mib=4)


def numbered(number: int, size: int = 100, **fields) -> Entry:
    """An entry that holds its number, and is of about a size."""
    return Entry(
        fields.pop("signal", Signal.LOGS), f"{number:08}".encode() + bytes(size), fields.pop("items", 1), **fields
    )


def number_of(stored: Stored) -> int:
    """The number that an entry was given."""
    return int(stored.entry.body[:8])


@asynccontextmanager
async def started(
    directory: Path, settings: LogSettings = SMALL, holders: Collection[str] = ("reader",)
) -> AsyncIterator[FileLog]:
    """A log on disk, from start to shutdown."""
    log = FileLog(directory, settings, holders)
    await log.start()
    try:
        yield log
    finally:
        await log.shutdown(10.0)


async def read_all(log: Log, position: int | None = None, limit_bytes: int = 100_000) -> list[Stored]:
    """All entries from a position on, or from the begin, as a reader gets them."""
    position = log.begin.position if position is None else position
    found: list[Stored] = []
    while some := await log.read(position, limit_bytes):
        found += some
        position = some[-1].end
    return found


async def append_all(log: Log, entries: Sequence[Entry]) -> list[int]:
    """Append entries at once, and return their ends."""
    return list(await asyncio.gather(*(log.append(entry) for entry in entries)))


def segments_in(directory: Path) -> list[Segment]:
    """The segments in a directory, the oldest first, while the log is at work on them."""
    found = []
    for path in sorted(directory.glob("*.log")):
        with suppress(FileNotFoundError):
            found.append(open_segment(path))
    return [segment for segment in found if segment is not None]


def bytes_in(directory: Path) -> int:
    """What the files of a directory take, while the log is at work on them."""
    total = 0
    for path in directory.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


async def eventually(is_so: Callable[[], bool]) -> None:
    """Return once something is so; another thread is about to do it."""
    for _ in range(2_000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to be")

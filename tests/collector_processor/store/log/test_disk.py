"""A disk that is full or fails: entries are refused, none is lost, and it goes on by itself."""

import asyncio
import os
import resource
import subprocess
from contextlib import contextmanager, suppress

import pytest
from log_samples import MIB, append_all, eventually, number_of, numbered, read_all, segments_in, started

from collector_processor.errors import RefusedError
from collector_processor.store.settings import LogSettings

LARGE = LogSettings(max_size_mib=64, segment_size_mib=1)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 8 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system of our own cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


async def outcome(log, entry):
    """Where an entry ends, or why it was refused."""
    try:
        return await log.append(entry)
    except RefusedError as error:
        return error.reason


async def test_a_full_disk_refuses_and_keeps_what_it_has(small_disk):
    """And takes entries again as soon as there is room."""
    async with started(small_disk / "log", LARGE) as log:
        results = [await outcome(log, numbered(number, 100_000)) for number in range(100)]
        count = results.index("disk_full")
        assert count > 50
        assert set(results[count:]) == {"disk_full"}
        assert await outcome(log, numbered(count, 300_000)) == "disk_full"
        assert log.refused_entries == 101 - count
        assert [number_of(one) for one in await read_all(log)] == list(range(count))

        log.hold("reader", log.end.position)
        await eventually(lambda: len(segments_in(small_disk / "log")) == 1)
        await log.append(numbered(count, 300_000))
        end = log.end

    async with started(small_disk / "log", LARGE) as log:
        assert number_of((await read_all(log))[-1]) == count
        assert log.end == end


async def test_a_log_starts_on_a_full_disk(small_disk):
    """What it holds can leave, and with that there is room."""
    async with started(small_disk / "log", LARGE) as log:
        await append_all(log, [numbered(number, 100_000) for number in range(20)])
    fill(small_disk / "others")

    async with started(small_disk / "log", LARGE) as log:
        assert [number_of(one) for one in await read_all(log)] == list(range(20))
        assert await outcome(log, numbered(20)) == "disk_full"
        log.hold("reader", log.end.position)
        await eventually(lambda: len(segments_in(small_disk / "log")) == 1)
        await log.append(numbered(20))


def fill(path):
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4_096)):
            pass


@contextmanager
def files_limited_to(size):
    """The system takes nothing beyond a place in a file, as on a full disk; what is before it is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("before", [0, 3])
async def test_nothing_of_a_batch_that_was_written_in_part_comes_back(tmp_path, before):
    """Those who sent it were refused, and send it again."""
    async with started(tmp_path, LARGE) as log:
        for number in range(before):
            await log.append(numbered(number, 10_000))
        end = log.end
        with files_limited_to(70_000):
            results = await asyncio.gather(
                *(log.append(numbered(100 + number, 10_000)) for number in range(10)), return_exceptions=True
            )
        assert {result.reason for result in results} == {"disk_full"}
        assert log.end == end
        assert log.refused_entries == 10

        await log.append(numbered(before, 20))
        assert [number_of(one) for one in await read_all(log)] == list(range(before + 1))

    async with started(tmp_path, LARGE) as log:
        assert [number_of(one) for one in await read_all(log)] == list(range(before + 1))
        assert log.damages.segments == 0


@pytest.mark.parametrize(
    ("instead", "flags", "reason"),
    [
        ("/dev/full", os.O_RDWR, "disk_full"),
        # It takes everything and cannot be synchronised: as a disk that fails when it is to make good its promise.
        ("/dev/null", os.O_RDWR, "disk_error"),
    ],
)
async def test_a_disk_that_fails_costs_its_batch_and_no_other(tmp_path, instead, flags, reason):
    """The open segment is not trusted any more; the next entries go to a new one."""
    async with started(tmp_path, LARGE) as log:
        called = []
        await append_all(log, [numbered(number) for number in range(5)])
        device = os.open(instead, flags)
        os.dup2(device, log._thread._writer._file)
        os.close(device)

        results = await asyncio.gather(
            *(log.append(numbered(number), called.append) for number in range(5, 10)), return_exceptions=True
        )
        assert [result.reason for result in results] == [reason] * 5
        assert called == []

        await append_all(log, [numbered(number) for number in range(5, 8)])
        end = log.end

    async with started(tmp_path, LARGE) as log:
        assert [number_of(one) for one in await read_all(log)] == list(range(8))
        assert log.end == end


async def test_a_batch_over_several_segments_is_kept_up_to_where_the_disk_ended(small_disk):
    """Those who were told so can rely on it, and the others know."""
    async with started(small_disk / "log", LARGE) as log:
        results = await asyncio.gather(
            *(log.append(numbered(number, MIB // 2)) for number in range(40)), return_exceptions=True
        )
        kept = [result for result in results if isinstance(result, int)]

        assert 4 < len(kept) < 16
        assert results[: len(kept)] == kept
        assert {result.reason for result in results[len(kept) :]} == {"disk_full"}
        assert [one.end for one in await read_all(log)] == kept

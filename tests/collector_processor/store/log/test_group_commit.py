"""One batch is written at a time; what arrives meanwhile is the next."""

import asyncio

import pytest

from collector_processor.component import Entry, Signal
from collector_processor.errors import RefusedError
from collector_processor.store.log.group_commit import GroupCommit

ENTRIES = [Entry(Signal.LOGS, bytes([number]), 1) for number in range(6)]


async def test_what_arrives_while_a_batch_is_written_is_the_next_batch():
    """However much that is."""
    written = []
    commits = GroupCommit(0.0, written.append)
    for entry in ENTRIES[:2]:
        commits.put(entry, None, 10)
    await asyncio.sleep(0)
    for entry in ENTRIES[2:]:
        commits.put(entry, None, 10)
    await asyncio.sleep(0.01)
    assert written == [ENTRIES[:2]]
    assert commits.cost == 60

    assert [waiting.entry for waiting in commits.settled()] == ENTRIES[:2]
    commits.go_on()
    await asyncio.sleep(0.01)

    assert written == [ENTRIES[:2], ENTRIES[2:]]
    assert commits.cost == 40


async def test_a_disk_that_hangs_does_not_keep_us_from_ending():
    """Those who still wait are told that it did not work out."""
    commits = GroupCommit(0.0, lambda entries: None)
    futures = [commits.put(entry, None, 10) for entry in ENTRIES[:3]]
    await asyncio.sleep(0)
    futures.append(commits.put(ENTRIES[3], None, 10))
    futures[0].cancel()

    assert not await commits.drain(0.02)

    for future in futures[1:]:
        with pytest.raises(RefusedError, match="shutting down"):
            await future


async def test_draining_waits_for_all_that_was_put():
    """The batch under way, and the one behind it."""

    def write(entries):
        asyncio.get_running_loop().call_later(0.01, settle)

    def settle():
        settled.extend(waiting.entry for waiting in commits.settled())
        commits.go_on()

    settled = []
    commits = GroupCommit(3_600.0, write)
    commits.put(ENTRIES[0], None, 10)
    draining = asyncio.ensure_future(commits.drain(10.0))
    await asyncio.sleep(0)
    commits.put(ENTRIES[1], None, 10)

    assert await draining
    assert settled == ENTRIES[:2]

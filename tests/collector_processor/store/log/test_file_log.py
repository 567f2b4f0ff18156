"""What is in a log on disk is there after a restart, as far as the disk can still tell."""

import asyncio
import os

import pytest
from log_samples import (
    MIB,
    SMALL,
    append_all,
    bytes_in,
    eventually,
    number_of,
    numbered,
    read_all,
    segments_in,
    started,
)

from collector_processor.component import Signal
from collector_processor.errors import StartError
from collector_processor.store.log import FileLog
from collector_processor.store.log.segment import HEADER_BYTES
from collector_processor.store.settings import LogSettings


async def test_entries_and_counts_outlive_the_process(tmp_path):
    """Position by position."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 50_000, items=number) for number in range(40)])
        before, begin, end = await read_all(log), log.begin, log.end

    async with started(tmp_path) as log:
        assert await read_all(log) == before
        assert (log.begin, log.end) == (begin, end)
        assert [await log.mark_at(one.end) for one in before][-1] == end


async def test_positions_grow_over_restarts(tmp_path):
    """Also when everything was released, or nothing was ever written."""
    ends = []
    for number in range(4):
        async with started(tmp_path) as log:
            assert log.end.position >= max(ends, default=0)
            if number:
                ends.append(await log.append(numbered(number)))
            log.hold("reader", log.end.position)

    assert sorted(set(ends)) == ends


async def test_a_log_that_was_deleted_begins_behind_its_positions(tmp_path):
    """Who remembers one of them does not take new entries for old ones."""
    async with started(tmp_path / "a") as log:
        end = await log.append(numbered(0, 100_000))

    async with started(tmp_path / "b") as log:
        assert log.begin.position > end


async def test_what_was_read_from_memory_is_read_from_disk_as_well(tmp_path):
    """One entry of each size, from each position."""
    sizes = [0, 1, 1_000, 65_536, 600_000, 3, 1_100_000, 20]
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, size) for number, size in enumerate(sizes)])
        expected = await read_all(log)

    async with started(tmp_path) as log:
        for index, one in enumerate(expected):
            assert await read_all(log, one.position, limit_bytes=70_000) == expected[index:]
            # A position within an entry is as good as the end of it.
            assert await read_all(log, one.position + 1) == expected[index + 1 :]


async def test_entries_that_wait_together_are_written_together(tmp_path):
    """More of them than a system call takes buffers."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 10) for number in range(3_000)])

        assert log.commits == 1
        log._tail.drop_before(log.end.position)
        assert [number_of(one) for one in await read_all(log)] == list(range(3_000))


async def test_lingering_gathers_more(tmp_path):
    """What arrives within it goes to disk with the first; shutdown does not wait for the end of it."""
    async with started(tmp_path, LogSettings(max_size_mib=4, linger="1h")) as log:
        await append_all(log, [numbered(0), numbered(1)])
        waiting = []
        for number in range(2, 5):
            waiting.append(asyncio.ensure_future(log.append(numbered(number))))
            await asyncio.sleep(0.01)
        assert log.commits == 1

    assert [await one for one in waiting] == [one.end for one in await read_all(log)][2:]
    assert log.commits == 2


async def test_one_client_that_waits_for_each_answer_does_not_linger(tmp_path):
    """Nobody else comes meanwhile."""
    async with started(tmp_path, LogSettings(max_size_mib=4, linger="1h")) as log:
        for number in range(3):
            await log.append(numbered(number))

        assert log.commits == 3


async def test_each_linger_is_followed_by_a_write(tmp_path):
    """Also when entries arrive while the disk is busy."""
    async with started(tmp_path, LogSettings(max_size_mib=4, linger="1ms")) as log:
        for number in range(20):
            await append_all(log, [numbered(number), numbered(number)])

        assert log.committed_entries == 40


async def test_an_entry_larger_than_a_segment_gets_one_of_its_own(tmp_path):
    """Between others."""
    async with started(tmp_path) as log:
        for number, size in enumerate([10, 2 * MIB, 10]):
            await log.append(numbered(number, size))

    assert [len(list(one.frames(one.begin.position, 2**63))) for one in segments_in(tmp_path)] == [1, 1, 1]


async def test_files_never_take_more_than_the_budget(tmp_path):
    """Room that was only allocated included, whether entries are small or large."""
    async with started(tmp_path) as log:
        for number in range(120):
            size = [100, 70_000, 700_000][number % 3]
            if log.refusal(size + 8) is None:
                await log.append(numbered(number, size))
            else:
                log.hold("reader", log.end.position - (number % 5) * 200_000)
            assert bytes_in(tmp_path) <= log.budget_bytes

        assert log.end.position - segments_in(tmp_path)[0].begin.position > 0
        assert log.commits > 30


async def test_released_segments_are_removed(tmp_path):
    """The one being written stays, and with it the position."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 100_000) for number in range(30)])
        assert len(segments_in(tmp_path)) > 4

        log.hold("reader", log.end.position)
        await eventually(lambda: len(segments_in(tmp_path)) == 1)

        assert log.size_bytes <= 600_000


async def test_a_restart_keeps_what_is_held_and_nothing_is_released_before_holders_speak(tmp_path):
    """Each process hears its holders anew."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 100_000) for number in range(30)])
        middle = (await read_all(log))[15].position
        log.hold("reader", middle)

    async with started(tmp_path, holders=("reader", "new")) as log:
        log.hold("reader", log.end.position)
        await log.append(numbered(30))

        assert [number_of(one) for one in await read_all(log, middle)] == list(range(15, 31))


async def test_what_a_crash_leaves_unfinished_is_cleared_away_and_nothing_else_is(tmp_path):
    """Files of other names are somebody's."""
    async with started(tmp_path) as log:
        await log.append(numbered(0))
    unfinished = tmp_path / f"{2**63:020}.log.new"
    others = [tmp_path / name for name in ("README.txt", "1.log", "other.log.new", f"{5:020}.log.bak", f"{5:021}.log")]
    for path in (unfinished, *others):
        path.write_bytes(b"\0" * 100)

    async with started(tmp_path) as log:
        assert [number_of(one) for one in await read_all(log)] == [0]

    assert not unfinished.exists()
    assert [path.read_bytes() for path in others] == [b"\0" * 100] * len(others)


def corrupt(segment, position):
    """Change one byte of the frame at a position."""
    with segment.path.open("r+b") as file:
        file.seek(position - segment.begin.position + HEADER_BYTES + 30)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 0xFF]))


async def test_a_damaged_place_costs_the_rest_of_its_segment_and_is_counted(tmp_path):
    """Once, however many readers meet it; everything before and behind is read."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 100_000, items=10) for number in range(20)])
        stored = await read_all(log)
    second, third = segments_in(tmp_path)[1:3]
    inside = [one for one in stored if second.begin.position <= one.position < third.begin.position]
    corrupt(second, inside[1].position)
    lost = {number_of(one) for one in inside[1:]}

    async with started(tmp_path) as log:
        # Segments are not read at start, or starting would take as long as the log is.
        assert log.damages.segments == 0
        found, again = await read_all(log), await read_all(log, inside[0].position)

        assert [number_of(one) for one in found] == [number for number in range(20) if number not in lost]
        assert again == [one for one in found if one.position >= inside[0].position]
        assert log.damages.segments == 1
        assert log.damages.lost_bytes == third.begin.position - inside[1].position
        assert log.damages.lost_items[Signal.LOGS] == 10 * len(lost)


async def test_damage_that_is_met_twice_is_counted_from_where_it_begins(tmp_path):
    """A reader that was further already meets less of it, and may read what is whole behind it."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 100_000, items=10) for number in range(20)])
        stored = await read_all(log)
    second, third = segments_in(tmp_path)[1:3]
    inside = [one for one in stored if second.begin.position <= one.position < third.begin.position]
    corrupt(second, inside[1].position)
    corrupt(second, inside[3].position)

    async with started(tmp_path) as log:
        ahead = await read_all(log, inside[2].position)
        assert log.damages.lost_bytes == third.begin.position - inside[3].position
        from_the_begin = await read_all(log)

        assert ahead[0] == inside[2]
        assert [one for one in from_the_begin if one in inside] == inside[:1]
        assert log.damages.segments == 1
        assert log.damages.lost_bytes == third.begin.position - inside[1].position
        assert log.damages.lost_items[Signal.LOGS] == 10 * (len(inside) - 1)


async def test_holds_that_were_told_before_start_count(tmp_path):
    """Whoever starts first need not wait for the log."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 100_000) for number in range(30)])
        end = log.end.position

    log = FileLog(tmp_path, SMALL, ["reader"])
    log.hold("reader", end)
    await log.start()
    await eventually(lambda: len(segments_in(tmp_path)) == 1)
    await log.shutdown(10.0)


async def test_a_reader_at_damage_that_reaches_the_end_waits_for_new_entries(tmp_path):
    """It does not turn in circles, and does not miss them."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 10_000) for number in range(5)])
        place = (await read_all(log))[3].position

    async with started(tmp_path) as log:
        corrupt(segments_in(tmp_path)[0], place)
        assert await log.read(place, MIB) == []

        waiting = asyncio.ensure_future(log.wait_beyond(place))
        done, _ = await asyncio.wait([waiting], timeout=0.02)
        assert not done
        await log.append(numbered(5))
        await asyncio.wait_for(waiting, 10.0)
        assert [number_of(one) for one in await log.read(place, MIB)] == [5]


@pytest.mark.parametrize("which", [0, 1, -2, -1])
@pytest.mark.parametrize("content", [b"something else" * 100, b"", bytes(100_000)])
async def test_a_file_without_our_header_is_put_aside(tmp_path, which, content):
    """Start goes on without it; the others are read, and new entries lie behind it."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 100_000) for number in range(20)])
        expected, end = await read_all(log), log.end.position
    segments = segments_in(tmp_path)
    victim = segments[which]
    bounds = [*(segment.begin.position for segment in segments), end]
    following = bounds[segments.index(victim) + 1]
    victim.path.write_bytes(content)

    async with started(tmp_path) as log:
        await log.append(numbered(20))
        found = await read_all(log)

        assert found[:-1] == [one for one in expected if not victim.begin.position <= one.position < following]
        assert number_of(found[-1]) == 20
        assert found[-1].position >= victim.begin.position
        assert log.damages.segments == (content != b"" or which != -1)
    assert victim.path.with_name(victim.path.name + ".damaged").read_bytes() == content


async def test_a_segment_that_was_deleted_is_counted_as_lost(tmp_path):
    """While the log was closed, or under its eyes."""
    async with started(tmp_path) as log:
        await append_all(log, [numbered(number, 100_000) for number in range(20)])
    second, third, fourth = segments_in(tmp_path)[1:4]
    second.path.unlink()

    async with started(tmp_path) as log:
        assert log.damages.lost_bytes == third.begin.position - second.begin.position
        third.path.unlink()
        left = await read_all(log)

        assert log.damages.lost_bytes == fourth.begin.position - second.begin.position
        assert not any(second.begin.position <= one.position < fourth.begin.position for one in left)


async def test_a_directory_that_cannot_be_used_is_a_clear_error(tmp_path):
    """Named as the setting it comes from."""
    (tmp_path / "file").write_text("")

    with pytest.raises(StartError, match=r"store::directory: '.*file/log' cannot be used: Not a directory"):
        await FileLog(tmp_path / "file" / "log", SMALL, ()).start()

"""What every log promises to those who write and read it, on disk or in memory."""

import asyncio
import logging

import pytest
from log_samples import MIB, SMALL, append_all, eventually, number_of, numbered, read_all

from collector_processor.component import Entry, Signal
from collector_processor.errors import RefusedError
from collector_processor.store.log import FileLog
from collector_processor.store.log.memory_log import MemoryLog


@pytest.fixture(params=["file", "memory"])
async def open_log(request, tmp_path):
    """Opens a log for some holders; shut down in the end."""
    logs = []

    async def opened(*holders):
        log = FileLog(tmp_path / "log", SMALL, holders) if request.param == "file" else MemoryLog(SMALL, holders)
        await log.start()
        logs.append(log)
        return log

    yield opened
    for log in logs:
        await log.shutdown(10.0)


@pytest.fixture
async def log(open_log):
    return await open_log("reader")


async def test_entries_are_read_as_they_were_appended(log):
    """Each field, in the order of the log, and one where the other ends."""
    entries = [
        Entry(Signal.TRACES, b"spans", 3),
        Entry(Signal.METRICS, b"points" * 10_000, 70_000, taken=b"taken", is_watched=True),
        Entry(Signal.LOGS, b"", 0, taken=b"all of it"),
        Entry(Signal.LOGS, b"", 0),
        Entry(Signal.METRICS, b"results", 2, own=True),
    ]

    ends = [await log.append(entry) for entry in entries]

    stored = await read_all(log)
    assert [one.entry for one in stored] == entries
    assert [one.end for one in stored] == ends
    assert [one.position for one in stored] == [log.begin.position, *ends[:-1]]


async def test_marks_count_received_items_and_not_our_own(log):
    """The difference of two marks is what lies between them."""
    begin = log.end
    await log.append(Entry(Signal.LOGS, b"a", 5))
    middle = log.end
    await log.append(Entry(Signal.TRACES, b"b", 7))
    await log.append(Entry(Signal.LOGS, b"c", 100, own=True))

    assert {signal: middle.items[signal] - begin.items[signal] for signal in Signal} == {
        Signal.TRACES: 0,
        Signal.METRICS: 0,
        Signal.LOGS: 5,
    }
    assert {signal: log.end.items[signal] - middle.items[signal] for signal in Signal} == {
        Signal.TRACES: 7,
        Signal.METRICS: 0,
        Signal.LOGS: 0,
    }


async def test_the_mark_at_a_position_is_the_one_that_was_the_end_there(log):
    """A reader that kept only its position finds out how much is before it."""
    marks = [log.end]
    for number in range(50):
        await log.append(numbered(number, 30_000, items=number, signal=list(Signal)[number % 3], own=number % 7 == 0))
        marks.append(log.end)

    assert [await log.mark_at(mark.position) for mark in marks] == marks
    assert await log.mark_at(0) == log.begin
    assert await log.mark_at(log.end.position + 1_000) == log.end


async def test_who_wants_to_know_is_called_in_the_order_of_the_log_before_append_returns(log):
    """And finds the end of the log behind the entry it is called for."""
    calls, returned = [], []

    async def append(number):
        end = await log.append(numbered(number), lambda end: calls.append((end, log.end.position, tuple(returned))))
        returned.append(end)

    await asyncio.gather(*(append(number) for number in range(20)))

    assert [end for end, _, _ in calls] == [one.end for one in await read_all(log)]
    assert all(end == log_end for end, log_end, _ in calls)
    assert all(end not in before for end, _, before in calls)
    assert returned == [end for end, _, _ in calls]


async def test_a_listener_that_fails_harms_nobody(log, caplog):
    """Neither its own entry nor the others; one line says so."""

    def fail(end):
        raise ValueError(end)

    called = []
    with caplog.at_level(logging.ERROR):
        await asyncio.gather(
            log.append(numbered(0), fail), log.append(numbered(1), called.append), log.append(numbered(2), fail)
        )

    assert [number_of(one) for one in await read_all(log)] == [0, 1, 2]
    assert len(called) == 1
    assert len(caplog.records) == 1


async def test_what_was_begun_is_kept_when_whoever_waits_is_gone(log):
    """A client that hangs up has still sent what it sent."""
    called = []
    task = asyncio.ensure_future(log.append(numbered(0), called.append))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await log.append(numbered(1), called.append)

    assert [number_of(one) for one in await read_all(log)] == [0, 1]
    assert called == [one.end for one in await read_all(log)]


async def test_reading_returns_about_as_much_as_was_asked_for(log):
    """At least one entry, whatever the limit; none at the end."""
    ends = await append_all(log, [numbered(number, 1_000) for number in range(10)])

    begin = log.begin.position
    assert len(await log.read(begin, 1)) == 1
    assert len(await log.read(begin, 3_500)) == 3
    assert [one.end for one in await log.read(ends[4], 1 * MIB)] == ends[5:]
    assert await log.read(ends[-1], 1 * MIB) == []


async def test_whoever_waits_is_woken_by_the_next_entry(log):
    """And not sooner; who waits for what is there does not wait."""
    begin = log.end.position
    waiting = asyncio.ensure_future(log.wait_beyond(begin))
    done, _ = await asyncio.wait([waiting], timeout=0.02)
    assert not done

    await log.append(numbered(0))
    await asyncio.wait_for(waiting, 10.0)
    await asyncio.wait_for(log.wait_beyond(begin), 10.0)

    assert [number_of(one) for one in await log.read(begin, 1)] == [0]


async def test_waiting_can_be_given_up(log):
    """Over and over, and others go on waiting."""
    other = asyncio.ensure_future(log.wait_beyond(log.end.position))
    for _ in range(3):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(log.wait_beyond(log.end.position), 0.001)

    await log.append(numbered(0))

    await asyncio.wait_for(other, 10.0)


async def fill(log, size=100_000):
    """Append received entries until the log is full, and return how many it took."""
    count = 0
    while log.refusal(size) is None:
        await log.append(numbered(count, size - 8))
        count += 1
    return count


async def test_a_full_log_refuses_and_says_so(log):
    """What it took stays; nothing of what it did not take is there."""
    count = await fill(log)

    assert log.refusal(100_000) == "log_full"
    with pytest.raises(RefusedError, match="max_size_mib") as caught:
        await log.append(numbered(count, 100_000))
    assert caught.value.reason == "log_full"
    assert [number_of(one) for one in await read_all(log)] == list(range(count))
    assert 0.9 * log.budget_bytes < log.size_bytes <= log.budget_bytes


async def test_there_is_room_for_what_we_say_ourselves_when_nothing_else_is_taken(log):
    """Also that the log is full should get out."""
    await fill(log)

    await log.append(numbered(0, 100_000, own=True))

    assert log.refusal(100_000) == "log_full"


async def test_what_all_have_let_go_of_makes_room(log):
    """As soon as the last one has."""
    for _ in range(5):
        assert await fill(log) > 20
        log.hold("reader", log.end.position)
        await eventually(lambda: log.refusal(100_000) is None)

    assert log.size_bytes < MIB


async def test_nothing_is_thrown_away_before_each_holder_has_spoken(open_log):
    """A reader that starts late still finds what it needs."""
    log = await open_log("early", "late")
    count = await fill(log)
    log.hold("early", log.end.position)

    assert log.refusal(100_000) == "log_full"
    assert len(await read_all(log)) == count

    log.hold("late", log.end.position)
    await eventually(lambda: log.refusal(100_000) is None)


async def test_the_slowest_holder_decides(open_log):
    """Everything from its position on stays."""
    log = await open_log("quick", "slow")
    await fill(log)
    oldest = log.begin.position
    place = (await read_all(log))[20].position
    kept = await read_all(log, place)

    log.hold("quick", log.end.position)
    log.hold("slow", place)

    assert await read_all(log, place) == kept
    assert oldest < log.begin.position <= place


async def test_a_holder_does_not_get_back_what_it_let_go(log):
    """Holding an earlier position changes nothing."""
    await fill(log)
    log.hold("reader", log.end.position)
    log.hold("reader", log.begin.position)

    await eventually(lambda: log.refusal(100_000) is None)


async def test_holding_a_place_beyond_the_end_lets_go_of_nothing_that_comes(log):
    """Whoever remembers a position of some other log loses nothing of this one."""
    await log.append(numbered(0, 100_000))
    log.hold("reader", log.end.position + 10 * MIB)
    middle = log.end.position
    count = await fill(log)

    assert log.refusal(100_000) == "log_full"
    assert len(await read_all(log, middle)) == count


async def test_a_log_that_nobody_reads_keeps_nothing(open_log):
    """There is nobody to keep it for."""
    log = await open_log()

    for number in range(200):
        await log.append(numbered(number, 100_000))

    assert log.size_bytes < MIB


async def test_an_entry_of_nearly_the_whole_budget_fits_once_all_is_released(log):
    """What lies in the open segment, needed by nobody, is not in its way for long."""
    await log.append(numbered(0, 200_000))
    log.hold("reader", log.end.position)

    large = numbered(1, 3_900_000)
    await eventually(lambda: log.refusal(large.size) is None)
    await log.append(large)

    assert [one.entry for one in await log.read(log.begin.position, 1)] == [large]


async def test_an_entry_that_can_never_fit_is_refused(log):
    """The same way, so that it is counted."""
    assert log.refusal(5 * MIB) == "log_full"


async def test_a_log_that_was_shut_down_takes_nothing(log):
    """And says why."""
    await log.append(numbered(0))
    await log.shutdown(10.0)

    with pytest.raises(RefusedError) as caught:
        await log.append(numbered(1))

    assert caught.value.reason == log.refusal(1) == "shutting_down"


async def test_what_waits_at_shutdown_is_kept(log):
    """Whoever was told nothing yet is told now."""
    waiting = [asyncio.ensure_future(log.append(numbered(number))) for number in range(10)]
    await asyncio.sleep(0)

    await log.shutdown(10.0)

    assert [await one for one in waiting] == [one.end for one in await read_all(log)]


async def test_what_it_holds_and_has_taken_can_be_watched(log):
    """For whoever runs it."""
    assert (log.size_bytes < 1_000, log.budget_bytes, log.commits) == (True, 4 * MIB, 0)
    await append_all(log, [numbered(number, 1_000) for number in range(10)])

    assert log.committed_entries == 10
    assert 1 <= log.commits <= 10
    assert 10_000 < log.size_bytes < 12_000

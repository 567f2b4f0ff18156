"""Dead letters: kept until there is no room, oldest gone first, and open to the command while the processor runs."""

import sqlite3
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector_processor.component import DeadLetter, Signal
from collector_processor.errors import DeadLetterError, StartError
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.store.dead_letters import DeadLetterBox, DeadLetterStore
from collector_processor.store.settings import DeadLetterSettings
from otel_ml import semconv

KIB = 1024


def letter(body=b"body", *, reason="rejected_by_backend", items=1):
    return DeadLetter("otlp_grpc", Signal.LOGS, reason, "what the backend said", items, body)


@asynccontextmanager
async def opened(directory, **limits):
    telemetry = SelfTelemetry()
    store = DeadLetterStore(
        directory and directory / "dead-letters.db", DeadLetterSettings.model_validate(limits), telemetry
    )
    await store.start()
    try:
        yield store, telemetry
    finally:
        await store.shutdown(1.0)


def outcome(telemetry, name):
    return telemetry.total(semconv.PROCESSOR_DEAD_LETTERS, processor_outcome=name)


def held(telemetry):
    return [point.value for point in telemetry.points() if point.metric is semconv.PROCESSOR_DEAD_LETTERS_HELD]


async def test_a_letter_is_there_after_a_restart(tmp_path):
    """With all that is known of it, and its body byte for byte."""
    async with opened(tmp_path) as (store, telemetry):
        await store.put([letter(b"\x00\xff", items=7), letter(b"second")])
        assert outcome(telemetry, "kept") == 2
        assert held(telemetry) == [2]

    async with opened(tmp_path) as (_, telemetry):
        assert held(telemetry) == [2]
    with DeadLetterBox(tmp_path) as box:
        first, second = box.letters()
        assert (first.source, first.signal, first.reason, first.detail, first.items, first.size) == (
            "otlp_grpc",
            Signal.LOGS,
            "rejected_by_backend",
            "what the backend said",
            7,
            2,
        )
        assert (box.body(first.id), box.body(second.id)) == (b"\x00\xff", b"second")


async def test_the_oldest_make_room(tmp_path):
    """The file is bounded, and what is lost is counted."""
    async with opened(tmp_path, max_size_mib=1) as (store, telemetry):
        for index in range(10):
            await store.put([letter(bytes([index]) * (200 * KIB))])

        assert outcome(telemetry, "kept") == 10
        assert outcome(telemetry, "evicted") == 5
        assert held(telemetry) == [5]
        with DeadLetterBox(tmp_path) as box:
            assert [box.body(one.id)[0] for one in box.letters()] == [5, 6, 7, 8, 9]
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 3 * 1024 * KIB


async def test_what_is_larger_than_the_whole_room_is_counted_as_failed(tmp_path):
    """It would push out all others, and not fit even then."""
    async with opened(tmp_path, max_size_mib=1) as (store, telemetry):
        await store.put([letter(b"small"), letter(bytes(2 * 1024 * KIB))])

        assert outcome(telemetry, "kept") == 1
        assert outcome(telemetry, "failed") == 1
        assert outcome(telemetry, "evicted") == 0


async def test_without_a_directory_letters_are_in_memory():
    """Bounded as well."""
    async with opened(None, max_size_mib=1) as (store, telemetry):
        await store.put([letter(bytes(600 * KIB))])
        await store.put([letter(bytes(600 * KIB))])

        assert held(telemetry) == [1]


async def test_a_disk_that_fails_is_counted_and_never_raises(tmp_path):
    """Telemetry goes on; somebody may look at `ml.processor.errors`."""
    async with opened(tmp_path) as (store, telemetry):
        store._connection.execute("PRAGMA query_only = ON")
        await store.put([letter(), letter()])

        assert outcome(telemetry, "failed") == 2
        assert telemetry.total(semconv.PROCESSOR_ERRORS, processor_task="dead_letters") == 1


async def test_the_command_takes_letters_out_while_the_processor_runs(tmp_path):
    """Both see the same file, and its sums stay right."""
    async with opened(tmp_path, max_size_mib=1) as (store, telemetry):
        await store.put([letter(bytes(400 * KIB)), letter(bytes(400 * KIB))])
        with DeadLetterBox(tmp_path) as box:
            box.remove(box.letters()[0].id)
            box.shrink()
        await store.put([letter(bytes(400 * KIB))])

        assert outcome(telemetry, "evicted") == 0
        assert held(telemetry) == [2]


async def test_letters_are_chosen_by_id_and_reason(tmp_path):
    """Both together mean both."""
    async with opened(tmp_path) as (store, _):
        await store.put([letter(), letter(reason="late"), letter(reason="late")])
    with DeadLetterBox(tmp_path) as box:
        ids = [one.id for one in box.letters()]

        assert [one.id for one in box.letters(reasons=["late"])] == ids[1:]
        assert [one.id for one in box.letters(ids[:2], ["late"])] == [ids[1]]
        assert box.body(999) is None


async def test_another_file_is_left_alone(tmp_path):
    """A database of somebody else's is neither changed nor read."""
    path = tmp_path / "dead-letters.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()

    with pytest.raises(StartError, match="another kind or version"):
        async with opened(tmp_path):
            pass
    with pytest.raises(DeadLetterError, match="another kind or version"):
        DeadLetterBox(tmp_path)
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(StartError, match="cannot be used"):
        async with opened(tmp_path):
            pass
    with pytest.raises(DeadLetterError, match="not a database"):
        DeadLetterBox(tmp_path)


@pytest.mark.parametrize("directory", ["missing", "."])
def test_a_directory_without_letters_is_an_error_that_says_so(tmp_path, directory):
    """Nothing is made by looking."""
    with pytest.raises(DeadLetterError, match=r"store::directory"):
        DeadLetterBox(tmp_path / directory)

    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.integers(0, 400 * KIB), max_size=12))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_newest_that_fit_are_kept(sizes):
    """Exactly those; and kept = held + evicted."""
    import asyncio

    async def run():
        async with opened(None, max_size_mib=1) as (store, telemetry):
            for index, size in enumerate(sizes):
                await store.put([letter(bytes(size), items=index)])
            rows = store._connection.execute("SELECT items, size FROM letter ORDER BY id").fetchall()
            total = store._connection.execute("SELECT letters, size FROM total").fetchone()
        assert [items for items, _ in rows] == list(range(len(sizes)))[len(sizes) - len(rows) :]
        assert total == (len(rows), sum(size for _, size in rows))
        assert total[1] <= 1024 * KIB
        assert outcome(telemetry, "kept") == len(rows) + outcome(telemetry, "evicted")

    asyncio.run(run())

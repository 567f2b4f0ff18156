"""What a restart finds: the cursor is never ahead of what is done, and nothing behind it is lost."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import grpc
import pytest
from forwarding import TAKE, GrpcBackend, entry, forwarding, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector_processor.component import Signal
from collector_processor.store.log import FileLog
from collector_processor.store.settings import LogSettings
from collector_processor.store.sqlite import SqliteStore
from otel_ml import semconv

DOWN = (grpc.StatusCode.UNAVAILABLE, "")
REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, "no")
SMALL = {"num_consumers": 2, "batch": {"max_size": 400}}


@asynccontextmanager
async def durable(directory):
    """A log and a store on disk, as one process has them open."""
    log = FileLog(directory / "log", LogSettings(max_size_mib=16, segment_size_mib=1), ["backend"])
    store = SqliteStore(directory / "state.db", 3600.0)
    await log.start()
    await store.start()
    try:
        yield {"log": log, "store": store, "path": directory / "dead-letters.db"}
    finally:
        await log.shutdown(5.0)
        await store.shutdown(5.0)


def saved(store):
    found = store.read("cursor/backend").get("mark")
    return None if found is None else json.loads(found)


async def test_after_a_restart_it_goes_on_where_it_was(tmp_path):
    """What the backend has is not sent again, and what it does not have is."""
    with GrpcBackend() as backend:
        async with durable(tmp_path) as kept:
            async with forwarding(backend.endpoint, **kept) as to:
                await to.add(*(entry(f"before {index}") for index in range(10)))
                await until(lambda: to.forwarded == 10)
                backend.judge = lambda *_: DOWN
                await to.add(entry("waits", 3))
                await until(lambda: to.total(semconv.PROCESSOR_RETRIES))
                to_shutdown = to
            assert to_shutdown.exporter.pending(Signal.LOGS) == 3
            assert to_shutdown.dropped("shutdown") == 0
        backend.judge = lambda *_: TAKE
        first, backend.taken = backend.taken, []
        async with durable(tmp_path) as kept, forwarding(backend.endpoint, **kept) as to:
            assert to.total(semconv.PROCESSOR_RECOVERED) == 3
            await until(lambda: to.forwarded == 3)

        assert len(b"".join(body for _, body in first)) == sum(len(entry(f"before {i}").body) for i in range(10))
        assert backend.bodies() == [entry("waits", 3).body]


async def test_what_was_sent_since_the_cursor_was_saved_is_sent_again(tmp_path):
    """A crash between the two is a duplicate, never a loss; the new process counts it as its own."""
    with GrpcBackend() as backend:
        async with durable(tmp_path) as kept:
            async with forwarding(backend.endpoint, **kept) as to:
                await to.add(entry("a", 2))
                await until(lambda: to.forwarded == 2)
            (section,) = [dict(kept["store"].read("cursor/backend"))]
            async with forwarding(backend.endpoint, **kept) as to:
                await to.add(entry("b", 5))
                await until(lambda: to.forwarded == 5)
            # As if the machine had stopped before this was written.
            await kept["store"].write({"cursor/backend": section})
        async with durable(tmp_path) as kept, forwarding(backend.endpoint, **kept) as to:
            await until(lambda: to.forwarded == 5)
            assert to.total(semconv.PROCESSOR_RECOVERED) == 5

        assert backend.bodies().count(entry("b", 5).body) == 2


async def test_the_cursor_is_saved_while_it_moves(tmp_path):
    """Not only at the end: a crash sends little twice."""
    with GrpcBackend() as backend:
        async with durable(tmp_path) as kept, forwarding(backend.endpoint, **kept) as to:
            await to.add(entry(items=2))
            await until(lambda: (saved(kept["store"]) or {}).get("items") == {"traces": 0, "metrics": 0, "logs": 2})

            assert saved(kept["store"])["position"] == kept["log"].end.position


async def test_a_request_that_waits_holds_the_cursor_and_others_overtake_it(tmp_path):
    """Everything before the cursor is done, whatever lies behind it."""
    with GrpcBackend() as backend:
        backend.judge = lambda _, body: DOWN if b"slow" in body else TAKE
        async with durable(tmp_path) as kept:
            async with forwarding(backend.endpoint, **kept, sending_queue=SMALL, shutdown_s=0.1) as to:
                await to.add(entry("slow"))
                await until(lambda: to.total(semconv.PROCESSOR_RETRIES))
                await to.add(*(entry(f"fast {index}") for index in range(20)))
                await until(lambda: to.forwarded == 20)
                assert to.exporter.pending(Signal.LOGS) == 1
                assert (saved(kept["store"]) or {"position": 0})["position"] == 0
            backend.judge = lambda *_: TAKE
            async with forwarding(backend.endpoint, **kept) as to:
                assert to.total(semconv.PROCESSOR_RECOVERED) == 21
                await until(lambda: to.forwarded == 21)


async def test_a_store_that_fails_is_tried_again(tmp_path):
    """Sending goes on meanwhile, and the log keeps what a restart would need."""
    with GrpcBackend() as backend:
        async with durable(tmp_path) as kept, forwarding(backend.endpoint, **kept) as to:
            # A lock of somebody else's stands for a disk that does not write.
            kept["store"]._connection.execute("PRAGMA query_only = ON")
            await to.add(entry(items=2))
            await until(lambda: to.total(semconv.PROCESSOR_ERRORS, processor_task="cursor"))
            assert to.forwarded == 2
            kept["store"]._connection.execute("PRAGMA query_only = OFF")
            await until(lambda: saved(kept["store"]))


@pytest.mark.parametrize(
    "mark",
    [
        b'{"position": 999999999, "items": {"traces": 0, "metrics": 0, "logs": 0}}',
        b'{"position": 0, "items": {"traces": 0, "metrics": 0, "logs": 99}}',
        b"not json",
        b"{}",
        b"[]",
    ],
)
async def test_a_cursor_of_another_log_begins_anew(tmp_path, mark, caplog):
    """Sending twice is better than not at all; and it is said."""
    with GrpcBackend() as backend:
        async with durable(tmp_path) as kept:
            await kept["log"].append(entry(items=2))
            await kept["store"].write({"cursor/backend": {"mark": mark}})
            async with forwarding(backend.endpoint, **kept) as to:
                await until(lambda: to.forwarded == 2)

    assert "cursor" in caplog.text


async def test_a_new_exporter_gets_what_is_in_the_log(tmp_path):
    """Without a cursor it begins with the oldest entry."""
    with GrpcBackend() as backend:
        async with durable(tmp_path) as kept:
            await kept["log"].append(entry("old", 4))
            async with forwarding(backend.endpoint, **kept) as to:
                await until(lambda: to.forwarded == 4)
                assert to.total(semconv.PROCESSOR_RECOVERED) == 4


async def test_what_the_log_has_lost_is_counted(tmp_path):
    """A bad sector is no reason to wait for ever, nor to keep quiet."""
    with GrpcBackend() as backend:
        async with durable(tmp_path) as kept:
            # More than the log keeps in memory, so that it is read from disk.
            for index in range(6):
                await kept["log"].append(entry(f"{index}", body=bytes([10]) + bytes(700_000)))
        first = sorted((tmp_path / "log").iterdir())[1]
        with first.open("r+b") as file:
            file.seek(200_000)
            file.write(b"damage")
        async with durable(tmp_path) as kept, forwarding(backend.endpoint, **kept) as to:
            await until(lambda: to.exporter.pending(Signal.LOGS) == 0)

            assert to.dropped("log_damaged") >= 1
            assert to.forwarded + to.dropped("log_damaged") == 6


@given(seed=st.integers(0, 2**32), lives=st.lists(st.integers(0, 25), min_size=1, max_size=4))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_nothing_is_lost_whatever_a_backend_does(tmp_path_factory, seed, lives):
    """Random answers, random ends of the process: each request arrives, or is a dead letter, and is counted once."""
    asyncio.run(live(tmp_path_factory.mktemp("store"), random.Random(seed), lives))


async def live(directory, choose, lives):
    accepted, letters, number = [], [], 0
    with GrpcBackend() as backend:

        def judge(_, body):
            if b"poison" in body:
                return REFUSED
            return choose.choices([TAKE, DOWN, REFUSED], [8, 2, 1])[0]

        for life, requests in enumerate([*lives, 0]):
            is_last = life == len(lives)
            backend.judge = judge if not is_last else lambda _, body: REFUSED if b"poison" in body else TAKE
            async with durable(directory) as kept:
                async with forwarding(
                    backend.endpoint, **kept, sending_queue=SMALL, shutdown_s=choose.choice([0.0, 1.0])
                ) as to:
                    for _ in range(requests):
                        number += 1
                        one = entry(choose.choice(["good", "good", "poison"]) + f" {number}", choose.randrange(1, 4))
                        accepted.append(one.body)
                        await to.add(one)
                        to.assert_nothing_lost()
                        await asyncio.sleep(choose.choice([0, 0, 0.001]))
                    if is_last:
                        await until(lambda to=to: to.exporter.pending(Signal.LOGS) == 0)
                letters = [body for *_, body in to.kept]
    arrived = b"".join([*backend.bodies(), *letters])
    assert [body for body in accepted if body not in arrived] == []

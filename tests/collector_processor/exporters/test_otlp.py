"""From the log to a backend: everything that was accepted leaves, or is counted with the reason."""

import asyncio
import threading
import time

import grpc
import pytest
from forwarding import FAST_RETRY, TAKE, GrpcBackend, entry, forwarding, until
from otlp_sink import OtlpSink

from collector_processor.component import Entry, Signal
from otel_ml import semconv


async def test_a_request_arrives():
    """The bytes are those that were accepted."""
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint) as to:
            sent = entry(items=2)
            await to.add(sent)
            await until(lambda: to.forwarded == 2)

        assert backend.taken == [(Signal.LOGS, sent.body)]


async def test_what_waits_is_joined_by_signal():
    """While a backend is busy, requests gather, and one call takes them all."""
    with GrpcBackend() as backend:
        backend.judge = lambda *_: (grpc.StatusCode.UNAVAILABLE, "")
        async with forwarding(backend.endpoint, sending_queue={"num_consumers": 1}) as to:
            await to.add(entry("first"))
            await until(lambda: backend.calls)
            logs = [entry(f"log {index}") for index in range(20)]
            spans = [Entry(Signal.TRACES, b"\n\x02\n\x00", 1) for _ in range(20)]
            await to.add(*(one for pair in zip(logs, spans, strict=True) for one in pair))
            backend.judge = lambda *_: TAKE
            await until(lambda: to.forwarded == 41)

        assert backend.bodies()[1:] == [b"".join(one.body for one in logs)]
        assert backend.bodies(Signal.TRACES) == [b"".join(one.body for one in spans)]


async def test_small_requests_gather_while_a_call_is_on_its_way_but_not_for_long():
    """Few calls under load; and one that hangs keeps nobody else waiting."""
    released = threading.Event()

    def judge(_, body):
        if b"slow" in body:
            released.wait(20)
        return TAKE

    with GrpcBackend(judge) as backend:
        async with forwarding(backend.endpoint) as to:
            await to.add(entry("slow"))
            await until(lambda: backend.calls == 1)
            for index in range(30):
                await to.add(entry(str(index)))
                await asyncio.sleep(0)
            await until(lambda: to.forwarded == 30)
            assert backend.calls < 10
            released.set()
            await until(lambda: to.forwarded == 31)


async def test_own_results_do_not_mix_with_what_is_received():
    """They are counted apart, so they leave apart."""
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint) as to:
            await to.add(entry("received"), entry("own", 3, own=True))
            await until(lambda: to.forwarded == 1 and to.result("sent") == 3)

        assert len(backend.taken) == 2


async def test_batches_keep_to_their_size_and_larger_requests_go_alone():
    """A backend's limit is no reason to lose anything that fits."""
    with GrpcBackend() as backend:
        backend.judge = lambda *_: (grpc.StatusCode.UNAVAILABLE, "")
        queue = {"num_consumers": 1, "batch": {"max_size": 1000}}
        async with forwarding(backend.endpoint, sending_queue=queue) as to:
            await to.add(*(entry(body=bytes([10, 98]) + b"x" * 98) for _ in range(25)))
            await to.add(entry(body=b"x" * 5000))
            backend.judge = lambda *_: TAKE
            await until(lambda: to.forwarded == 26)

        *others, largest = sorted(len(body) for body in backend.bodies())
        assert largest == 5000
        assert sum(others) == 2500
        assert max(others) <= 1000


async def test_other_signals_are_passed_over():
    """A log is shared by exporters of different pipelines; nobody waits for what is not his."""
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, signals=(Signal.LOGS,)) as to:
            await to.add(Entry(Signal.METRICS, b"x", 7), Entry(Signal.LOGS, b"", 0, taken=b"y"), entry())
            await until(lambda: to.forwarded == 1)
            await until(lambda: to.log.begin == to.log.end)

            assert to.exporter.pending(Signal.METRICS) == 0
        assert [signal for signal, _ in backend.taken] == [Signal.LOGS]


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OUT_OF_RANGE])
async def test_a_backend_that_refuses_is_asked_again_until_it_takes(code):
    """An outage of a backend loses nothing."""
    with OtlpSink() as sink:
        sink.fail_with(code)
        async with forwarding(sink.endpoint) as to:
            await to.add(entry(items=2))
            await until(lambda: sink.calls >= 3)
            assert to.exporter.pending(Signal.LOGS) == 2
            assert to.gauge(semconv.PROCESSOR_QUEUE_SIZE) > 0
            sink.recover()
            await until(lambda: to.forwarded == 2)
            await until(lambda: to.gauge(semconv.PROCESSOR_QUEUE_SIZE) == 0)

        assert len(sink.logs) == 1


async def test_a_backend_that_is_not_there_yet_is_found_when_it_comes():
    """The order in which things are started does not matter."""
    with OtlpSink() as sink:
        sink.refuse()
        async with forwarding(sink.endpoint) as to:
            await to.add(entry())
            await until(lambda: to.total(semconv.PROCESSOR_RETRIES) >= 2)
            await asyncio.to_thread(sink.recover)
            await until(lambda: to.forwarded == 1)


async def test_a_flapping_backend_gets_everything_once():
    """What fails is sent again, and what was taken is not."""
    with GrpcBackend() as backend:
        backend.judge = lambda *_: (grpc.StatusCode.UNAVAILABLE, "") if backend.calls % 3 else TAKE
        async with forwarding(backend.endpoint) as to:
            sent = [entry(f"request {index}") for index in range(100)]
            for one in sent:
                await to.add(one)
                await asyncio.sleep(0)
                to.assert_nothing_lost()
            await until(lambda: to.forwarded == 100)

        assert sorted(b"".join(backend.bodies())) == sorted(b"".join(one.body for one in sent))


async def test_while_nothing_gets_through_one_attempt_is_made_at_a_time():
    """A backend that comes up again is not met by all that waits."""
    at_once, most = [0], [0]
    with GrpcBackend() as backend:

        def judge(signal, body):
            at_once[0] += 1
            if backend.calls > 8:
                most[0] = max(most[0], at_once[0])
            time.sleep(0.01)
            at_once[0] -= 1
            return (grpc.StatusCode.UNAVAILABLE, "")

        backend.judge = judge
        async with forwarding(
            backend.endpoint, sending_queue={"num_consumers": 4, "batch": {"max_size": 1}}, shutdown_s=0.1
        ) as to:
            await to.add(*(entry(str(index)) for index in range(8)))
            await until(lambda: backend.calls >= 30)
            assert len(to.exporter._in_flight) == 4

    assert most == [1]


async def test_resource_exhausted_is_retried_only_when_the_backend_says_when_to_come_back():
    """That is how OTLP tells a busy backend from a message that is too big."""
    with OtlpSink() as sink:
        async with forwarding(sink.endpoint) as to:
            sink.fail_with(grpc.StatusCode.RESOURCE_EXHAUSTED)
            await to.add(entry(items=2))
            await until(lambda: to.dropped("rejected_by_backend") == 2)
            sink.fail_with(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after_s=0.01)
            await to.add(entry(items=2))
            await until(lambda: to.total(semconv.PROCESSOR_RETRIES) >= 1)
            sink.recover()
            await until(lambda: to.forwarded == 2)


async def test_patience_can_be_bounded():
    """As `max_elapsed_time` says."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        async with forwarding(sink.endpoint, retry_on_failure={**FAST_RETRY, "max_elapsed_time": "100ms"}) as to:
            await to.add(entry(items=2))
            await until(lambda: to.dropped("retries_exhausted") == 2)

            assert to.letters() == []


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
async def test_what_a_backend_does_not_let_in_waits_until_it_does(code, caplog):
    """The data is fine, and somebody must act: nothing is dropped, and it is said once."""
    with GrpcBackend() as backend:
        backend.judge = lambda *_: (code, "who are you?")
        async with forwarding(backend.endpoint) as to:
            await to.add(*(entry(str(index)) for index in range(10)))
            await until(lambda: to.total(semconv.PROCESSOR_RETRIES) >= 5)
            assert to.gauge(semconv.PROCESSOR_BLOCKED) == 1
            assert to.exporter.pending(Signal.LOGS) == 10
            backend.judge = lambda *_: TAKE
            await until(lambda: to.forwarded == 10)

            assert to.gauge(semconv.PROCESSOR_BLOCKED) == 0
            assert to.letters() == []
    assert sum("who are you?" in record.message and "must act" in record.message for record in caplog.records) == 1


async def test_shutdown_of_a_log_in_memory_sends_what_waits():
    """SIGTERM does not lose the last minute."""
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint) as to:
            await to.add(*(entry(items=2) for _ in range(20)))

        assert to.forwarded == 40


async def test_what_a_log_in_memory_holds_at_the_end_is_counted_as_dropped():
    """It ends with the process, and nobody should have to guess how much that was."""
    with GrpcBackend(lambda *_: (grpc.StatusCode.UNAVAILABLE, "")) as backend:
        queue = {"num_consumers": 2, "batch": {"max_size": 1}}
        async with forwarding(backend.endpoint, sending_queue=queue, shutdown_s=0.05) as to:
            await to.add(*(entry(items=2) for _ in range(10)), entry(items=3, own=True))

    assert to.dropped("shutdown") == 20
    assert to.result("shutdown") == 3
    assert to.exporter.pending(Signal.LOGS) == 0


async def test_lingering_joins_what_comes_one_by_one():
    """For backends that are paid by the call."""
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, sending_queue={"batch": {"linger": "200ms"}}) as to:
            for index in range(5):
                await to.add(entry(str(index)))
                await asyncio.sleep(0.001)
            await until(lambda: to.forwarded == 5)

        assert len(backend.taken) < 5

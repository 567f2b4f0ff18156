"""What a backend will never take: found, put away byte for byte, and nothing good goes with it."""

import random
import time

import grpc
import pytest
from forwarding import TAKE, GrpcBackend, HttpBackend, entry, forwarding, until
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from collector_processor.component import Signal
from otel_ml import semconv

REFUSED = (grpc.StatusCode.INVALID_ARGUMENT, "poison")
DOWN = (grpc.StatusCode.UNAVAILABLE, "")


def refuses_poison(signal, body):
    return REFUSED if b"poison" in body else TAKE


def records(bodies):
    """The texts of all log records, sorted."""
    return sorted(
        record.body.string_value
        for body in bodies
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


async def joined(to, backend, entries, judge):
    """Let entries gather while a backend is down, and then be judged."""
    backend.judge = lambda *_: DOWN
    await to.add(entry("first"))
    await until(lambda: backend.calls)
    await to.add(*entries)
    backend.judge = judge


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_one_poisonous_request_among_200_joined_is_found(code):
    """The other 199 arrive, and the one can be looked at byte for byte."""
    poison = entry("poison", 3)
    entries = [entry(f"good {index}") for index in range(199)]
    entries.insert(77, poison)
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, sending_queue={"num_consumers": 1}) as to:
            judge = lambda _, body: (code, "poison") if b"poison" in body else TAKE  # noqa: E731
            await joined(to, backend, entries, judge)
            calls = backend.calls
            await until(lambda: to.forwarded == 200 and to.dropped("rejected_by_backend") == 3)

            assert to.letters() == [(Signal.LOGS, "rejected_by_backend", 3, poison.body)]
            assert to.total(semconv.PROCESSOR_DEAD_LETTERS, processor_outcome="kept") == 1
        good = [one.body for one in entries if one is not poison] + [entry("first").body]
        assert records(backend.bodies()) == records(good)
        assert backend.calls - calls < 25


async def test_a_request_that_is_too_large_is_taken_apart():
    """RESOURCE_EXHAUSTED without a RetryInfo: halves may fit."""
    entries = [entry(f"request {index}") for index in range(32)]
    limit = sum(len(one.body) for one in entries) // 3

    def judge(_, body):
        return TAKE if len(body) <= limit else (grpc.StatusCode.RESOURCE_EXHAUSTED, f"{len(body)} bytes are too many")

    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, sending_queue={"num_consumers": 1}) as to:
            await joined(to, backend, entries, judge)
            await until(lambda: to.forwarded == 33)

            assert to.letters() == []
        assert len(backend.taken) == 5


async def test_a_batch_that_takes_too_long_is_sent_in_parts():
    """A slow line is no reason to send the same megabytes again for ever."""
    entries = [entry(f"request {index}") for index in range(16)]
    limit = sum(len(one.body) for one in entries) // 3

    def judge(_, body):
        if len(body) > limit:
            time.sleep(0.4)
        return TAKE

    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, sending_queue={"num_consumers": 1}, timeout="200ms") as to:
            await joined(to, backend, entries, judge)
            await until(lambda: to.forwarded == 17)

        # What came too late was taken nevertheless, as it is with real backends.
        assert [one.body for one in entries if not any(one.body in body for body in backend.bodies())] == []


async def test_when_everything_is_refused_batches_are_put_away_whole():
    """Thousands of requests take some dozen attempts, and all of them are kept."""
    entries = [entry(f"poison {index}") for index in range(2000)]
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, sending_queue={"num_consumers": 1}) as to:
            await joined(to, backend, entries, lambda *_: (REFUSED[0], f"request {backend.calls} is no good"))
            await until(lambda: to.dropped("rejected_by_backend") == 2001)

            kept = [body for *_, body in to.letters()]
        assert records(kept) == records([one.body for one in [entry("first"), *entries]])
        assert sum(items for *_, items, _ in to.kept) == 2001
        assert backend.calls < 120


async def test_a_backend_that_changes_its_mind_is_noticed():
    """After all was refused, what is good arrives again, even where it was joined with what is not."""
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, sending_queue={"num_consumers": 1}) as to:
            await joined(to, backend, [entry(f"poison {index}") for index in range(50)], lambda *_: REFUSED)
            await until(lambda: to.dropped("rejected_by_backend") == 51)
            good = [entry(f"good {index}") for index in range(100)]
            # One after the other is chosen to go ahead: soon a good one is.
            for _ in range(20):
                await joined(to, backend, [*good, entry("poison")], refuses_poison)
                await until(lambda: to.exporter.pending(Signal.LOGS) == 0)
            forwarded = to.forwarded
            await joined(to, backend, [*good, entry("poison")], refuses_poison)
            await until(lambda: to.exporter.pending(Signal.LOGS) == 0)

            assert to.forwarded - forwarded == 101


async def test_half_of_the_requests_being_refused_costs_no_good_one():
    """A success in between shows that the backend does not mean all."""
    choose = random.Random(5)
    entries = [entry("poison" if choose.random() < 0.5 else "good") for _ in range(300)]
    poisonous = sum(b"poison" in one.body for one in entries)
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint, sending_queue={"num_consumers": 1}) as to:
            await joined(to, backend, entries, refuses_poison)
            await until(lambda: to.exporter.pending(Signal.LOGS) == 0)

            assert to.forwarded == 301 - poisonous
            assert len(to.letters()) == poisonous


async def test_a_signal_that_a_backend_does_not_know_leaves_the_others_alone():
    """UNIMPLEMENTED for spans says nothing about logs."""
    with GrpcBackend() as backend:
        unknown = (grpc.StatusCode.UNIMPLEMENTED, "unknown service")
        backend.judge = lambda signal, _: unknown if signal is Signal.TRACES else TAKE
        async with forwarding(backend.endpoint) as to:
            for _ in range(40):
                await to.add(entry(), entry(signal=Signal.TRACES, body=b"\n\x00"))
            await until(lambda: to.forwarded == 40 and to.dropped("rejected_by_backend") == 40)

            assert {signal for signal, *_ in to.letters()} == {Signal.TRACES}


async def test_own_results_that_are_refused_are_counted_apart():
    """They are no loss of anybody's telemetry, and can be looked at all the same."""
    with GrpcBackend(lambda *_: REFUSED) as backend:
        async with forwarding(backend.endpoint) as to:
            await to.add(entry(items=4, own=True))
            await until(lambda: to.result("rejected_by_backend") == 4)

            assert len(to.letters()) == 1
        assert to.total(semconv.PROCESSOR_DROPPED) == 0


async def test_partial_success_of_a_backend_is_counted_as_dropped():
    """Taken is not kept; which ones they were is not said, so there is no letter."""
    response = ExportLogsServiceResponse()
    response.partial_success.rejected_log_records = 1
    with HttpBackend() as backend:
        backend.answers = [(200, {}, response.SerializeToString())]
        async with forwarding(backend.endpoint, http=True) as to:
            await to.add(entry(items=3))
            await until(lambda: to.forwarded == 2)

            assert to.dropped("rejected_by_backend") == 1
            assert to.letters() == []


class _Broken:
    """A transport with a bug."""

    async def send(self, signal, body):
        raise ZeroDivisionError(f"a bug, {len(body)}")

    async def close(self):
        pass


async def test_a_failure_of_our_own_costs_no_data():
    """What cannot be sent for a bug of ours is kept as a dead letter, and counted as what it is."""
    with GrpcBackend() as backend:
        async with forwarding(backend.endpoint) as to:
            to.exporter._patience._transport = _Broken()
            await to.add(entry("a", 2))
            await until(lambda: to.dropped("failure") == 2)

            assert to.letters() == [(Signal.LOGS, "failure", 2, entry("a", 2).body)]
        assert to.total(semconv.PROCESSOR_ERRORS, processor_task="export") == 4

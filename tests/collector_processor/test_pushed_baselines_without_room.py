"""Baselines that cannot be kept for now: they come again, and all of a request counts once."""

import asyncio
import resource
from contextlib import asynccontextmanager, contextmanager

import grpc
import httpx
import numpy as np
import pytest
from full_disk import PAGE, fill, small_disk
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from otlp_sink import OtlpSink
from processor_samples import Producer, logs_request, numeric, snapshot_record, text_record
from receiving import receiving
from running_service import running, until

from collector_processor.component import Signal
from collector_processor.errors import RefusedError
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.files import BaselineFiles
from collector_processor.processors.references.watching import BaselineWatch
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv
from otel_ml.baseline import Baseline

COLUMNS = 60
"""So many that a file is larger than what other files of a test need."""


def content(path, model="fraud", columns=COLUMNS):
    values = np.random.default_rng(1).normal(size=500)
    Baseline.build({f"amount{number}": values for number in range(columns)}, model=model, version="3").save(path)
    return path.read_bytes()


def pushed(payload):
    record = LogRecord(event_name=semconv.EVENT_BASELINE)
    record.attributes.add(key=semconv.BASELINE_PAYLOAD).value.bytes_value = payload
    return record


def partial_success(answered):
    return ExportLogsServiceResponse.FromString(answered).partial_success


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk") as place:
        yield place


@contextmanager
def no_room(inbox):
    """As when the folder's disk is full: no file grows beyond so much."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def gone(inbox):
    """As when a volume is unmounted."""
    inbox.rename(inbox.with_name("elsewhere"))
    yield
    inbox.with_name("elsewhere").rename(inbox)


@contextmanager
def no_folder(inbox):
    """Something else has its name."""
    with gone(inbox):
        inbox.touch()
        yield
        inbox.unlink()


@asynccontextmanager
async def watching(protocol, inbox):
    """A receiver whose baselines go into a folder."""
    references = References([])
    watch = BaselineWatch(BaselineFiles([], str(inbox)), references, SelfTelemetry(), forget_others=lambda _: None)
    async with receiving(protocol, (Signal.LOGS,), keep_baselines=watch.keep) as receiver:
        yield receiver, references


@pytest.mark.parametrize("trouble", [no_room, gone, no_folder])
async def test_over_grpc_it_is_unavailable_until_the_folder_can_be_written(tmp_path, trouble):
    """With when to come back, in both places, and what to look at; then the same is taken."""
    body = logs_request(pushed(content(tmp_path / "fraud.baseline")), text_record()).SerializeToString()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    async with watching("grpc", inbox) as (receiver, references):
        with trouble(inbox):
            error = await receiver.error(Signal.LOGS, body)
        left, kept = [*inbox.iterdir()], [*receiver.kept.requests]
        answered = await receiver.export(Signal.LOGS, body)

        trailers, told = dict(error.trailing_metadata()), RetryInfo()
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "processors::drift::accept_baselines" in error.details()
        assert str(tmp_path) not in error.details()
        assert Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(told)
        assert told == RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
        assert (left, kept) == ([], [])
        assert receiver.telemetry.total(semconv.PROCESSOR_REFUSED, drop_reason="baseline_unwritten") == 1
        assert answered == b""
        assert [baseline.model.name for baseline in references.all] == ["fraud"]
        assert [request.items for request in receiver.kept.requests] == [1]


async def test_over_http_it_is_503_with_retry_after(tmp_path):
    """Collectors drop for good on nearly everything else."""
    body = logs_request(pushed(content(tmp_path / "fraud.baseline"))).SerializeToString()
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    headers = {"content-type": "application/x-protobuf"}
    async with (
        watching("http", inbox) as (receiver, references),
        httpx.AsyncClient(base_url=f"http://{receiver.address}", timeout=30, trust_env=False) as web,
    ):
        with no_room(inbox):
            refused = await web.post("/v1/logs", content=body, headers=headers)
        taken = await web.post("/v1/logs", content=body, headers=headers)

        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        assert "File too large" in Status.FromString(refused.content).message
        assert (taken.status_code, taken.content) == (200, b"")
        assert len(references.all) == 1


async def test_all_of_a_mixed_request_counts_once_when_it_comes_again(tmp_path, disk):
    """One baseline would have found room, the other finds none: nothing of the request is taken, then all of it."""
    small, large = content(tmp_path / "small", "small", columns=1), content(tmp_path / "large", "large")
    inbox = disk / "inbox"
    snapshot = snapshot_record(Producer().snapshot(numeric("amount", range(10)), rows=10))
    records = [text_record(), pushed(small), pushed(b"nonsense"), snapshot, pushed(large)]
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"accept_baselines": str(inbox)}, store=tmp_path / "store") as service:
            others = fill(disk, leave=2 * PAGE)
            assert len(small) < 2 * PAGE < len(large)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await service.send(Signal.LOGS, logs_request(*records))
            after_refusal = (
                [*inbox.iterdir()],
                service.service.console.live().baselines,
                [service.total(metric) for metric in (semconv.PROCESSOR_RECEIVED, semconv.PROCESSOR_DROPPED)],
            )
            others.unlink()
            told = partial_success(await service.send(Signal.LOGS, logs_request(*records)))
            await until(lambda: service.total(semconv.PROCESSOR_ROWS))
            await until(sink.log_records)
            names = {facts.model for facts in service.service.console.live().baselines}

            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert after_refusal == ([], [], [0, 0])
            assert told.rejected_log_records == 1
            assert told.error_message.startswith("the baseline that was sent: ")
            assert sorted(path.name for path in inbox.iterdir()) == ["large@3.baseline", "small@3.baseline"]
            assert names == {"small", "large"}
            assert service.total(semconv.PROCESSOR_ROWS) == 10
            assert service.total(semconv.PROCESSOR_RECEIVED) == 5
            assert service.total(semconv.PROCESSOR_DROPPED, drop_reason="baseline") == 1
            assert [record.body.string_value for record in sink.log_records()] == ["hello"]
            service.assert_nothing_lost()


async def test_when_the_answer_was_lost_coming_again_changes_nothing(tmp_path):
    """A baseline that is kept twice is kept once, and a snapshot counts once."""
    snapshot = snapshot_record(Producer().snapshot(numeric("amount", range(10)), rows=10))
    request = logs_request(pushed(content(tmp_path / "fraud.baseline")), pushed(b"nonsense"), snapshot)
    inbox = tmp_path / "inbox"
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"accept_baselines": str(inbox)}) as service:
            answers = [partial_success(await service.send(Signal.LOGS, request)) for _ in range(3)]
            await until(lambda: service.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome="duplicate") == 2)

            assert [answer.rejected_log_records for answer in answers] == [1, 1, 1]
            assert service.total(semconv.PROCESSOR_ROWS) == 10
            assert [path.name for path in inbox.iterdir()] == ["fraud@3.baseline"]


async def test_a_log_without_room_asks_all_of_a_mixed_request_to_come_back(tmp_path):
    """The baseline may be in use by then: it is the same one that comes again. What else came is in no log."""
    payload = content(tmp_path / "fraud.baseline")
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    async with watching("grpc", inbox) as (receiver, references):
        receiver.kept.error = RefusedError("full; try again", "log_full")
        body = logs_request(text_record(), pushed(payload), pushed(b"nonsense")).SerializeToString()
        error = await receiver.error(Signal.LOGS, body)
        receiver.kept.error = None
        told = partial_success(await receiver.export(Signal.LOGS, body))

        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert told.rejected_log_records == 1
        assert [(request.items, request.consumed) for request in receiver.kept.requests] == [(1, 1)]
        assert [path.name for path in inbox.iterdir()] == ["fraud@3.baseline"]
        assert len(references.all) == 1


async def test_of_many_at_once_exactly_those_acknowledged_are_there(tmp_path, disk):
    """Whoever is asked to come back has left nothing behind; once there is room, all of them are there."""
    bodies = {
        f"model{number}": logs_request(pushed(content(tmp_path / "one", f"model{number}"))).SerializeToString()
        for number in range(12)
    }
    inbox = disk / "inbox"
    inbox.mkdir()
    others = fill(disk, leave=3 * (tmp_path / "one").stat().st_size)
    async with watching("grpc", inbox) as (receiver, references), receiver.channel() as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")

        async def is_taken(body):
            call = export(body, timeout=30)
            code = await call.code()
            assert code in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)
            return code is grpc.StatusCode.OK

        async def send(names):
            answers = await asyncio.gather(*(is_taken(bodies[name]) for name in names))
            return {name for name, taken in zip(names, answers, strict=True) if taken}

        taken = await send(list(bodies))
        kept = sorted(path.name for path in inbox.iterdir())
        in_use = {baseline.model.name for baseline in references.all}
        others.unlink()
        rest = await send([name for name in bodies if name not in taken])

        assert len(taken) < len(bodies)
        assert kept == sorted(f"{name}@3.baseline" for name in taken)
        assert in_use == taken
        assert taken | rest == set(bodies)
        assert {Baseline.load(path).model.name for path in inbox.iterdir()} == set(bodies)

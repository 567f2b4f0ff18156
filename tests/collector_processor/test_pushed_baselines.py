"""Baselines that come while the service runs: over real gRPC, and in a folder."""

import numpy as np
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from otlp_sink import OtlpSink
from processor_samples import MINUTE, START, Producer, logs_request, numeric, text_record
from running_service import alerts, running, until

from collector_processor.component import Signal
from otel_ml import semconv
from otel_ml.baseline import Baseline


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "fraud-3.baseline"
    amounts = np.random.default_rng(1).lognormal(3, 1, 5000)
    Baseline.build({"amount": amounts}, model="fraud", version="3").save(path)
    return path


def pushed(content):
    record = LogRecord(event_name=semconv.EVENT_BASELINE)
    record.attributes.add(key=semconv.BASELINE_PAYLOAD).value.bytes_value = content
    return record


class Traffic:
    def __init__(self):
        self._random = np.random.default_rng(2)
        self._producer = Producer()

    def window(self, number, scale=1.0):
        amounts = scale * self._random.lognormal(3, 1, 1000)
        return self._producer.snapshot(numeric("amount", amounts), rows=1000, start=START + number * MINUTE)


async def answer(service, *records):
    return ExportLogsServiceResponse.FromString(await service.send(Signal.LOGS, logs_request(*records))).partial_success


async def test_a_model_gets_a_baseline_without_a_restart(tmp_path, file):
    """From the next window on; the record goes no further, and what comes with it does; a restart finds it."""
    traffic = Traffic()
    inbox = {"accept_baselines": str(tmp_path / "inbox")}
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift=inbox, store=tmp_path / "store") as service:
            await service.snapshots(traffic.window(0), traffic.window(1))
            await until(lambda: service.total(semconv.PROCESSOR_WINDOWS, processor_outcome="no_baseline") >= 1)

            told = await answer(service, text_record(), pushed(file.read_bytes()))

            await service.snapshots(*(traffic.window(number, 3.0) for number in range(2, 7)))
            await until(lambda: ("amount", "drift", "firing") in alerts(sink))
            service.assert_nothing_lost()
        async with running(tmp_path, sink, drift=inbox, store=tmp_path / "store") as service:
            (kept,) = service.service.console.live().baselines

    assert (told.rejected_log_records, told.error_message) == (0, "")
    assert [record.body.string_value for record in sink.log_records()].count("hello") == 1
    assert sink.log_records(semconv.EVENT_BASELINE) == []
    assert (kept.model, kept.version, kept.rows) == ("fraud", "3", 5000)


async def test_without_a_folder_for_them_they_are_refused(tmp_path, file):
    """Whoever sends is told the setting; nobody's baseline is replaced by default."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, file) as service:
            told = await answer(service, pushed(file.read_bytes()), text_record())
            await until(sink.log_records)
            service.assert_nothing_lost()

            assert told.rejected_log_records == 1
            assert "processors::drift::accept_baselines" in told.error_message
            assert service.total(semconv.PROCESSOR_DROPPED, drop_reason="baseline") == 1
            assert sink.log_records(semconv.EVENT_BASELINE) == []


@pytest.mark.parametrize("harm", [lambda content: b"", lambda content: content[:-9], lambda content: content[::-1]])
async def test_what_is_no_baseline_is_refused_with_the_reason(tmp_path, file, harm):
    """And what is in use stays in use."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink, file, drift={"accept_baselines": str(tmp_path / "inbox")}) as service:
            told = await answer(service, pushed(harm(file.read_bytes())))

            assert told.rejected_log_records == 1
            assert told.error_message.startswith("the baseline that was sent: ")
            assert [facts.model for facts in service.service.console.live().baselines] == ["fraud"]


async def test_a_file_that_is_put_into_a_folder_is_taken_up(tmp_path, file):
    """As `otel-ml baseline promote` does it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    with OtlpSink() as sink:
        async with running(tmp_path, sink, drift={"baselines": [str(folder)]}) as service:
            before = service.service.console.live().baselines

            (folder / "fraud.baseline").write_bytes(file.read_bytes())

            await until(lambda: service.service.console.live().baselines)
    assert before == []

"""The Collector configurations we ship, in a real Collector, before a real processor."""

import os
import subprocess

import pytest
import yaml
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from otlp_sink import OtlpSink, attributes
from peers.running import CONFIGURATIONS, free_ports, program, send, until
from peers.samples import numbers_of, rows_merged, rows_of, snapshots, texts
from processor_samples import (
    ModelKey,
    Producer,
    logs_request,
    metrics_request,
    numeric,
    snapshot_record,
    text_record,
    traces_request,
)

SHIPPED = [
    CONFIGURATIONS.parent / "collector.yaml",
    *sorted(path for path in CONFIGURATIONS.glob("*.yaml") if path.name != "manifest.yaml"),
]

pytestmark = pytest.mark.slow


def to(sink):
    """The processor's exporter to a sink."""
    retry = {"initial_interval": "50ms", "max_interval": "200ms"}
    return {"otlp_grpc": {"endpoint": sink.endpoint, "tls": {"insecure": True}, "retry_on_failure": retry}}


def address(sink):
    return sink.endpoint.removeprefix("http://")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_collector_accepts_what_we_ship(path, tmp_path):
    """Every key exists in the pinned release, and every component is in the manifest."""
    done = subprocess.run(
        [program("collector"), "validate", "--config", path],
        env={**os.environ, "COLLECTOR_STATE": str(tmp_path / "state")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_what_we_ship_has_no_size_counted_in_items():
    """Batches by bytes wherever there are batches, and nowhere the batch processor."""
    for path in SHIPPED:
        configuration = yaml.safe_load(path.read_text())
        queues = [exporter.get("sending_queue", {}) for exporter in configuration["exporters"].values()]

        assert {queue["batch"]["sizer"] for queue in queues if "batch" in queue} <= {"bytes"}
        assert not [name for name in configuration.get("processors", {}) if name.startswith("batch")]


def test_an_agent_hands_on_everything_exactly_once(peers):
    """All three signals, to the last record, and the rows of every snapshot."""
    with OtlpSink() as backend:
        processor = peers.processor(exporters=to(backend))
        agent = peers.collector("agent.yaml", OTEL_ML_UPSTREAM=processor.address)
        send(agent.address, *texts(50), *snapshots(100, rows=10), *[traces_request(4)] * 5, *[metrics_request(3)] * 5)
        until(lambda: len(numbers_of(backend)) >= 50 and len(backend.spans()) >= 20)
        until(lambda: len(backend.metrics_named("temperature")) >= 5)
        agent.stop()
        processor.stop()

        assert numbers_of(backend) == list(range(50))
        assert len(backend.spans()) == 20
        assert sum(len(metric.gauge.data_points) for metric in backend.metrics_named("temperature")) == 15
        assert rows_of(backend) == [1000]
        assert backend.log_records("ml.sketch.snapshot") == []


def test_an_sdk_delivers_through_agent_and_processor(peers):
    """The Python SDK's own exporter, not bytes of ours."""
    with OtlpSink() as backend:
        processor = peers.processor(exporters=to(backend))
        agent = peers.collector("agent.yaml", OTEL_ML_UPSTREAM=processor.address)
        provider = LoggerProvider(shutdown_on_exit=False)
        provider.add_log_record_processor(
            BatchLogRecordProcessor(OTLPLogExporter(endpoint=f"http://{agent.address}", insecure=True))
        )
        logger = provider.get_logger("shop")
        for number in range(1000):
            logger.emit(body=f"{number:06d}")
        provider.shutdown()
        until(lambda: len(numbers_of(backend)) >= 1000)

        assert sorted(numbers_of(backend)) == list(range(1000))


def test_an_agent_loses_nothing_while_the_processor_is_away_and_it_is_restarted(peers):
    """Its queue is on disk: it ends in order once, and once by kill -9, before there is anyone to send to."""
    producer, sent, requests = Producer(), texts(60), []
    waiting = f"127.0.0.1:{free_ports(1)[0]}"
    for end in ("stop", "kill", None):
        agent = peers.collector("agent.yaml", OTEL_ML_UPSTREAM=waiting)
        requests = [*sent[:20], *snapshots(50, rows=10, producer=producer)]
        sent = sent[20:]
        send(agent.address, *requests)
        if end is not None:
            getattr(agent, end)()

    with OtlpSink() as backend:
        processor = peers.processor(exporters=to(backend), address=waiting)
        until(lambda: set(numbers_of(backend)) == set(range(60)))
        until(lambda: rows_merged(backend) >= 3 * 50 * 10)
        agent.stop()
        processor.stop()

        assert rows_of(backend) == [3 * 50 * 10]


_STOCK = """
receivers: {otlp: {protocols: {grpc: {endpoint: "${env:COLLECTOR_LISTEN}"}}}}
processors: {batch: {}}
exporters: {otlp_grpc: {endpoint: "${env:OTEL_ML_UPSTREAM}", tls: {insecure: true}}}
service: {pipelines: {logs: {receivers: [otlp], processors: [batch], exporters: [otlp_grpc]}}}
"""
_DEFAULT_RECEIVER = _STOCK.replace("processors: {batch: {}}\n", "").replace("processors: [batch], ", "")


@pytest.mark.parametrize(("sender", "arriving"), [("stock.yaml", "less"), ("agent.yaml", "all")])
def test_batches_by_items_lose_what_batches_by_bytes_deliver(peers, tmp_path, sender, arriving):
    """8,192 records of a batch processor are more than the 4 MiB of a default receiver; no sender hears of it."""
    (tmp_path / "stock.yaml").write_text(_STOCK)
    (tmp_path / "receiver.yaml").write_text(_DEFAULT_RECEIVER)
    config = tmp_path / sender if sender == "stock.yaml" else sender
    with OtlpSink() as backend:
        receiver = peers.collector(tmp_path / "receiver.yaml", OTEL_ML_UPSTREAM=address(backend))
        collector = peers.collector(config, OTEL_ML_UPSTREAM=receiver.address)
        send(collector.address, *texts(150, size=100_000))
        if arriving == "all":
            until(lambda: len(numbers_of(backend)) >= 150)
        collector.stop()
        receiver.stop()

        if arriving == "all":
            assert sorted(numbers_of(backend)) == list(range(150))
        else:
            assert len(numbers_of(backend)) < 150
            assert "larger than max" in collector.log.read_text()


def test_a_gateway_gives_the_processor_its_own_and_the_backend_the_rest(peers):
    """Also where one request holds both kinds of record."""
    label = text_record("label")
    label.event_name = "ml.label"
    snapshot = snapshot_record(Producer().snapshot(numeric("amount", range(10)), rows=10))
    mixed = logs_request(text_record("000000"), snapshot, text_record("000001"), label)
    with OtlpSink() as backend, OtlpSink() as behind_the_processor:
        processor = peers.processor(exporters=to(behind_the_processor))
        gateway = peers.collector("gateway.yaml", OTEL_ML_PROCESSOR=processor.address, BACKEND=address(backend))
        send(gateway.address, mixed, traces_request(3), metrics_request(2))
        until(lambda: len(numbers_of(backend)) >= 2 and backend.spans() and backend.metrics_named("temperature"))
        gateway.stop()
        processor.stop()

        assert numbers_of(backend) == [0, 1]
        assert len(backend.log_records()) == 2
        assert rows_of(behind_the_processor) == [10]
        assert numbers_of(behind_the_processor) == []
        assert len(backend.spans()) == 3


def test_models_are_shared_out_and_none_is_split(peers):
    """Each of two processors has some of the models, and all the rows of those."""
    names = [f"model-{number}" for number in range(12)]
    producers = [Producer(bytes([number]) * 16, ModelKey(name, "1")) for number, name in enumerate(names)]
    with OtlpSink() as first, OtlpSink() as second, OtlpSink() as backend:
        processors = [peers.processor(exporters=to(sink)) for sink in (first, second)]
        collector = peers.collector(
            "load-balanced.yaml",
            OTEL_ML_PROCESSOR_0=processors[0].address,
            OTEL_ML_PROCESSOR_1=processors[1].address,
            BACKEND=address(backend),
        )
        for producer in producers:
            send(collector.address, *snapshots(5, rows=10, producer=producer))
        collector.stop()
        for processor in processors:
            processor.stop()

        rows = [rows_by_model(first), rows_by_model(second)]
        assert rows[0].keys() | rows[1].keys() == set(names)
        assert not rows[0].keys() & rows[1].keys()
        assert all(rows)
        assert {*rows[0].values(), *rows[1].values()} == {50}


def rows_by_model(sink):
    return {
        attributes(point)["ml.model.name"]: point.as_int
        for metric in sink.metrics_named("ml.model.window.rows")
        for point in metric.gauge.data_points
    }


def test_the_plain_collector_gives_the_processor_all_logs(peers):
    """deploy/collector.yaml: the rest goes to the backend without it."""
    with OtlpSink() as backend:
        processor = peers.processor(exporters=to(backend))
        collector = peers.collector(
            CONFIGURATIONS.parent / "collector.yaml", OTEL_ML_PROCESSOR=processor.address, BACKEND=address(backend)
        )
        send(collector.address, *texts(20), *snapshots(20, rows=10), traces_request(3), metrics_request(2))
        until(lambda: len(numbers_of(backend)) >= 20 and backend.spans() and backend.metrics_named("temperature"))
        collector.stop()
        processor.stop()

        assert numbers_of(backend) == list(range(20))
        assert rows_of(backend) == [200]
        assert len(backend.spans()) == 3

"""The processor in this process, between real gRPC on both sides, for tests of the whole."""

import asyncio
import time
from contextlib import asynccontextmanager

import grpc
import yaml
from otlp_sink import attributes
from processor_samples import logs_request, snapshot_record

from collector_processor import config
from collector_processor.component import Signal
from collector_processor.service import Service
from otel_ml import semconv

SERVICES = {Signal.TRACES: "trace.v1.Trace", Signal.METRICS: "metrics.v1.Metrics", Signal.LOGS: "logs.v1.Logs"}


class Running:
    """A service that runs, and a client of it."""

    def __init__(self, service, channel):
        self.service, self.channel = service, channel

    async def send(self, signal, message):
        method = f"/opentelemetry.proto.collector.{SERVICES[signal]}Service/Export"
        return await self.channel.unary_unary(method)(message.SerializeToString(), timeout=10)

    async def snapshots(self, *snapshots, resource=None):
        records = [snapshot_record(snapshot) for snapshot in snapshots]
        return await self.send(Signal.LOGS, logs_request(*records, resource=resource))

    def total(self, metric, **wanted):
        return self.service.telemetry.total(metric, **wanted)

    def assert_nothing_lost(self):
        """received + recovered = forwarded + dropped + consumed + pending, for each signal and exporter."""
        for signal in Signal:
            of = {"processor_signal": signal.value}
            dropped_by = {
                name: self.total(semconv.PROCESSOR_DROPPED, **of, processor_exporter=name)
                for name in self.service.exporters
            }
            dropped_here = self.total(semconv.PROCESSOR_DROPPED, **of) - sum(dropped_by.values())
            for name, exporter in self.service.exporters.items():
                recovered = self.total(semconv.PROCESSOR_RECOVERED, **of, processor_exporter=name)
                assert self.total(semconv.PROCESSOR_RECEIVED, **of) + recovered == (
                    self.total(semconv.PROCESSOR_FORWARDED, **of, processor_exporter=name)
                    + dropped_by[name]
                    + dropped_here
                    + self.total(semconv.PROCESSOR_CONSUMED, **of)
                    + exporter.pending(signal)
                )


@asynccontextmanager
async def running(
    tmp_path,
    sink,
    baseline=None,
    *,
    drift=None,
    store=None,
    log=None,
    checkpoint="30s",
    telemetry="0s",
    shutdown="5s",
    **exporter,
):
    path = tmp_path / "processor.yaml"
    backend = {
        "endpoint": sink.endpoint,
        "retry_on_failure": {"initial_interval": "20ms", "max_interval": "50ms"},
        **exporter,
    }
    drift = {
        "window": "1m",
        "lateness": "0s",
        "repeat": "0s",
        "baselines": [str(baseline)] if baseline else [],
        **(drift or {}),
    }
    way = {"receivers": ["otlp"], "exporters": ["otlp_grpc"]}
    path.write_text(
        yaml.safe_dump(
            {
                "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": "127.0.0.1:0"}}}},
                "processors": {"drift": drift},
                "exporters": {"otlp_grpc": backend},
                "store": {
                    **({"directory": str(store)} if store else {}),
                    "log": log or {},
                    "checkpoint_interval": checkpoint,
                },
                "service": {
                    "status": {"enabled": False},
                    "console": {"enabled": False},
                    "telemetry": {"interval": telemetry},
                    "shutdown_timeout": shutdown,
                    "pipelines": {"traces": way, "metrics": way, "logs": {**way, "processors": ["drift"]}},
                },
            }
        )
    )
    service = Service(config.load(path, {}))
    await service.start()
    try:
        async with grpc.aio.insecure_channel(str(service.addresses[0])) as channel:
            yield Running(service, channel)
    finally:
        await service.shutdown()


async def until(condition, patience_s=20.0):
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        await asyncio.sleep(0.01)


def gauge(sink, name, **wanted):
    """The values of a gauge in order of arrival, of the points with these attributes."""
    return [
        point.as_double if point.HasField("as_double") else point.as_int
        for metric in sink.metrics_named(name)
        for point in metric.gauge.data_points
        if {(key.replace("_", "."), value) for key, value in wanted.items()} <= set(attributes(point).items())
    ]


def alerts(sink):
    """(feature, alert, state) of every alert event, in order of arrival."""
    return [
        (found.get("ml.feature.name"), found["ml.alert.name"], found["ml.alert.state"])
        for found in map(attributes, sink.log_records("ml.alert"))
    ]

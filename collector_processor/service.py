"""The whole: builds the components that a configuration names, connects them, starts and stops them.

Started from the back, so that nothing arrives before there is somewhere to put it, and stopped from the front, so that
what has arrived can leave.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from collector_processor.component import AttributeValue, Component
from collector_processor.config import Configuration
from collector_processor.console.server import Console
from collector_processor.exporters.encode import ResultsEncoder
from collector_processor.exporters.grpc_transport import GrpcTransport
from collector_processor.exporters.http_transport import HttpTransport
from collector_processor.exporters.otlp import OtlpExporter
from collector_processor.exporters.settings import OtlpExporterSettings, OtlpGrpcSettings, OtlpHttpSettings
from collector_processor.intake import Intake
from collector_processor.processors.drift import DriftProcessor
from collector_processor.processors.merging import SOURCE as DRIFT
from collector_processor.receivers.exports import Exports
from collector_processor.receivers.otlp import receivers as otlp_receivers
from collector_processor.receivers.plain_histograms import HistogramReader
from collector_processor.receivers.reread import reread
from collector_processor.self_telemetry import SelfTelemetry, SelfTelemetryExport, SelfTelemetryReading
from collector_processor.settings import Address
from collector_processor.status import Status
from collector_processor.store.dead_letters import DeadLetterStore
from collector_processor.store.directory import StoreDirectory
from collector_processor.store.log import FileLog
from collector_processor.store.log.memory_log import MemoryLog
from collector_processor.store.sqlite import SqliteStore
from otel_ml import semconv
from otel_ml.semconv import Metric

_log = logging.getLogger(__name__)


# What a component may take beyond the time it was given, before it is left behind.
_GRACE_S = 5.0


class Service:
    """The running processor."""

    def __init__(self, configuration: Configuration) -> None:
        self.telemetry = SelfTelemetry()
        self._shutdown_timeout_s = configuration.shutdown_timeout_s
        directory = StoreDirectory(configuration.store.path)
        store = SqliteStore(directory.state, configuration.store.retention, configuration.store.details_retention)
        drift = configuration.drift
        # Whoever reads on in the log after a restart.
        holders = [*configuration.exporters, *([DRIFT] if drift is not None and store.is_durable else ())]
        self.log: FileLog | MemoryLog
        if directory.log is not None:
            self.log = FileLog(directory.log, configuration.store.log, holders)
        else:
            self.log = MemoryLog(configuration.store.log, holders)
        dead_letters = DeadLetterStore(directory.dead_letters, configuration.store.dead_letters, self.telemetry)
        signals = {
            name: {signal for signal, pipeline in configuration.pipelines.items() if name in pipeline.exporters}
            for name in configuration.exporters
        }
        self._exporters = {
            name: OtlpExporter(
                name, settings, _transport(settings), signals[name], self.log, store, dead_letters, self.telemetry
            )
            for name, settings in configuration.exporters.items()
        }
        exported = {signal for found in signals.values() for signal in found}
        intake = Intake(self.log, self.telemetry, exported)
        encoder = ResultsEncoder(intake, intake, _resource(configuration))
        processors: list[DriftProcessor] = []
        resource_attributes = () if drift is None else drift.resource_attributes
        histograms = None if drift is None else HistogramReader(drift.histogram_sources, resource_attributes)
        if drift is not None:
            processors = [
                DriftProcessor(
                    drift,
                    configuration.baselines,
                    configuration.detectors,
                    results=encoder,
                    log=self.log,
                    reread=partial(reread, resource_attributes=resource_attributes, histograms=histograms),
                    store=store,
                    dead_letters=dead_letters,
                    telemetry=self.telemetry,
                    checkpoint_interval_s=configuration.store.checkpoint_interval if store.is_durable else None,
                )
            ]
            intake.watch(processors[0])
        self._receivers = [
            receiver
            for name, settings in configuration.receivers.items()
            for receiver in otlp_receivers(
                name,
                settings,
                Exports(
                    {
                        signal: intake
                        for signal, pipeline in configuration.pipelines.items()
                        if name in pipeline.receivers
                    },
                    self.telemetry,
                    decodes_snapshots=drift is not None,
                    forwards_snapshots=drift is not None and drift.forward_snapshots,
                    resource_attributes=resource_attributes,
                    histograms=histograms,
                    keep_baselines=processors[0].baselines.keep if processors else None,
                ),
                self.telemetry,
            )
        ]
        log = self.log
        self.status = Status(configuration.status, self.telemetry, refusal=lambda: log.refusal(0))
        self.console = Console(
            configuration.console,
            store,
            self.telemetry,
            baselines=lambda: [baseline for processor in processors for baseline in processor.baselines.all],
            **_facts(configuration),
        )
        self.telemetry.observe(self._gauges)
        # From the front to the back, as telemetry flows.
        self._stages: list[Sequence[Component]] = [
            self._receivers,
            [self.console],
            processors,
            [
                SelfTelemetryReading(self.telemetry),
                SelfTelemetryExport(self.telemetry, encoder, configuration.telemetry.interval),
            ],
            list(self._exporters.values()),
            [self.log],
            [store, dead_letters],
            [directory],
            # Says "starting" and "draining" while the others do.
            [self.status],
        ]
        self._started: list[list[Component]] = []

    @property
    def listening(self) -> list[tuple[str, Address]]:
        """What the receivers speak, and where."""
        return [(receiver.protocol, receiver.address) for receiver in self._receivers if receiver.address is not None]

    @property
    def addresses(self) -> list[Address]:
        """Where the receivers listen."""
        return [address for _, address in self.listening]

    @property
    def exporters(self) -> Mapping[str, OtlpExporter]:
        """The exporters by id."""
        return self._exporters

    async def start(self) -> None:
        """Start every component.

        Raises:
            StartError: One cannot; those that had started were stopped again.
        """
        try:
            for stage in reversed(self._stages):
                self._started.insert(0, [])
                for component in stage:
                    await component.start()
                    self._started[0].append(component)
            await self.status.serve(self._receivers)
        except BaseException:
            await self.shutdown()
            raise

    async def shutdown(self) -> None:
        """Stop every component that was started; never raises."""
        deadline_s = time.monotonic() + self._shutdown_timeout_s
        started, self._started = self._started, []
        await self.status.drain()
        for stage in started:
            timeout_s = max(0.1, deadline_s - time.monotonic())
            endings = [asyncio.create_task(component.shutdown(timeout_s)) for component in stage]
            if endings:
                # Components keep to their time themselves; one that does not must not keep the others from stopping.
                await asyncio.wait(endings, timeout=timeout_s + _GRACE_S)
            for component, ending in zip(stage, endings, strict=True):
                if not ending.done():
                    ending.cancel()
                    _log.error("%s did not stop within %.1f s", type(component).__name__, timeout_s + _GRACE_S)
                elif (error := ending.exception()) is not None:
                    _log.error("%s did not stop cleanly", type(component).__name__, exc_info=error)

    def _gauges(self) -> Iterable[tuple[Metric, float, Mapping[str, AttributeValue]]]:
        yield semconv.PROCESSOR_LOG_SIZE, self.log.size_bytes, {}
        yield semconv.PROCESSOR_LOG_LIMIT, self.log.budget_bytes, {}


def _facts(configuration: Configuration) -> dict[str, Any]:
    """What the console tells of the configuration."""
    drift = configuration.drift
    if drift is None:
        return {}
    return {"clear_ratio": drift.alerts.clear_ratio, "window_s": drift.window, "lateness_s": drift.lateness}


def _transport(settings: OtlpExporterSettings) -> GrpcTransport | HttpTransport:
    if isinstance(settings, OtlpHttpSettings):
        return HttpTransport(settings)
    assert isinstance(settings, OtlpGrpcSettings)
    return GrpcTransport(settings)


def _resource(configuration: Configuration) -> dict[str, str | int | float | bool]:
    try:
        release = version("otel-ml")
    except PackageNotFoundError:
        release = "unknown"
    return {
        "service.name": "otel-ml-processor",
        "service.version": release,
        "service.instance.id": str(uuid.uuid4()),
        **configuration.telemetry.resource,
    }

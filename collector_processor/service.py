"""The whole: builds the components that a configuration names, connects them, starts and stops them.

Started from the back, so that nothing arrives before there is somewhere to put it, and stopped from the front, so that
what has arrived can leave.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

from collector_processor.component import Component, Consumer, Request, Signal
from collector_processor.config import Configuration
from collector_processor.errors import RefusedError
from collector_processor.exporters.encode import ResultsEncoder
from collector_processor.exporters.grpc_transport import GrpcTransport
from collector_processor.exporters.http_transport import HttpTransport
from collector_processor.exporters.otlp import (
    OtlpExporter,
    OtlpExporterSettings,
    OtlpGrpcSettings,
    OtlpHttpSettings,
)
from collector_processor.processors.drift import DriftProcessor
from collector_processor.receivers.otlp_grpc import OtlpGrpcReceiver
from collector_processor.self_telemetry import SelfTelemetry, SelfTelemetryExport
from collector_processor.settings import Address
from collector_processor.store.directory import StoreDirectory
from collector_processor.store.sqlite import SqliteStore

_log = logging.getLogger(__name__)


# What a component may take beyond the time it was given, before it is left behind.
_GRACE_S = 5.0


class FanOut:
    """Gives a request to every exporter of a pipeline, or to none when one of them has no room."""

    def __init__(self, exporters: Sequence[OtlpExporter]) -> None:
        self._exporters = exporters

    async def consume(self, request: Request) -> None:
        """Hand the request on.

        Raises:
            RefusedError: An exporter's queue is full; what was received is in no queue then.
        """
        if not request.own:
            for exporter in self._exporters:
                if not exporter.has_room(request):
                    raise RefusedError(f"exporter {exporter.name!r}: the queue is full; try again", "queue_full")
        for exporter in self._exporters:
            await exporter.consume(request)


class Service:
    """The running processor."""

    def __init__(self, configuration: Configuration) -> None:
        self.telemetry = SelfTelemetry()
        self._shutdown_timeout_s = configuration.shutdown_timeout_s
        directory = StoreDirectory(configuration.store.path)
        store = SqliteStore(directory.state, configuration.store.retention)
        self._exporters = {
            name: OtlpExporter(name, settings, _transport(settings), self.telemetry)
            for name, settings in configuration.exporters.items()
        }
        ways: dict[Signal, Consumer[Request]] = {
            signal: FanOut([self._exporters[name] for name in pipeline.exporters])
            for signal, pipeline in configuration.pipelines.items()
        }
        nowhere = FanOut(())
        own = ResultsEncoder(
            ways.get(Signal.METRICS, nowhere), ways.get(Signal.LOGS, nowhere), _resource(configuration)
        )
        processors: list[Component] = []
        drift = configuration.drift
        if drift is not None:
            processor = DriftProcessor(
                drift,
                configuration.baselines,
                configuration.detectors,
                following=ways[Signal.LOGS],
                results=own,
                store=store,
                telemetry=self.telemetry,
                checkpoint_interval_s=configuration.store.checkpoint_interval if store.is_durable else None,
            )
            ways[Signal.LOGS] = processor
            processors.append(processor)
        self._receivers = [
            OtlpGrpcReceiver(
                name,
                settings,
                {
                    signal: ways[signal]
                    for signal, pipeline in configuration.pipelines.items()
                    if name in pipeline.receivers
                },
                self.telemetry,
                decodes_snapshots=drift is not None,
                forwards_snapshots=drift is not None and drift.forward_snapshots,
                resource_attributes=drift.resource_attributes if drift is not None else (),
            )
            for name, settings in configuration.receivers.items()
        ]
        # From the front to the back, as telemetry flows.
        self._stages: list[Sequence[Component]] = [
            self._receivers,
            processors,
            [SelfTelemetryExport(self.telemetry, own, configuration.telemetry.interval)],
            list(self._exporters.values()),
            [store],
            [directory],
        ]
        self._started: list[list[Component]] = []

    @property
    def addresses(self) -> list[Address]:
        """Where the receivers listen."""
        return [receiver.address for receiver in self._receivers if receiver.address is not None]

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
        except BaseException:
            await self.shutdown()
            raise

    async def shutdown(self) -> None:
        """Stop every component that was started; never raises."""
        deadline_s = time.monotonic() + self._shutdown_timeout_s
        started, self._started = self._started, []
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

"""The `otlp` receiver: a server for each protocol that its settings name."""

from __future__ import annotations

from typing import Protocol

from collector_processor.component import Component
from collector_processor.receivers.exports import Exports
from collector_processor.receivers.otlp_grpc import OtlpGrpcReceiver
from collector_processor.receivers.otlp_http import OtlpHttpReceiver
from collector_processor.receivers.settings import OtlpReceiverSettings
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address


class Receiver(Component, Protocol):
    """A server of one protocol."""

    @property
    def protocol(self) -> str:
        """What it speaks, for people."""
        ...

    @property
    def address(self) -> Address | None:
        """The bound address, once started."""
        ...

    async def set_ready(self, *, ready: bool) -> None:
        """Tell those who ask for its health whether the service can be used."""
        ...

    async def drain(self) -> None:
        """Tell those who ask for its health, from now on, to go elsewhere; what comes is still taken."""
        ...


def receivers(name: str, settings: OtlpReceiverSettings, exports: Exports, telemetry: SelfTelemetry) -> list[Receiver]:
    """The servers of one `otlp` receiver.

    Args:
        name: How the configuration calls it.
    """
    found: list[Receiver] = []
    if settings.protocols.grpc is not None:
        found.append(OtlpGrpcReceiver(name, settings.protocols.grpc, exports, telemetry))
    if settings.protocols.http is not None:
        found.append(OtlpHttpReceiver(name, settings.protocols.http, exports, telemetry))
    return found

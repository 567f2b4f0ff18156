"""What can be said about receiving OTLP: the protocols, as a Collector's `otlp` receiver has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field, model_validator

from collector_processor.errors import Problem
from collector_processor.server_settings import ServerSettings, server_problems
from collector_processor.settings import Address, Duration, Listen, PositiveDuration, Settings


class KeepaliveSettings(Settings):
    """Pings and ages of gRPC connections.

    Attributes:
        min_time: A client that pings more often is cut off. Collectors ping every ten seconds at most.
        time: Idle for so long, a client is pinged, so that dead connections go away.
        timeout: How long it has to answer.
        max_connection_age: Connections end after so long, and clients open new ones, so that a load balancer spreads
            them anew; 0 lets them live.
        max_connection_age_grace: How long running requests may go on after that.
    """

    min_time: PositiveDuration = 5.0
    time: PositiveDuration = 7200.0
    timeout: PositiveDuration = 20.0
    max_connection_age: Duration = 0.0
    max_connection_age_grace: PositiveDuration = 30.0


class GrpcSettings(ServerSettings):
    """Where OTLP/gRPC is received.

    Attributes:
        max_recv_msg_size_mib: Largest request, after decompression. OTLP recommends 64; gRPC's own default of 4 would
            lose the batches of a Collector that sizes them by item.
        max_concurrent_streams: Requests of one connection at a time; clients let further ones wait.
    """

    endpoint: Listen = Address("127.0.0.1", 4317)
    max_recv_msg_size_mib: int = Field(default=64, ge=1, le=1024)
    max_concurrent_streams: int = Field(default=256, ge=1, le=100_000)
    keepalive: KeepaliveSettings = KeepaliveSettings()


class HttpSettings(ServerSettings):
    """Where OTLP/HTTP is received.

    Attributes:
        max_request_body_size_mib: Largest request, after decompression.
        max_connections: At a time; further ones are refused.
        read_timeout: How long a client may take to send one request.
        idle_timeout: How long a connection stays open between requests.
    """

    endpoint: Listen = Address("127.0.0.1", 4318)
    max_request_body_size_mib: int = Field(default=64, ge=1, le=1024)
    max_connections: int = Field(default=1000, ge=1, le=100_000)
    read_timeout: PositiveDuration = 30.0
    idle_timeout: PositiveDuration = 60.0


class ProtocolSettings(Settings):
    """The protocols to receive: those that are named, gRPC where none is."""

    grpc: GrpcSettings | None = None
    http: HttpSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _named_is_served(cls, raw: Any) -> Any:
        """A Collector serves a protocol whose key stands there with nothing behind it, too."""
        if not isinstance(raw, Mapping):
            return raw
        return {name: {} if value is None else value for name, value in raw.items()} or {"grpc": {}}


class OtlpReceiverSettings(Settings):
    """An `otlp` receiver."""

    protocols: ProtocolSettings = Field(default_factory=lambda: ProtocolSettings.model_validate({}))

    def problems(self, path: tuple[str, ...]) -> Iterable[Problem]:
        """What is wrong with certificates and tokens, and servers that anybody could reach."""
        for name, settings in (("grpc", self.protocols.grpc), ("http", self.protocols.http)):
            if settings is not None:
                yield from server_problems(settings, (*path, "protocols", name))

"""What can be said about receiving OTLP: the protocols, as a Collector's `otlp` receiver has them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, PlainValidator, SecretStr, model_validator

from collector_processor.errors import Problem
from collector_processor.receivers import security
from collector_processor.settings import Address, Duration, Listen, PositiveDuration, Settings


class TlsSettings(Settings):
    """Certificates, in PEM files; TLS 1.2 or newer. Renewed files are taken up without a restart.

    Attributes:
        cert_file: Our certificate, and what leads from it to a root.
        key_file: Its key, without a password.
        client_ca_file: Clients need a certificate of one of these authorities (mutual TLS).
    """

    cert_file: str
    key_file: str
    client_ca_file: str | None = None


def _token(value: object) -> SecretStr:
    # pydantic's own messages would show what was given.
    if isinstance(value, SecretStr):
        return value
    if not isinstance(value, str):
        raise ValueError("is no text (a token; one that reads like a number has to stand in bearer_token_file)")  # noqa: TRY004 - pydantic expects ValueError
    return SecretStr(value)


Token = Annotated[SecretStr, PlainValidator(_token)]


class AuthSettings(Settings):
    """The token that clients have to send, as `authorization: Bearer <token>`; one of the two.

    Attributes:
        bearer_token: The token, best as `${env:NAME}`.
        bearer_token_file: A file that holds it.
    """

    bearer_token: Token | None = None
    bearer_token_file: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_mapping(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            raise ValueError("is no mapping (bearer_token or bearer_token_file)")  # noqa: TRY004 - pydantic expects ValueError
        return raw

    @model_validator(mode="after")
    def _is_one(self) -> AuthSettings:
        if (self.bearer_token is None) == (self.bearer_token_file is None):
            raise ValueError("is not clear (either bearer_token or bearer_token_file)")
        return self


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


class ServerSettings(Settings):
    """What every protocol's server has.

    Attributes:
        allow_insecure: Listen beyond this machine without TLS, or for everybody.
    """

    endpoint: Listen
    tls: TlsSettings | None = None
    auth: AuthSettings | None = None
    allow_insecure: bool = False


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


def server_problems(settings: ServerSettings, path: tuple[str, ...]) -> Iterator[Problem]:
    """What is wrong with the certificates and the token of one server, or that anybody could reach it."""
    tls, auth = settings.tls, settings.auth
    if tls is not None:
        yield from security.certificate_problems(security.Certificates.of(tls), (*path, "tls"))
    if auth is not None:
        yield from security.token_problems(auth.bearer_token, auth.bearer_token_file, (*path, "auth"))
    if settings.allow_insecure or security.is_loopback(settings.endpoint.host):
        return
    is_known = auth is not None or (tls is not None and tls.client_ca_file is not None)
    if tls is not None and is_known:
        return
    missing = "in plain text" if tls is None else "without asking who sends"
    if tls is None and not is_known:
        missing += ", from everybody"
    yield Problem(
        (*path, "endpoint"),
        f"{str(settings.endpoint)!r} receives beyond this machine {missing}"
        " (tls with auth or client_ca_file; an address of loopback, such as 127.0.0.1; or allow_insecure: true)",
    )

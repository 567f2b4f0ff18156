"""Where each signal would be sent, read from the environment as OpenTelemetry's SDK reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

SIGNALS: Final = ("traces", "metrics", "logs")
GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"
PROTOCOLS: Final = (GRPC, HTTP)

_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
_DEFAULT_ENDPOINTS: Final = {GRPC: "http://localhost:4317", HTTP: "http://localhost:4318"}
_DEFAULT_TIMEOUT_S: Final = 10.0
_SCHEMES: Final = ("http", "https")
# Letters of any script may be part of a name; these are part of none.
_NO_HOST: Final = re.compile(r"""[\s<>"'(){}|\\^`;,&$!*+=]""")
# Names of exporters that say the protocol themselves; "otlp" leaves it to OTEL_EXPORTER_OTLP_PROTOCOL.
_NAMED: Final = {"otlp_proto_grpc": GRPC, "otlp_proto_http": HTTP}


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one signal goes.

    Attributes:
        signal: "traces", "metrics" or "logs".
        endpoint: As it was written.
        source: Who wrote it: a variable, "--endpoint", or "default".
        protocol: "grpc", "http/protobuf", or whatever else was written.
        protocol_source: Who wrote that.
        is_encrypted: Whether the SDK's exporter would speak TLS.
        url: What an HTTP exporter would post to.
        headers: Sent with each request.
        certificate: PEM file of whom to trust; absent: whom the system trusts.
        client_certificate: PEM file of our own certificate.
        client_key: PEM file of its key.
        timeout_s: Of one export.
    """

    signal: str
    endpoint: str
    source: str
    protocol: str
    protocol_source: str
    is_encrypted: bool
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None
    timeout_s: float = _DEFAULT_TIMEOUT_S

    @property
    def is_grpc(self) -> bool:
        """Whether it is sent over gRPC."""
        return self.protocol != HTTP

    @property
    def has_scheme(self) -> bool:
        """Whether the endpoint says http:// or https://."""
        return _scheme(self.endpoint) in _SCHEMES

    @property
    def host(self) -> str:
        """The host's name or address; empty where there is none."""
        try:
            host = _split(self.endpoint).hostname or ""
        except ValueError:
            return ""
        return "" if _NO_HOST.search(host) else host

    @property
    def port(self) -> int | None:
        """The port, that of the scheme where none is written; None where what is written is no port."""
        try:
            written = _split(self.endpoint).port
        except ValueError:
            return None
        if written is not None:
            return written or None
        # gRPC takes 443 where no port is given, whether it encrypts or not.
        return 443 if self.is_encrypted or self.is_grpc else 80

    @property
    def address(self) -> str:
        """Host and port as they are written together."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """What stands behind the port."""
        try:
            return _split(self.endpoint).path
        except ValueError:
            return ""


def destinations(
    environment: Mapping[str, str], *, endpoint: str | None = None, protocol: str | None = None
) -> dict[str, Destination]:
    """Where each signal goes.

    Args:
        environment: Usually `os.environ`.
        endpoint: Takes the place of all variables that name an endpoint.
        protocol: Likewise.
    """
    return {signal: _destination(signal, environment, endpoint, protocol) for signal in SIGNALS}


def parse_headers(text: str) -> dict[str, str]:
    """Headers written as `name=value,name=value`, percent-encoded; what is no such pair is left out."""
    pairs = (part.partition("=") for part in text.split(","))
    return {
        unquote(name).strip().lower(): unquote(value).strip() for name, separator, value in pairs if separator and name
    }


def _destination(
    signal: str, environment: Mapping[str, str], endpoint: str | None, protocol: str | None
) -> Destination:
    def find(name: str) -> tuple[str | None, str]:
        for variable in (f"{_PREFIX}{signal.upper()}_{name}", f"{_PREFIX}{name}"):
            if environment.get(variable):
                return environment[variable], variable
        return None, "default"

    written_protocol, protocol_source = (protocol, "--protocol") if protocol else find("PROTOCOL")
    chosen = (written_protocol or "").strip() or GRPC
    exporter_variable = f"OTEL_{signal.upper()}_EXPORTER"
    named = _NAMED.get(environment.get(exporter_variable, "").strip())
    if named and not protocol:
        chosen, protocol_source = named, exporter_variable
    written, source = (endpoint, "--endpoint") if endpoint else find("ENDPOINT")
    # Blanks are kept: the SDK keeps them too, and that is a reason why nothing arrives.
    target = written or _DEFAULT_ENDPOINTS.get(chosen, _DEFAULT_ENDPOINTS[GRPC])
    insecure, _ = find("INSECURE")
    is_own = source == f"{_PREFIX}{signal.upper()}_ENDPOINT"
    return Destination(
        signal=signal,
        endpoint=target,
        source=source,
        protocol=chosen,
        protocol_source=protocol_source,
        is_encrypted=_is_encrypted(target, insecure, is_grpc=chosen != HTTP),
        url=target if is_own else f"{target.removesuffix('/')}/v1/{signal}",
        headers=parse_headers(find("HEADERS")[0] or ""),
        certificate=find("CERTIFICATE")[0],
        client_certificate=find("CLIENT_CERTIFICATE")[0],
        client_key=find("CLIENT_KEY")[0],
        timeout_s=_timeout(find("TIMEOUT")[0]),
    )


def _is_encrypted(endpoint: str, insecure: str | None, *, is_grpc: bool) -> bool:
    """As the SDK's exporters decide: for gRPC an endpoint without http:// is encrypted unless INSECURE says true."""
    scheme = _scheme(endpoint)
    if not is_grpc or scheme == "https":
        return scheme == "https"
    return insecure.strip().lower() != "true" if insecure is not None else scheme != "http"


def _timeout(text: str | None) -> float:
    try:
        seconds = float(text or _DEFAULT_TIMEOUT_S)
    except ValueError:
        return _DEFAULT_TIMEOUT_S
    return seconds if 0 < seconds < 1e6 else _DEFAULT_TIMEOUT_S


def _scheme(endpoint: str) -> str:
    scheme, separator, _ = endpoint.partition("://")
    return scheme.lower() if separator else ""


def _split(endpoint: str) -> SplitResult:
    return urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")

"""What is wrong on the way to a receiver: in words, with the reason and the fix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otel_ml.cli.otlp.destination import GRPC, HTTP, PROTOCOLS
from otel_ml.cli.otlp.proxies import proxy_of, without_password

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_ml.cli.otlp.destination import Destination
    from otel_ml.cli.otlp.listening import Listening
    from otel_ml.cli.otlp.sending import Answer

_DOCUMENTATION: Final = "docs/cli.md"
_USUAL_PORTS: Final = {GRPC: 4317, HTTP: 4318}
_NO_PIPELINE: Final = frozenset(("UNIMPLEMENTED", "HTTP 404", "HTTP 405"))
_NOT_LET_IN: Final = frozenset(("UNAUTHENTICATED", "PERMISSION_DENIED", "HTTP 401", "HTTP 403", "HTTP 407"))
_TOO_LARGE: Final = frozenset(("RESOURCE_EXHAUSTED", "HTTP 413"))


@dataclass(frozen=True, slots=True)
class Explanation:
    """One thing that is wrong.

    Attributes:
        topic: The check that is about it.
        what: What was found.
        why: What that leads to.
        fix: Exactly what to do.
    """

    topic: str
    what: str
    why: str
    fix: str

    @property
    def link(self) -> str:
        """Where it is documented."""
        return documentation(self.topic)


def documentation(topic: str) -> str:
    """Where a check is documented."""
    return f"{_DOCUMENTATION}#{topic}"


def explain(
    destination: Destination, listening: Listening | None, answer: Answer, environment: Mapping[str, str]
) -> Explanation:
    """Why a request was not taken: the first reason that fits, from the address on to the answer."""
    is_known = destination.protocol in PROTOCOLS
    found = (
        scheme_problem(destination)
        or (None if is_known else protocol_problem(destination, listening))
        or (
            proxy_problem(destination, environment)
            or reach_problem(destination, listening)
            or tls_problem(destination, listening)
            or protocol_problem(destination, listening)
            if listening is not None
            else None
        )
        or answer_problem(destination, answer)
    )
    said = " ".join(part for part in (answer.code, answer.detail) if part)
    return found or Explanation(
        "endpoint-signals",
        f"{destination.endpoint!r} did not take {destination.signal}: {said or 'no answer'}",
        "What it says is no reason that is known here.",
        "look into the receiver's own log",
    )


def scheme_problem(destination: Destination) -> Explanation | None:
    """The endpoint is no URL that the SDK's exporters understand."""
    endpoint, by = destination.endpoint, destination.source
    if endpoint != endpoint.strip():
        return Explanation(
            "endpoint-scheme",
            f"{endpoint!r} ({by}) has blanks around it",
            _NOT_FOUND,
            _set(destination, endpoint.strip()),
        )
    if destination.has_scheme:
        if destination.host and destination.port is not None:
            return None
        return Explanation(
            "endpoint-scheme",
            f"{endpoint!r} ({by}) names no host with a port from 1 to 65535",
            _NOT_FOUND,
            _set(destination, f"http://localhost:{_USUAL_PORTS.get(destination.protocol, 4317)}"),
        )
    bare = endpoint.rpartition("://")[2]
    if "://" not in endpoint and destination.is_grpc:
        if not destination.is_encrypted:
            # OTEL_EXPORTER_OTLP_INSECURE says what the scheme would have said.
            return None
        why = "Without http:// the gRPC exporter encrypts, and a receiver of plain text hangs up on it."
    elif "://" not in endpoint:
        why = "The HTTP exporter takes it for no URL, and sends nothing."
    else:
        why = "The exporters know http:// and https:// only."
    return Explanation(
        "endpoint-scheme",
        f"{endpoint!r} ({by}) lacks a scheme"
        if "://" not in endpoint
        else f"{endpoint!r} ({by}) has an unknown scheme",
        why,
        _set(destination, f"http://{bare}") + " (https:// where the receiver has a certificate)",
    )


def reach_problem(destination: Destination, listening: Listening | None) -> Explanation | None:
    """There is no connection, or nobody who speaks."""
    if listening is None:
        return None
    address, host = destination.address, destination.host
    topic, lost = "endpoint-reachable", "Everything that is sent there is lost after a few tries."
    if listening.trouble == "dns":
        fix = f"correct the name, or make it resolvable here: getent hosts {host}"
        return Explanation(topic, f"{host!r}: {listening.detail}: the name of the host is not known", lost, fix)
    if listening.trouble == "refused":
        inside = (
            "; within a container localhost is the container itself: name the receiver's host or service"
            if host in ("localhost", "127.0.0.1", "::1")
            else ""
        )
        fix = f"start the receiver (otel-ml processor --config processor.yaml), or correct the port{inside}"
        return Explanation(topic, f"{address}: connection refused: nobody listens there", lost, fix)
    if listening.trouble:
        fix = f"open the way for TCP to {address} (firewall, network policy, security group), or correct the address"
        return Explanation(topic, f"{address}: {listening.detail}", lost, fix)
    if listening.is_silent and not listening.is_encrypted:
        fix = f"find out what listens there (ss -ltnp), and name an OTLP receiver instead of {address}"
        return Explanation(topic, f"{address}: takes connections, and speaks neither HTTP nor TLS", lost, fix)
    return None


def tls_problem(destination: Destination, listening: Listening | None) -> Explanation | None:
    """One side encrypts and the other does not, or its certificate is not believed."""
    if listening is None or listening.trouble or (listening.is_silent and not listening.is_encrypted):
        return None
    topic, address, path = "endpoint-tls", destination.address, destination.path
    if destination.is_encrypted and not listening.is_encrypted:
        fix = _set(destination, f"http://{address}{path}")
        return Explanation(
            topic, f"{address} speaks plain text, and the exporter TLS", "The handshake fails, every time.", fix
        )
    if listening.is_encrypted and not destination.is_encrypted:
        fix = _set(destination, f"https://{address}{path}")
        return Explanation(
            topic, f"{address} speaks TLS, and the exporter plain text", "The receiver hangs up, every time.", fix
        )
    if listening.distrust:
        given = f"by {destination.certificate!r}" if destination.certificate else "by what this system trusts"
        return Explanation(
            topic,
            f"{address}: its certificate is not believed {given}: {listening.distrust}",
            "The exporter hangs up before it sends anything.",
            "export OTEL_EXPORTER_OTLP_CERTIFICATE=ca.pem (who issued it), and name the host as the certificate does",
        )
    return None


def protocol_problem(destination: Destination, listening: Listening | None) -> Explanation | None:
    """OTLP over gRPC goes where HTTP is spoken, or the reverse; told by who listens, else by the number of the port."""
    topic, address = "endpoint-protocol", destination.address
    if destination.protocol not in PROTOCOLS:
        return Explanation(
            topic,
            f"{destination.protocol!r} ({destination.protocol_source}) is no protocol of the SDK",
            "OpenTelemetry does not start at all with it.",
            "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc (or http/protobuf)",
        )
    other = HTTP if destination.is_grpc else GRPC
    if listening is None or listening.trouble or listening.is_silent:
        if destination.port != _USUAL_PORTS[other]:
            return None
        what = f"{destination.protocol} goes to port {destination.port}, where {other} usually listens"
        why = "A receiver of the other protocol does not understand a word."
    elif destination.is_grpc and not listening.http2:
        what, why = f"{address} speaks HTTP/1.1, and gRPC needs HTTP/2", "gRPC reports UNAVAILABLE, every time."
    elif not destination.is_grpc and not listening.http1:
        what, why = f"{address} speaks gRPC only, and OTLP/HTTP goes there", "The HTTP exporter gets no answer."
    else:
        return None
    usual = _USUAL_PORTS[destination.protocol]
    return Explanation(
        topic,
        what,
        why,
        f"export OTEL_EXPORTER_OTLP_PROTOCOL={other}, or name the port of {destination.protocol} ({usual})",
    )


def answer_problem(destination: Destination, answer: Answer) -> Explanation | None:
    """The receiver answered, and does not take this signal."""
    if answer.taken:
        return None
    signal, endpoint = destination.signal, destination.endpoint
    said = f"{answer.code}: {answer.detail}" if answer.detail else answer.code
    if answer.code in _NO_PIPELINE:
        what = f"{endpoint!r} takes no {signal} ({said})"
        why = "A receiver without a pipeline for a signal answers so." + (
            " Sketches travel as logs: without them there is no drift." if signal == "logs" else ""
        )
        fix = (
            f"add `{signal}: {{receivers: [otlp], exporters: […]}}` to service::pipelines of the receiver,"
            f" or switch the signal off: export OTEL_{signal.upper()}_EXPORTER=none"
        )
        if not destination.is_grpc:
            fix += f"; it was posted to {destination.url!r}, which may be the wrong path"
        return Explanation("endpoint-signals", what, why, fix)
    if answer.code in _NOT_LET_IN:
        return Explanation(
            "endpoint-signals",
            f"{endpoint!r} does not let us in ({said})",
            "The receiver asks for a token, or for another one.",
            'export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20<token>"',
        )
    if answer.code in _TOO_LARGE:
        return Explanation(
            "message-size",
            f"{endpoint!r} finds the request too large, or has no room ({said})",
            "What is larger than it takes is dropped, each time.",
            "raise the receiver's max_recv_msg_size_mib, or export OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=64",
        )
    if answer.asks_to_come_back:
        return Explanation(
            "endpoint-signals",
            f"{endpoint!r} takes nothing now ({said})",
            "It is starting, stopping, full, or what stands in front of it does not reach it.",
            "try again; where it stays so: curl http://<its status endpoint>/readyz",
        )
    if answer.code == "DEADLINE_EXCEEDED":
        return Explanation(
            "endpoint-reachable",
            f"{endpoint!r} did not answer in time",
            "Exports wait, fail, and are dropped in the end.",
            "look whether the receiver is overloaded, or whether something on the way swallows requests",
        )
    return None


def proxy_problem(destination: Destination, environment: Mapping[str, str]) -> Explanation | None:
    """A proxy for browsers stands between the exporter and the receiver."""
    found = proxy_of(destination, environment)
    if found is None:
        return None
    variable, proxy = found
    # gRPC reads the names in lower case only.
    exception = "no_proxy" if destination.is_grpc else "NO_PROXY"
    unread = destination.is_grpc and environment.get("NO_PROXY")
    kind = "gRPC" if destination.is_grpc else "OTLP/HTTP"
    former = environment.get(exception) or (environment.get("NO_PROXY", "") if unread else "")
    return Explanation(
        "http-proxy",
        f"{kind} to {destination.address} goes through the proxy {without_password(proxy)!r} ({variable})"
        + (" (gRPC does not read NO_PROXY in capitals)" if unread else ""),
        "Few proxies let gRPC through, or reach what is local to this machine or cluster.",
        f"export {exception}={f'{former},' if former else ''}{destination.host}",
    )


def _set(destination: Destination, endpoint: str) -> str:
    if destination.source.startswith("OTEL_"):
        return f"export {destination.source}={endpoint}"
    return (
        f"--endpoint {endpoint}"
        if destination.source == "--endpoint"
        else f"export OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}"
    )


_NOT_FOUND: Final = "The exporters find no receiver there."

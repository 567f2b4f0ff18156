"""Sending one request of OTLP, once, and keeping what was answered: the SDK's exporters try again, and log."""

from __future__ import annotations

import http.client
import os
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from otel_ml.cli.otlp.destination import Destination

_SERVICES: Final = {
    "traces": ("trace", "TraceService"),
    "metrics": ("metrics", "MetricsService"),
    "logs": ("logs", "LogsService"),
}
_REJECTED: Final = {"traces": "rejected_spans", "metrics": "rejected_data_points", "logs": "rejected_log_records"}
_BUSY: Final = frozenset(("HTTP 429", "HTTP 502", "HTTP 503", "HTTP 504"))
_SHOWN: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request.

    Attributes:
        taken: Whether the receiver took it, perhaps not all of it.
        code: "OK"; the status of gRPC, or "HTTP 404"; empty where nobody answered.
        detail: What the receiver, or whoever could not reach it, said.
        rejected: Items of it that the receiver took and rejected (partial success).
    """

    taken: bool
    code: str
    detail: str = ""
    rejected: int = 0

    @property
    def asks_to_come_back(self) -> bool:
        """Whether somebody answered that the same request may be taken later."""
        # gRPC says UNAVAILABLE as well where nobody answers.
        return self.code in _BUSY or (self.code == "UNAVAILABLE" and "try again" in self.detail)


def send(destination: Destination, body: bytes, timeout_s: float) -> Answer:
    """Export an encoded request, once.

    Args:
        destination: Says the signal, too.
        body: An Export…ServiceRequest; empty bytes are one with nothing in it.
        timeout_s: For all of it.
    """
    try:
        if destination.is_grpc:
            return _send_grpc(destination, body, timeout_s)
        return _send_http(destination, body, timeout_s)
    except http.client.HTTPException as error:
        return Answer(taken=False, code="", detail=_short(f"answered what is no HTTP: {type(error).__name__}"))
    except (OSError, ValueError) as error:
        # A file of certificates that cannot be read, an endpoint that is no URL.
        return Answer(taken=False, code="", detail=_short(str(error) or type(error).__name__))


def _send_grpc(destination: Destination, body: bytes, timeout_s: float) -> Answer:
    # Its C++ core would write what it thinks about a handshake to stderr.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import grpc

    options = (("grpc.enable_retries", 0),)
    target = destination.address
    if destination.is_encrypted:
        files = (destination.certificate, destination.client_key, destination.client_certificate)
        credentials = grpc.ssl_channel_credentials(*(Path(file).read_bytes() if file else None for file in files))
        channel = grpc.secure_channel(target, credentials, options=options)
    else:
        channel = grpc.insecure_channel(target, options=options)
    package, service = _SERVICES[destination.signal]
    method = f"/opentelemetry.proto.collector.{package}.v1.{service}/Export"
    try:
        call = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        answered = call(body, timeout=timeout_s, metadata=tuple(destination.headers.items()))
    except grpc.RpcError as error:
        return Answer(taken=False, code=error.code().name, detail=_short(error.details() or ""))
    finally:
        channel.close()
    return _taken(destination.signal, "OK", answered)


def _send_http(destination: Destination, body: bytes, timeout_s: float) -> Answer:
    if not destination.url.startswith(("http://", "https://")):
        return Answer(taken=False, code="", detail=f"{destination.url!r} is no URL (http://… or https://…)")
    request = urllib.request.Request(  # noqa: S310 - the scheme is checked above
        destination.url,
        data=body,
        headers={"user-agent": "otel-ml", **destination.headers, "content-type": "application/x-protobuf"},
        method="POST",
    )
    context = None
    if destination.is_encrypted:
        context = ssl.create_default_context(cafile=destination.certificate)
        if destination.client_certificate:
            context.load_cert_chain(destination.client_certificate, destination.client_key, password="")
    # One of its own: the module's remembers the proxies of its first call.
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=timeout_s) as response:
            return _taken(destination.signal, f"HTTP {response.status}", response.read(1 << 20))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(
                taken=False, code=f"HTTP {error.code}", detail=_short(_text(error.read(4096)) or error.reason)
            )
    except urllib.error.URLError as error:
        return Answer(taken=False, code="", detail=_short(str(error.reason)))


def _taken(signal: str, code: str, answered: bytes) -> Answer:
    from google.protobuf.message import DecodeError

    package, service = _SERVICES[signal]
    module = import_module(f"opentelemetry.proto.collector.{package}.v1.{package}_service_pb2")
    response: Any = getattr(module, f"Export{service}Response")()
    try:
        response.ParseFromString(answered)
    except DecodeError:
        return Answer(taken=False, code=code, detail=f"answered {answered[:60]!r}, which is no answer of OTLP")
    partial = response.partial_success
    return Answer(
        taken=True, code=code, detail=_short(partial.error_message), rejected=getattr(partial, _REJECTED[signal])
    )


def _text(body: bytes) -> str:
    """What a receiver wrote about an error: text, or a google.rpc.Status."""
    if body[:1] == b"\x08":
        try:
            from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no stubs

            return str(Status.FromString(body).message)
        except Exception:
            return ""
    return body.decode(errors="replace")


def _short(text: str) -> str:
    plain = " ".join(text.split())
    printable = "".join(character if character.isprintable() else "?" for character in plain)
    return printable if len(printable) <= _SHOWN else f"{printable[: _SHOWN - 1]}…"

"""OTLP over HTTP, in: protobuf and JSON, compressed or not.

Collectors come back after 429, 502, 503 and 504 and drop for good on everything else, so whatever goes wrong on our
side is 503, with a Retry-After.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from functools import partial
from typing import Final

from google.rpc import code_pb2  # type: ignore[import-untyped]  # has no stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no stubs

from collector_processor.component import Signal
from collector_processor.errors import RefusedError, StartError
from collector_processor.http_server import HttpServer, Limits, Receive, Scope, Send
from collector_processor.receivers import json_requests
from collector_processor.receivers.decompression import decompress, too_large
from collector_processor.receivers.exports import RETRY_DELAY_S, Exports, Outcome, RejectedError, Verdict
from collector_processor.receivers.settings import HttpSettings
from collector_processor.receivers.threads import in_thread
from collector_processor.security import BearerToken, Certificates, read_token
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address
from otel_ml import semconv

_PROTOBUF: Final = "application/x-protobuf"
_JSON: Final = "application/json"
_STATUS: Final[Mapping[Verdict, tuple[int, int]]] = {
    Verdict.UNDECODABLE: (400, code_pb2.INVALID_ARGUMENT),
    Verdict.UNAUTHENTICATED: (401, code_pb2.UNAUTHENTICATED),
    Verdict.TOO_LARGE: (413, code_pb2.RESOURCE_EXHAUSTED),
    Verdict.UNSUPPORTED: (415, code_pb2.INVALID_ARGUMENT),
    Verdict.UNREAD: (400, code_pb2.CANCELLED),
    Verdict.TRY_AGAIN: (503, code_pb2.UNAVAILABLE),
}
_RETRY_AFTER: Final = str(math.ceil(RETRY_DELAY_S)).encode()
# Bodies that are being received may take this many times the largest one's size, all of them together.
_BODIES: Final = 4
# Beyond, reading JSON would hold up everybody else for longer than a few milliseconds.
_INLINE_JSON: Final = 64 * 1024


class OtlpHttpReceiver:
    """An HTTP server that hands what it receives to `exports`.

    Args:
        name: How the configuration calls it.
    """

    protocol = "OTLP/HTTP"

    def __init__(self, name: str, settings: HttpSettings, exports: Exports, telemetry: SelfTelemetry) -> None:
        self._path = f"receivers::{name}::protocols::http"
        self._settings = settings
        self._exports = exports
        self._telemetry = telemetry
        self._limit = settings.max_request_body_size_mib * 1024 * 1024
        self._signals = {f"/v1/{signal.value}": signal for signal in exports.signals}
        self._token: BearerToken | None = None
        self._server: HttpServer | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._receiving = 0

    @property
    def address(self) -> Address | None:
        """The bound address, once started."""
        return None if self._server is None else self._server.address

    async def start(self) -> None:
        """Receive from now on.

        Raises:
            StartError: The address cannot be bound, or what names certificates or a token cannot be used.
        """
        auth, tls, context = self._settings.auth, self._settings.tls, None
        certificates = Certificates.of(tls) if tls is not None else None
        try:
            if auth is not None:
                self._token = BearerToken(read_token(auth.bearer_token, auth.bearer_token_file))
            if certificates is not None:
                context, version = certificates.context(), certificates.version
        except (OSError, ValueError) as error:
            raise StartError(f"{self._path}: {error} (see --validate)") from error
        server = HttpServer(
            self._application,
            self._settings.endpoint,
            path=f"{self._path}::endpoint",
            limits=Limits(self._settings.max_connections, self._settings.read_timeout, self._settings.idle_timeout),
            tls=context,
            refused=lambda reason: self._telemetry.count(semconv.PROCESSOR_REFUSED, drop_reason=reason),
        )
        await server.start()
        self._server = server
        if certificates is not None and context is not None:
            failed = partial(self._telemetry.failed, "certificates")
            self._renewing = asyncio.create_task(
                self._telemetry.guard("certificates", partial(certificates.keep, context, version, failed))
            )

    async def set_ready(self, *, ready: bool) -> None:
        """Nothing: HTTP has no health of its own, `/readyz` of the service tells."""

    async def drain(self) -> None:
        """Nothing, for the same reason."""

    async def shutdown(self, timeout_s: float) -> None:
        """Accept nothing more, and finish the requests that are running."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._server is not None:
            await self._server.shutdown(timeout_s)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        signal = self._signals.get(scope["path"])
        if signal is None:
            await _respond(send, 404, b"text/plain", b"not found\n")
        elif scope["method"] != "POST":
            await _respond(send, 405, b"text/plain", b"method not allowed\n", (b"allow", b"POST"))
        else:
            await self._answer(signal, dict(scope["headers"]), receive, send)

    async def _answer(self, signal: Signal, headers: Mapping[bytes, bytes], receive: Receive, send: Send) -> None:
        content_type = headers.get(b"content-type", b"").decode("latin-1").partition(";")[0].strip().lower()
        is_json = content_type == _JSON

        async def read() -> bytes:
            if self._token is not None and not self._token.admits(headers.get(b"authorization")):
                raise RejectedError(Verdict.UNAUTHENTICATED, "authorization: a bearer token of ours is needed")
            if content_type not in (_PROTOBUF, _JSON):
                raise RejectedError(
                    Verdict.UNSUPPORTED, f"content-type: {content_type[:64]!r} is not supported ({_PROTOBUF}, {_JSON})"
                )
            encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
            body = await decompress(encoding, await self._body(headers, receive), self._limit)
            if not is_json:
                return body
            if len(body) < _INLINE_JSON:
                return json_requests.to_protobuf(signal, body)
            return await in_thread(json_requests.to_protobuf, signal, body)

        try:
            outcome = await self._exports.answer(signal, read)
        except asyncio.CancelledError:
            # Time to stop, and not done: whether it was taken is unknown, so it has to come again.
            outcome = Outcome(Verdict.TRY_AGAIN, "the service is stopping; try again")
        if outcome.verdict is Verdict.TAKEN:
            response = json_requests.response_to_json(signal, outcome.response) if is_json else outcome.response
            await _respond(send, 200, (_JSON if is_json else _PROTOBUF).encode(), response)
        else:
            await self._refuse(outcome, send, is_json=is_json)

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self._limit:
            raise too_large(self._limit)
        chunks: list[bytes] = []
        size = 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise RejectedError(Verdict.UNREAD, "the client left")
                chunk: bytes = message.get("body", b"")
                size += len(chunk)
                self._receiving += len(chunk)
                if size > self._limit:
                    raise too_large(self._limit)
                if not message.get("more_body"):
                    return b"".join((*chunks, chunk)) if chunks else chunk
                if self._receiving > _BODIES * self._limit:
                    raise RefusedError("too much is being received at the moment; try again", "receiving")
                chunks.append(chunk)
        finally:
            self._receiving -= size

    async def _refuse(self, outcome: Outcome, send: Send, *, is_json: bool) -> None:
        code, status_code = _STATUS[outcome.verdict]
        status = Status(code=status_code, message=outcome.message)
        more = {
            Verdict.UNAUTHENTICATED: ((b"www-authenticate", b"Bearer"),),
            Verdict.TRY_AGAIN: ((b"retry-after", _RETRY_AFTER),),
        }.get(outcome.verdict, ())
        if is_json:
            await _respond(send, code, _JSON.encode(), json_requests.status_to_json(status), *more)
        else:
            await _respond(send, code, _PROTOBUF.encode(), status.SerializeToString(), *more)


async def _respond(send: Send, status: int, content_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

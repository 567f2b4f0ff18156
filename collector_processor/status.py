"""How the service is, for whoever supervises it: alive, ready, and what it counted.

`/healthz` says that the process answers, `/readyz` that telemetry sent now would be taken, `/metrics` what Prometheus
scrapes. The health service of gRPC follows the same readiness.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from collector_processor import prometheus_text
from collector_processor.http_server import HttpServer, Limits, Receive, Scope, Send
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address, Listen, Settings

_STARTING: Final = "starting"
_DRAINING: Final = "draining"
_FOLLOW_S: Final = 1.0
_LIMITS: Final = Limits(connections=64, read_timeout_s=10.0, idle_timeout_s=60.0)
_JSON: Final = b"application/json"


class StatusSettings(Settings):
    """Where the service tells how it is.

    Attributes:
        enabled: Whether it does.
        endpoint: Everybody who reaches it reads the names of models in its metrics, and no values.
    """

    enabled: bool = True
    endpoint: Listen = Address("127.0.0.1", 13133)


class Drained(Protocol):
    """A server whose clients ask for its health."""

    async def set_ready(self, *, ready: bool) -> None:
        """Tell them whether the service can be used."""
        ...

    async def drain(self) -> None:
        """Tell them, from now on, to go elsewhere."""
        ...


class Status:
    """The readiness of the service, and the server that tells it.

    Started before everything else and stopped after it, so that it can say "starting" and "draining".

    Args:
        refusal: Why telemetry would not be taken now, in a word or two; None if it would.
    """

    def __init__(
        self, settings: StatusSettings, telemetry: SelfTelemetry, refusal: Callable[[], str | None] = lambda: None
    ) -> None:
        self._telemetry = telemetry
        self._refusal = refusal
        self._phase: str | None = _STARTING
        self._receivers: Sequence[Drained] = ()
        self._following: asyncio.Task[None] | None = None
        self._server = (
            HttpServer(self._application, settings.endpoint, path="service::status::endpoint", limits=_LIMITS)
            if settings.enabled
            else None
        )

    @property
    def address(self) -> Address | None:
        """The bound address, once started; None as well where it is switched off."""
        return None if self._server is None else self._server.address

    @property
    def unready(self) -> str | None:
        """Why telemetry would not be taken now, in a word or two; None if it would."""
        return self._phase or self._refusal()

    async def start(self) -> None:
        """Answer from now on, with "starting" to those who ask whether it is ready.

        Raises:
            StartError: The address cannot be bound.
        """
        if self._server is not None:
            await self._server.start()

    async def serve(self, receivers: Sequence[Drained]) -> None:
        """Say that the service takes telemetry, whenever it does; `receivers` have started."""
        self._receivers = receivers
        self._phase = None
        self._following = asyncio.create_task(self._telemetry.guard("health", self._follow))

    async def drain(self) -> None:
        """Tell everybody who asks to go elsewhere; what comes is still taken until the receivers stop."""
        self._phase = _DRAINING
        if self._following is not None:
            self._following.cancel()
        for receiver in self._receivers:
            try:
                await receiver.drain()
            except Exception as error:
                self._telemetry.failed("drain", error)

    async def shutdown(self, timeout_s: float) -> None:
        """Answer no more."""
        self._phase = _DRAINING
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        if self._server is not None:
            await self._server.shutdown(timeout_s)

    async def _follow(self) -> None:
        told: bool | None = None
        while True:
            ready = self.unready is None
            if ready is not told:
                for receiver in self._receivers:
                    await receiver.set_ready(ready=ready)
                told = ready
            await asyncio.sleep(_FOLLOW_S)

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        status, content_type, body = self._answer(scope["method"], scope["path"])
        headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % len(body)),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answer(self, method: str, path: str) -> tuple[int, bytes, bytes]:
        if path not in ("/healthz", "/readyz", "/metrics"):
            return 404, _JSON, _json(error="not found", paths=["/healthz", "/readyz", "/metrics"])
        if method not in ("GET", "HEAD"):
            return 405, _JSON, _json(error="method not allowed")
        try:
            if path == "/metrics":
                points = self._telemetry.points()
                return 200, prometheus_text.CONTENT_TYPE.encode(), prometheus_text.exposition(points)
            if path == "/healthz":
                return 200, _JSON, _json(status="alive")
            reason = self.unready
        except Exception as error:
            self._telemetry.failed("status", error)
            return 500, _JSON, _json(error="internal failure")
        return (
            (200, _JSON, _json(status="ready"))
            if reason is None
            else (503, _JSON, _json(status="unready", reason=reason))
        )


def _json(**values: object) -> bytes:
    return json.dumps(values).encode() + b"\n"

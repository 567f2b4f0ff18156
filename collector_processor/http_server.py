"""An HTTP server for a raw ASGI application, inside the event loop that runs already, and bounded in every way.

uvicorn with httptools, without what makes it a program of its own: signal handlers, log lines, exits. It leaves slow
clients and long headers to a proxy in front; here is none, so the protocol below has a clock and a ruler.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from collector_processor.errors import StartError
from collector_processor.settings import Address

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_BACKLOG: Final = 1024
_LARGEST_HEADER: Final = 64 * 1024
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may take.

    Attributes:
        connections: At a time; further ones are told to come back.
        read_timeout_s: For sending one request, its headers included.
        idle_timeout_s: Between requests.
    """

    connections: int = 1000
    read_timeout_s: float = 30.0
    idle_timeout_s: float = 60.0


class HttpServer:
    """Serves one application on one address.

    Args:
        path: The setting that names the address, for error messages.
        tls: Used for every new connection; may be changed while it is in use.
        refused: Called with a reason for each connection that is one too many, and each request that is no HTTP.
    """

    def __init__(
        self,
        application: Application,
        endpoint: Address,
        *,
        path: str,
        limits: Limits,
        tls: ssl.SSLContext | None = None,
        refused: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._application = application
        self._endpoint = endpoint
        self._path = path
        self._limits = limits
        self._tls = tls
        self._refused = refused
        self._listeners: list[socket.socket] = []
        self._server: Any = None
        self.address: Address | None = None
        """The bound address, once started."""

    async def start(self) -> None:
        """Serve from now on.

        Raises:
            StartError: The address cannot be bound.
        """
        try:
            listeners = await _listeners(self._endpoint)
        except OSError as error:
            raise StartError(
                f"{self._path}: cannot listen on {str(self._endpoint)!r}: {error.strerror or error}"
            ) from error
        self.address = Address(self._endpoint.host, listeners[0].getsockname()[1])
        limits, refused = self._limits, self._refused

        class Protocol(_BoundedProtocol):
            """The bounds of this server, for uvicorn makes protocols itself."""

            bounds = limits
            was_refused = staticmethod(refused)

        config = uvicorn.Config(
            self._application,
            http=Protocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            # What clients do wrong is counted, not written about.
            log_level="critical",
            timeout_keep_alive=self._limits.idle_timeout_s,
        )
        config.load()
        config.ssl = self._tls
        # Not its serve(): that takes over the signals of the process, and looks at the clock ten times a second.
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=listeners)
        self._listeners, self._server = listeners, server

    async def shutdown(self, timeout_s: float) -> None:
        """Accept nothing any more, finish the requests that are running, and close."""
        server, self._server = self._server, None
        if server is None:
            return
        server.config.timeout_graceful_shutdown = timeout_s
        await server.shutdown(sockets=self._listeners)
        # Whoever is still sending, or was just told to come again.
        await asyncio.sleep(0)
        for connection in list(server.server_state.connections):
            connection.transport.close()


class _BoundedProtocol(HttpToolsProtocol):  # type: ignore[misc]  # uvicorn is not looked into
    """One connection, with a limit on its number, the length of its headers and the time that a request takes."""

    parser: Any
    bounds: Limits
    was_refused: Callable[[str], None]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.access_log = False
        self._deadline: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._unparsed_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        if len(self.connections) >= self.bounds.connections:
            self.was_refused("connections")
            transport.write(_BUSY)
            transport.close()
            self.parser = None
            self.transport = transport
            return
        super().connection_made(transport)
        # Whoever says nothing at all has no longer than who says little.
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        # After a refusal above, or an answer that ended the connection, there is nobody to parse for.
        if self.parser is None or self.transport.is_closing():
            return
        # A header that never ends is collected by the parser, and never shown.
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > _LARGEST_HEADER and not self.transport.is_closing():
            self.send_400_response("The header is too long.")

    def on_message_begin(self) -> None:
        self._header_bytes = self._unparsed_bytes = 0
        self._set_deadline()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._measure(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._measure(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unparsed_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unparsed_bytes = 0
        self._clear_deadline()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        self.was_refused("not_http")
        super().send_400_response(msg)

    def _measure(self, size: int) -> None:
        self._header_bytes += size + 4
        if self._header_bytes > _LARGEST_HEADER:
            # httptools passes it on as an error of parsing, which is answered with 400.
            raise ValueError("the header is too long")

    def _set_deadline(self) -> None:
        self._clear_deadline()
        self._deadline = self.loop.call_later(self.bounds.read_timeout_s, self._expire)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        if self.pipeline:
            # We do not read on before the request in front is answered: the client is not the slow one.
            self._set_deadline()
        elif not self.transport.is_closing():
            self.transport.close()


async def _listeners(endpoint: Address) -> list[socket.socket]:
    """Sockets that listen on every address of the host, and on one port.

    Raises:
        OSError: As the system says.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    listeners: list[socket.socket] = []
    port = endpoint.port
    for family, kind, protocol, _, target in found:
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # As gRPC does: "::" is every address of the machine, of both families.
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(endpoint.host != "::"))
            listener.bind((target[0], port, *target[2:]))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            # A name may have an address of a family that is switched off.
            if listeners and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            for other in listeners:
                other.close()
            raise
        listener.setblocking(False)
        port = listener.getsockname()[1]
        listeners.append(listener)
    return listeners

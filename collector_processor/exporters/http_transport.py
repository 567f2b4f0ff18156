"""OTLP over HTTP with protobuf bodies, out."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import http.client
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from time import time
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # has no stubs

from collector_processor.component import Signal
from collector_processor.errors import PermanentError, RetryableError, UnauthorizedError
from collector_processor.exporters.rejections import rejected_items
from collector_processor.exporters.settings import OtlpHttpSettings

_RETRYABLE: Final = frozenset({429, 502, 503, 504})
# About us, not about the request.
_UNAUTHORIZED: Final = frozenset({401, 403})
_LONGEST_MESSAGE: Final = 1000
_LARGEST_RESPONSE: Final = 4 * 1024 * 1024


class HttpTransport:
    """Sends to one HTTP endpoint, over one kept-alive connection a thread."""

    def __init__(self, settings: OtlpHttpSettings) -> None:
        self._settings = settings
        self._threads = ThreadPoolExecutor(settings.sending_queue.num_consumers, "otlp_http")
        self._local = threading.local()
        self._connections: list[http.client.HTTPConnection] = []

    async def send(self, signal: Signal, body: bytes) -> int:
        """Send once; see `Transport`."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._send, signal, body)

    async def close(self) -> None:
        """Cut what is still on its way, and let go of threads and connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for connection in self._connections:
            if connection.sock is not None:
                # Wakes a thread that waits for an answer; closing alone would not.
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(self._threads.shutdown, wait=True)
        for connection in self._connections:
            connection.close()

    def _send(self, signal: Signal, body: bytes) -> int:
        headers = {
            "Content-Type": "application/x-protobuf",
            "User-Agent": "otel-ml-processor",
            **self._settings.headers,
        }
        if self._settings.compression == "gzip":
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        path = f"{self._settings.endpoint.path}/v1/{signal.value}"
        try:
            status, retry_after, answer, kind = self._request(path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self._forget_connection()
            message = f"{self._settings.endpoint.address}: {error or type(error).__name__}"
            raise RetryableError(message, is_timeout=isinstance(error, TimeoutError)) from error
        if 200 <= status < 300:
            return rejected_items(signal, answer)
        message = f"{self._settings.endpoint.address}{path}: HTTP {status}: {_explanation(answer, kind)}".rstrip(": ")
        if status in _RETRYABLE:
            raise RetryableError(message, _delay_s(retry_after))
        if status in _UNAUTHORIZED:
            raise UnauthorizedError(message)
        raise PermanentError(message, f"HTTP {status}")

    def _request(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, str | None, bytes, str]:
        connection, is_new = self._connection()
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A kept-alive connection that the backend has closed meanwhile says nothing about the backend.
            if is_new:
                raise
            self._forget_connection()
            return self._request(path, body, headers)
        answer = response.read(_LARGEST_RESPONSE)
        if not response.isclosed():
            self._forget_connection()
        return response.status, response.getheader("Retry-After"), answer, response.getheader("Content-Type") or ""

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            (host, port), timeout_s = self._settings.endpoint.address, self._settings.timeout
            if self._settings.endpoint.scheme == "https":
                connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._context())
            else:
                connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
            self._local.connection = connection
            self._connections.append(connection)
        # One that was closed opens again by itself.
        return connection, connection.sock is None

    def _context(self) -> ssl.SSLContext:
        try:
            return self._settings.tls.context()
        except ValueError as error:
            # It could be read when the configuration was checked, and may be there again soon.
            raise RetryableError(f"tls: {error}") from error

    def _forget_connection(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()


def _explanation(answer: bytes, kind: str) -> str:
    """What the backend says to a refusal: a google.rpc.Status as OTLP wants it, or text."""
    if kind.startswith("application/x-protobuf"):
        try:
            return str(Status.FromString(answer).message)[:_LONGEST_MESSAGE]
        except DecodeError:
            return ""
    text = answer[:_LONGEST_MESSAGE].decode(errors="replace")
    return " ".join(text.split())


def _delay_s(retry_after: str | None) -> float | None:
    """Seconds from a Retry-After header: a number or a date."""
    if not retry_after:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except (ValueError, OverflowError):
        return None

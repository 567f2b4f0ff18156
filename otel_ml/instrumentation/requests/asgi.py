"""ASGI applications: the request around model calls, its id in the response, and delivery before the server ends.

An HTTP request is one scope, until the last byte of its response was sent and its background tasks are done. A
websocket has none: it may live for days and its messages have no ids, so each model call in one stands alone.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.requests.serving import LeftAlone, ServedRequest, is_excluded, prediction_header
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from otel_ml.instrumentation.base import MLInstrumentor
    from otel_ml.instrumentation.requests.scope import InferenceScope

_TAKEN: Final = "otel_ml.taken"
"""In the ASGI scope: this request is being taken care of already, by the application this one is mounted in or is."""


def serving(
    original: Callable[..., Awaitable[None]], *, where: str, instrumentor: type[MLInstrumentor]
) -> Callable[..., Awaitable[None]]:
    """The `__call__` of an application class that opens a scope for each request.

    Args:
        original: Takes the application, and scope, receive and send of ASGI.
        where: For messages: "fastapi hook".
        instrumentor: Whose hook this is; once it is inactive every call passes through.
    """

    @functools.wraps(original)
    async def __call__(self: Any, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: N807 - takes the place of one
        if _TAKEN in scope or not instrumentor.active:
            await original(self, scope, receive, send)
            return
        kind = scope["type"]
        if kind == "http":
            scope[_TAKEN] = True
            with ServedRequest(
                where, method=scope.get("method", ""), path=scope.get("path", ""), headers=scope.get("headers", ())
            ) as opened:
                if opened is not None:
                    send = _telling_id(send, opened, where)
                await original(self, scope, receive, send)
        elif kind == "lifespan":
            scope[_TAKEN] = True
            await original(self, scope, receive, _delivering(send, where))
        elif kind == "websocket" and is_excluded(where, scope.get("path", "")):
            with LeftAlone():
                await original(self, scope, receive, send)
        else:
            await original(self, scope, receive, send)

    return __call__


def _telling_id(
    send: Callable[[Any], Awaitable[None]], scope: InferenceScope, where: str
) -> Callable[[Any], Awaitable[None]]:
    """When the response begins, add the header that names its prediction, unless the application has set it itself."""

    def send_with_id(message: Any) -> Awaitable[None]:
        # No coroutine of its own: every further message of a stream passes at the cost of one comparison.
        if message["type"] == "http.response.start" and (scope.count or scope.announced):
            try:
                header = prediction_header(scope)
                if header is not None:
                    message = _with_header(message, header)
            except Exception as error:
                failed(where, error)
        return send(message)

    return send_with_id


def _with_header(message: Any, header: tuple[str, str]) -> Any:
    name = header[0].encode("latin-1")
    length = len(name)
    # Copies, for the application may send one response object many times.
    headers = list(message.get("headers", ()))
    for given, _ in headers:
        if len(given) == length and bytes(given).lower() == name:
            return message
    headers.append((name, header[1].encode("latin-1")))
    return {**message, "headers": headers}


def _delivering(send: Callable[[Any], Awaitable[None]], where: str) -> Callable[[Any], Awaitable[None]]:
    """Before the server is told that the application has ended, send what was recorded: no later moment is certain."""

    async def deliver_then_send(message: Any) -> None:
        if str(message.get("type", "")).startswith("lifespan.shutdown."):
            try:
                from otel_ml.recording.delivery import deliver  # noqa: PLC0415 - the recorder, see late_recorder

                deliver()
            except Exception as error:
                failed(where, error)
        await send(message)

    return deliver_then_send

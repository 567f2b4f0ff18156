"""ASGI applications: the request around model calls, its id in the response, and delivery before the server ends.

An HTTP request is one scope, until the last byte of its response was sent and its background tasks are done. A
websocket has none: it may live for days and its messages have no ids, so each model call in one stands alone.
"""

from __future__ import annotations

import functools
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, Protocol

from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch, SharedPatch
from otel_ml.instrumentation.requests.scope import InferenceScope
from otel_ml.instrumentation.requests.serving import LeftAlone, ServedRequest, end, is_excluded, prediction_header
from otel_ml.recording.guard import failed
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

_WHERE: Final = "asgi hook"
_START: Final = "http.response.start"
_NAME: Final = itemgetter(0)
_TAKEN: Final = "otel_ml.taken"
"""In the ASGI scope of a websocket or a lifespan: it is taken care of already, by the application this one is mounted
in or is. A request's needs no such mark, which its dict might have to grow for: our scope of it knows it."""


class Switch(Protocol):
    """An instrumentor, or a patch that several of them share."""

    @property
    def active(self) -> bool:
        """Whether hooks are to do their work; otherwise every call passes through."""


class _Request(InferenceScope):
    """A request of an ASGI server.

    Attributes:
        asgi: Its ASGI scope; None once it is over, for tasks it left behind may live for days.
    """

    __slots__ = ("asgi",)

    asgi: Any

    def close(self) -> None:
        """End it, and let go of what belongs to the server."""
        self.asgi = None
        super().close()


def serving(original: Callable[..., Awaitable[None]], *, switch: Switch) -> Callable[..., Awaitable[None]]:
    """The `__call__` of an application class that opens a scope for each request.

    Args:
        original: Takes the application, and scope, receive and send of ASGI.
        switch: Of whose hook this is.
    """

    @functools.wraps(original)
    async def __call__(self: Any, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:  # noqa: N807 - takes the place of one
        if not switch.active:
            await original(self, scope, receive, send)
        elif scope["type"] != "http":
            await _otherwise(original, self, scope, receive, send)
        elif (request := _open(scope)) is not None:
            # The usual request, written out: `ServedRequest` is an object and two calls more.
            token = request_scope.set(request)
            try:
                await original(self, scope, receive, _telling_id(send, request))
            finally:
                end(_WHERE, request, token)
        else:
            await _nested(original, self, scope, receive, send)

    return __call__


def _serving_starlette(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    return serving(original, switch=applications)


applications: Final = SharedPatch(Patch("starlette.applications", "Starlette.__call__", _serving_starlette))
"""FastAPI's too: its applications are Starlette's, and each of their requests passes there in any case."""


def _open(asgi: MutableMapping[str, Any]) -> _Request | None:
    """The scope of a request of which nothing special is known; None where somebody has to look closer."""
    try:
        recorder = the_recorder()
        if request_scope.get() is not None or not recorder.enabled or recorder.settings.excluded_urls or inside.get():
            return None
        request = _Request(asgi.get("method", ""), asgi.get("headers", ()))
        request.asgi = asgi
    except Exception as error:
        failed(_WHERE, error)
        return None
    return request


async def _nested(
    original: Callable[..., Awaitable[None]], application: Any, asgi: MutableMapping[str, Any], receive: Any, send: Any
) -> None:
    """A request in another one's context, or one that may have to be left alone."""
    if _is_taken(asgi):
        await original(application, asgi, receive, send)
        return
    with ServedRequest(
        _WHERE, method=asgi.get("method", ""), path=asgi.get("path", ""), headers=asgi.get("headers", ())
    ) as joined:
        if joined is not None:
            send = _telling_id(send, joined)
        await original(application, asgi, receive, send)


def _is_taken(asgi: MutableMapping[str, Any]) -> bool:
    """Whether an application around this one takes care of the request, or decided that nobody does."""
    try:
        around = request_scope.get()
        return inside.get() or (isinstance(around, _Request) and around.asgi is asgi)
    except Exception as error:
        failed(_WHERE, error)
        return True


async def _otherwise(
    original: Callable[..., Awaitable[None]], application: Any, asgi: MutableMapping[str, Any], receive: Any, send: Any
) -> None:
    """A websocket, or the life of the application."""
    kind = asgi["type"]
    if _TAKEN in asgi:
        await original(application, asgi, receive, send)
    elif kind == "lifespan":
        asgi[_TAKEN] = True
        await original(application, asgi, receive, _delivering(send))
    elif kind == "websocket" and is_excluded(_WHERE, asgi.get("path", "")):
        with LeftAlone():
            await original(application, asgi, receive, send)
    else:
        await original(application, asgi, receive, send)


def _telling_id(send: Callable[[Any], Awaitable[None]], scope: InferenceScope) -> Callable[[Any], Awaitable[None]]:
    """When the response begins, add the header that names its prediction, unless the application has set it itself."""

    def send_with_id(message: Any) -> Awaitable[None]:
        # No coroutine of its own: every further message of a stream passes at the cost of two comparisons.
        if (scope.count or scope.announced) and message["type"] == _START:
            message = _with_id(message, scope)
        return send(message)

    return send_with_id


def _with_id(message: Any, scope: InferenceScope) -> Any:
    """The beginning of a response with the header that names its prediction, unless the application has set one."""
    try:
        header = prediction_header(scope)
        if header is None:
            return message
        name = header[0].encode("latin-1")
        # Copies, for the application may send one response object many times.
        headers = list(message.get("headers", ()))
        if len(name) in map(len, map(_NAME, headers)) and any(bytes(given).lower() == name for given, _ in headers):
            return message
        headers.append((name, header[1].encode("latin-1")))
        message = dict(message)
        message["headers"] = headers
    except Exception as error:
        failed(_WHERE, error)
    return message


def _delivering(send: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
    """Before the server is told that the application has ended, send what was recorded: no later moment is certain."""

    async def deliver_then_send(message: Any) -> None:
        if str(message.get("type", "")).startswith("lifespan.shutdown."):
            try:
                from otel_ml.recording.delivery import deliver  # noqa: PLC0415 - the recorder, see late_recorder

                deliver()
            except Exception as error:
                failed(_WHERE, error)
        await send(message)

    return deliver_then_send

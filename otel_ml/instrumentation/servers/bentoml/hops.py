"""From service to service: the request's id goes with the call, and what was recorded there is not recorded here."""

from __future__ import annotations

import contextlib
import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.requests.scope import current_scope
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from otel_ml.instrumentation.requests.scope import InferenceScope

_WHERE: Final = "bentoml client hook"
_ID_HEADER: Final = "x-request-id"

_calls_so_far: ContextVar[dict[str, int] | None] = ContextVar("otel_ml_bentoml_calls", default=None)
"""How often the request being served has called each API of other services; made anew for each request."""


def counting_calls(original: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The `__call__` of an ASGI middleware around what a request does: its calls are counted from there."""

    @functools.wraps(original)
    async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:  # noqa: N807 - takes the place of one
        if _calls_so_far.get() is not None:  # a service that asks itself
            await original(self, scope, receive, send)
            return
        token = _calls_so_far.set({})
        try:
            await original(self, scope, receive, send)
        finally:
            with contextlib.suppress(ValueError):  # thrown away half-way, and closed from another context
                _calls_so_far.reset(token)

    return __call__


def telling_id(original: Callable[..., Any]) -> Callable[..., Any]:
    """Add the id to the headers of a call; those given may be the caller's own mapping and are copied."""

    @functools.wraps(original)
    def _build_request(self: Any, endpoint: Any, args: Any, kwargs: Any, headers: Mapping[str, str]) -> Any:
        return original(self, endpoint, args, kwargs, {**headers, **_id_header(endpoint, headers)})

    return _build_request


def telling_id_in_place(original: Callable[..., Any]) -> Callable[..., Any]:
    """Add the id to the headers of a call, which are made for it and read after the original returns."""

    @functools.wraps(original)
    def _build_payload(self: Any, endpoint: Any, args: Any, kwargs: Any, headers: dict[str, str]) -> Any:
        headers.update(_id_header(endpoint, headers))
        return original(self, endpoint, args, kwargs, headers)

    return _build_payload


def noticing(original: Callable[..., Any]) -> Callable[..., Any]:
    """A response that names its prediction was recorded by the service it comes from."""

    @functools.wraps(original)
    def _parse_response(self: Any, endpoint: Any, response: Any) -> Any:
        try:
            scope = current_scope()
            name = the_recorder().settings.prediction_id_header if scope is not None else ""
            if scope is not None and name and name in response.headers:
                scope.counted()
        except Exception as error:
            failed(_WHERE, error)
        return original(self, endpoint, response)

    return _parse_response


def _id_header(endpoint: Any, headers: Mapping[str, str]) -> dict[str, str]:
    try:
        scope = current_scope()
        if scope is None or any(name.lower() == _ID_HEADER for name in headers):
            return {}
        own_id = _id_for_call(scope, str(getattr(endpoint, "route", "")))
    except Exception as error:
        failed(_WHERE, error)
        return {}
    return {_ID_HEADER: own_id} if own_id else {}


def _id_for_call(scope: InferenceScope, route: str) -> str | None:
    """The request's id; "<id>.1", "<id>.2", … when it calls the same API again, as if the model were called here."""
    if scope.row_ids is not None:
        # A batch has no id, its rows have.
        return scope.row_ids[0] if len(scope.row_ids) == 1 else None
    own_id = scope.prediction_id
    so_far = _calls_so_far.get()
    if so_far is None or own_id is None:
        return own_id
    number = so_far[route] = so_far.get(route, -1) + 1
    return f"{own_id}.{number}" if number else own_id

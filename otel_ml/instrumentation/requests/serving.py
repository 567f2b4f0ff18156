"""`with ServedRequest(…) as scope:` is how every server's hook opens and closes the request around model calls."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation.late_recorder import the_recorder
from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.requests.scope import InferenceScope, current_scope
from otel_ml.recording.guard import failed
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Token

_NONE: Final = re.compile("(?!)")


class ServedRequest:
    """One request, from where the server takes it over until its response is complete.

    Entering gives the scope, or None when nothing of this request is recorded: recording is off, or its path is one of
    OTEL_PYTHON_ML_EXCLUDED_URLS, in which case model hooks leave it alone too. Within a request that another hook has
    opened (an application mounted in another one, a framework built on another) that one's scope is given, and nothing
    is opened or closed. Neither entering nor leaving raises.

    Args:
        where: For messages: "flask hook".
        method: The HTTP method; empty where there is none.
        path: What excluded URLs are matched with.
        headers: Pairs of name and value, text or bytes, names in lower case.
        prediction_id: The id that the protocol itself has, such as that of a v2 inference request.
    """

    __slots__ = ("_headers", "_method", "_nested", "_opened", "_path", "_prediction_id", "_token", "_where")

    def __init__(
        self,
        where: str,
        *,
        method: str = "",
        path: str = "",
        headers: Iterable[tuple[Any, Any]] = (),
        prediction_id: str | None = None,
    ) -> None:
        self._where = where
        self._method = method
        self._path = path
        self._headers = headers
        self._prediction_id = prediction_id
        self._opened: InferenceScope | None = None
        self._token: Token[Any] | None = None
        self._nested: Token[bool] | None = None

    def __enter__(self) -> InferenceScope | None:
        try:
            recorder = the_recorder()
            excluded = recorder.settings.excluded_urls
            if not recorder.enabled or (excluded and _pattern(excluded).search(self._path)):
                self._nested = inside.set(True)
                return None
            scope = current_scope()
            if scope is None:
                self._opened = scope = InferenceScope(method=self._method, headers=self._headers)
                self._token = request_scope.set(scope)
            if self._prediction_id is not None:
                scope.prefer_id(self._prediction_id)
        except Exception as error:
            failed(self._where, error)
            return None
        return scope

    def __exit__(self, *_: object) -> None:
        if self._token is not None:
            _reset(request_scope.reset, self._token)
        if self._nested is not None:
            _reset(inside.reset, self._nested)
        if self._opened is not None:
            _close(self._where, self._opened)

    def left_open(self) -> Callable[[], None]:
        """Leaving will not end the request any more: calling what this gives will, once the response is complete."""
        opened, self._opened = self._opened, None
        return functools.partial(_close, self._where, opened)


class LeftAlone:
    """`with LeftAlone():` no model call in here is recorded."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        self._token = inside.set(True)

    def __exit__(self, *_: object) -> None:
        _reset(inside.reset, self._token)


def prediction_header(scope: InferenceScope | None) -> tuple[str, str] | None:
    """Name and value of the header that tells the client its prediction's id; None when there was no prediction.

    Ask when the response begins. A response that begins before its model is called (a stream) gets none.
    """
    if scope is None or not (scope.count or scope.announced):
        return None
    name = the_recorder().settings.prediction_id_header
    value = scope.prediction_id if name else None
    return (name, value) if value else None


def is_excluded(where: str, path: str) -> bool:
    """Whether recording is off, or this path is one of OTEL_PYTHON_ML_EXCLUDED_URLS."""
    try:
        recorder = the_recorder()
        excluded = recorder.settings.excluded_urls
        return not recorder.enabled or bool(excluded and _pattern(excluded).search(path))
    except Exception as error:
        failed(where, error)
        return True


def end(where: str, opened: InferenceScope, token: Token[Any]) -> None:
    """End a request that was opened without a `ServedRequest`; never raises.

    Args:
        where: For messages.
        token: What making it current gave.
    """
    _reset(request_scope.reset, token)
    _close(where, opened)


def _close(where: str, opened: InferenceScope | None) -> None:
    if opened is not None and not opened.closed:
        try:
            opened.close()
        except Exception as error:
            failed(where, error)


def _reset(reset: Callable[[Token[Any]], None], token: Token[Any]) -> None:
    try:
        reset(token)
    except ValueError:
        # A coroutine that is thrown away instead of finished is closed from wherever the collector runs: that context
        # never held our value.
        return


@functools.lru_cache(maxsize=8)
def _pattern(excluded_urls: str) -> re.Pattern[str]:
    try:
        alternatives = "|".join(part.strip() for part in excluded_urls.split(",") if part.strip())
        return re.compile(alternatives) if alternatives else _NONE
    except re.error as error:
        failed(f"reading excluded URLs {excluded_urls!r}", error)
        return _NONE

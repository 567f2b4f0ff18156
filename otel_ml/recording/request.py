"""What the server layer knows about the request that is being served; set by it, read by `record()` and model hooks."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextvars import Token

    from otel_ml.recording.inference import ModelInfo


class RequestScope(Protocol):
    """One request, as far as recording is concerned."""

    prediction_id: str | None
    """Id under which the request's predictions are reported when the caller gives none."""

    def recorded(self, model: ModelInfo) -> None:
        """An explicit `otel_ml.record()` was made in this request: hooks shall not record the same once more."""


class ScopeVariable:
    """A context variable that says when it is first used: a program without servers never has to look into it."""

    def __init__(self) -> None:
        self._variable: ContextVar[RequestScope | None] = ContextVar("otel_ml_request_scope", default=None)
        self._before_first: list[Callable[[], None]] = []
        self._is_used = False
        # The variable's own methods: no detour for those who read it in every call of a model.
        self.get = self._variable.get
        self.reset = self._variable.reset
        self.set: Callable[[RequestScope | None], Token[RequestScope | None]] = self._set_first

    def _set_first(self, scope: RequestScope | None) -> Token[RequestScope | None]:
        if not self._is_used:
            self._is_used = True
            for callback in self._before_first:
                callback()
            self.set = self._variable.set
        return self._variable.set(scope)

    def before_first(self, callback: Callable[[], None]) -> None:
        """Have `callback` called before there is the first scope, or now if there was one already."""
        if self._is_used:
            callback()
        else:
            self._before_first.append(callback)


request_scope = ScopeVariable()

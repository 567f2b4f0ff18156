"""Keeping a request and its span with the work it hands to a thread pool.

`loop.run_in_executor(pool, model.predict, X)` starts without context: the model call would neither know its request
(and be recorded a second time by the server layer) nor its parent span. `asyncio.to_thread` and anyio copy the context
themselves.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import context as otel_context

from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Ledger, Patch, apply_when_imported
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_ml.recording.request import RequestScope

_ledger: Ledger | None = None
_users = 0


def acquire() -> None:
    """Patch `ThreadPoolExecutor.submit` for one more instrumentor."""
    global _ledger, _users  # noqa: PLW0603 - one patch per process, counted
    _users += 1
    if _ledger is None:
        _ledger = Ledger()
        apply_when_imported([Patch("concurrent.futures.thread", "ThreadPoolExecutor.submit", _carrying)], _ledger)


def release() -> None:
    """Undo the patch with the last instrumentor that needed it."""
    global _ledger, _users  # noqa: PLW0603 - one patch per process, counted
    _users -= 1
    if _users <= 0 and _ledger is not None:
        _users = 0
        _ledger.undo()
        _ledger = None


class _Carried(NamedTuple):
    scope: RequestScope | None
    nested: bool
    parent: Context


def _carrying(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        scope = request_scope.get()
        nested = inside.get()
        if scope is None and not nested:
            return original(self, fn, *args, **kwargs)
        # Only what is ours and OpenTelemetry's travels. Running the job in a copy of the whole context would also
        # change the user's own variables there: a pool initialiser's decimal precision, numpy's error state.
        return original(self, _run, _Carried(scope, nested, otel_context.get_current()), fn, *args, **kwargs)

    return submit


def _run(carried: _Carried, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    scope_token = request_scope.set(carried.scope)
    nested_token = inside.set(carried.nested)
    parent_token = otel_context.attach(carried.parent)
    try:
        return fn(*args, **kwargs)
    finally:
        otel_context.detach(parent_token)
        inside.reset(nested_token)
        request_scope.reset(scope_token)

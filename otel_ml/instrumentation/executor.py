"""Keeping a request and its span with the work it hands to a thread pool.

`loop.run_in_executor(pool, model.predict, X)` starts without context: the model call would neither know its request
(and be recorded a second time by the server layer) nor its parent span. `asyncio.to_thread` and anyio copy the context
themselves.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import context as otel_context

from otel_ml.instrumentation.outermost import inside
from otel_ml.instrumentation.patch import Patch, SharedPatch
from otel_ml.recording.request import request_scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context

    from otel_ml.recording.request import RequestScope


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


carrying: Final = SharedPatch(Patch("concurrent.futures.thread", "ThreadPoolExecutor.submit", _carrying))

"""OpenTelemetry's own switch: code under `suppress_instrumentation()` is left alone."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context

if TYPE_CHECKING:
    from collections.abc import Callable

# Both keys are in use: contrib's older one is plain text, the API's is unique to the process.
_PLAIN_KEY: Final = "suppress_instrumentation"
_KEY: Final[str] = getattr(context, "_SUPPRESS_INSTRUMENTATION_KEY", _PLAIN_KEY)


def _reader() -> Callable[[], Any]:
    """What gives the current context: a method of the variable itself, where the API keeps it in one as by default."""
    runtime_context: Any = getattr(context, "_RUNTIME_CONTEXT", None)
    variable: Any = getattr(runtime_context, "_current_context", None)
    is_known = type(runtime_context).__name__ == "ContextVarsRuntimeContext" and isinstance(variable, ContextVar)
    return variable.get if is_known else context.get_current


_current: Final = _reader()


def suppressed() -> bool:
    """Whether the caller asked for no telemetry."""
    current = _current()
    return bool(current) and bool(current.get(_KEY) or current.get(_PLAIN_KEY))

"""Calls in a source file that set OpenTelemetry up, found without running it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_SETTERS: Final = frozenset(("set_tracer_provider", "set_meter_provider", "set_logger_provider"))
_ENOUGH: Final = 1 << 20


def set_up_calls(file: Path) -> list[tuple[int, str]]:
    """Line and name of each call that sets a global provider; none of a file that cannot be read or parsed."""
    try:
        with file.open("rb") as opened:
            tree = ast.parse(opened.read(_ENOUGH))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return sorted((call.lineno, _name(call.func)) for call in calls if _name(call.func) in _SETTERS)


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""

"""Which libraries are instrumented, and are their versions supported?"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown


def _examine(examined: Examined) -> Iterator[Finding]:  # noqa: ARG001 - what is installed is asked of this environment
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    found: list[str] = []
    is_fine = True
    for entry_point in sorted(entry_points(group="opentelemetry_instrumentor"), key=lambda one: one.name):
        if not entry_point.name.startswith("otel_ml_"):
            continue
        name = entry_point.name.removeprefix("otel_ml_")
        installed, conflict = _state(entry_point)
        if conflict:
            is_fine = False
            required, has = conflict
            fix = f"pip install --upgrade '{required}'"
            yield problem(f"{name}: {has} is installed, {required} is supported", "Its calls are not seen.", fix)
        elif installed:
            found.append(name)
    if found:
        yield ok(f"found in {sys.prefix}: {', '.join(found)}")
    elif is_fine:
        yield unknown(
            f"no library that is instrumented is installed in {sys.prefix}",
            "What a server calls may be elsewhere; otel_ml.record() works with anything.",
            "run otel-ml with the Python that runs the server",
        )


def _state(entry_point: EntryPoint) -> tuple[bool, tuple[str, str] | None]:
    """Whether a framework is installed in a version we know; and the version required and found, where it is not."""
    from opentelemetry.instrumentation.dependencies import get_dependency_conflicts

    instrumentor = entry_point.load()()
    if instrumentor.is_available():
        return True, None
    for required in (*instrumentor.requires, *instrumentor.requires_any):
        conflict = get_dependency_conflicts((required,))
        has = getattr(conflict, "found", None)
        if has:
            return False, (required, str(has))
    return False, None


CHECK = Check("libraries", "Which libraries are instrumented, and are their versions supported?", _examine)

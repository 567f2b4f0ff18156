"""Are variables of OpenTelemetry misspelt?"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem

# Vendors and other languages have names of their own: only what nearly is one of ours is taken for a mistake.
_NEARLY = 0.9


def _examine(examined: Examined) -> Iterator[Finding]:
    known = _known()
    written = [
        name
        for name in examined.environment
        if name.upper().startswith(("OTEL_", "OTLP_", "OLTP_")) and not name.startswith("OTEL_PYTHON_ML_")
    ]
    is_fine = True
    for name in sorted(set(written) - known):
        close = get_close_matches(name.upper(), known, n=1, cutoff=_NEARLY)
        if close:
            is_fine = False
            yield problem(f"{name!r} is not read by anybody", "It has no effect.", f"rename it to {close[0]}")
    if is_fine:
        yield ok(f"{len(written)} variables of OpenTelemetry are set, and none is nearly one that exists")


def _known() -> set[str]:
    """What the installed distributions of OpenTelemetry read."""
    names: set[str] = set()
    for entry_point in entry_points(group="opentelemetry_environment_variables"):
        try:
            names |= {name for name in dir(entry_point.load()) if name.startswith("OTEL_")}
        except Exception:  # noqa: S112 - another distribution's module that cannot be imported knows no names
            continue
    return names


CHECK = Check("misspelt", "Are variables of OpenTelemetry misspelt?", _examine)

"""Are instrumentors of ours switched off?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem

_VARIABLE = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"


def _examine(examined: Examined) -> Iterator[Finding]:
    written = examined.environment.get(_VARIABLE, "")
    names = [name.strip() for name in written.split(",") if name.strip()]
    ours = {
        found.name for found in entry_points(group="opentelemetry_instrumentor") if found.name.startswith("otel_ml_")
    }
    off = sorted(ours) if "*" in names else sorted(ours.intersection(names))
    unset = f"unset {_VARIABLE}"
    if not ours:
        yield problem(
            "otel-ml's instrumentors are not installed in this environment",
            "opentelemetry-instrument finds them by the metadata of the distribution.",
            "pip install --force-reinstall otel-ml",
        )
    elif not off:
        yield ok(f"none of {len(ours)} instrumentors is switched off")
    elif "*" in names:
        yield problem(f"{_VARIABLE} is {written!r}", "Nothing is instrumented at all.", unset)
    else:
        kept = ",".join(name for name in names if name not in ours)
        fix = f"export {_VARIABLE}={kept}" if kept else unset
        yield problem(
            f"{_VARIABLE} switches off {', '.join(off)}", "Calls of these models and servers are not seen.", fix
        )


CHECK = Check("instrumentors", "Are instrumentors of ours switched off?", _examine)

"""Will the backend take metrics of this temporality?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem

_VARIABLE = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_VALUES = ("cumulative", "delta", "lowmemory")
_DELTA_WANTED = ("datadoghq.", "dynatrace.", "ddog-gov.")


def _examine(examined: Examined) -> Iterator[Finding]:
    written = examined.environment.get(_VARIABLE, "")
    chosen = written.strip().lower() or "cumulative"
    hosts = {route.host for route in examined.destinations if route.signal == "metrics"}
    if chosen not in _VALUES:
        why = "The SDK warns once, and sends cumulative metrics."
        yield problem(f"{_VARIABLE} is {written!r}", why, f"export {_VARIABLE}=cumulative ({', '.join(_VALUES)})")
    elif chosen == "cumulative":
        yield ok("metrics are cumulative, which Prometheus takes")
    elif hosts and all(any(part in host for part in _DELTA_WANTED) for host in hosts):
        yield ok(f"{_VARIABLE} is {written!r}, and {', '.join(sorted(hosts))} asks for delta")
    else:
        yield problem(
            f"{_VARIABLE} is {written!r}",
            "Prometheus drops delta metrics without a word, unless it or a Collector turns them into cumulative ones."
            " (Sketches and the processor's gauges do not care.)",
            f"unset {_VARIABLE}; or, where the backend asks for delta: otel-ml doctor --skip temporality",
        )


CHECK = Check("temporality", "Will the backend take metrics of this temporality?", _examine)

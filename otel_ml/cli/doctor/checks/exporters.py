"""Is everything switched on?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown
from otel_ml.cli.otlp.destination import SIGNALS

_LOST = {
    "traces": "There are no spans.",
    "metrics": "There are no histograms of features and predictions.",
    "logs": "Sketches travel as logs: without them there is no drift.",
}


def _examine(examined: Examined) -> Iterator[Finding]:
    environment = examined.environment
    is_off = False
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        is_off = True
        yield problem(
            "OTEL_SDK_DISABLED is 'true'", "OpenTelemetry is off, and otel-ml with it.", "unset OTEL_SDK_DISABLED"
        )
    elif not examined.settings.enabled:
        is_off = True
        yield problem(
            f"OTEL_PYTHON_ML_ENABLED is {environment.get('OTEL_PYTHON_ML_ENABLED')!r}",
            "Nothing is recorded.",
            "unset OTEL_PYTHON_ML_ENABLED",
        )
    for signal in SIGNALS:
        variable, names = f"OTEL_{signal.upper()}_EXPORTER", examined.exporters(signal)
        if "none" in names:
            is_off = True
            yield problem(f"{variable} is {environment[variable]!r}", _LOST[signal], f"export {variable}=otlp")
        elif not any(name.startswith("otlp") for name in names):
            is_off = True
            why = "Whether these exporters reach a processor cannot be told."
            yield unknown(f"{variable} is {environment[variable]!r}", why, f"export {variable}=otlp")
    if not is_off:
        yield ok("traces, metrics and logs are exported over OTLP")


CHECK = Check("exporters", "Is everything switched on?", _examine)

"""Do endpoints say http:// or https://?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, explained, ok
from otel_ml.cli.doctor.routes import on_routes
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.problems import scheme_problem


def _examine(examined: Examined) -> Iterator[Finding]:
    return on_routes(examined, _look)


def _look(route: Destination) -> Finding:
    found = scheme_problem(route)
    return explained(found) if found else ok(f"{route.endpoint!r} ({route.source}) is what the exporters understand")


CHECK = Check("endpoint-scheme", "Do endpoints say http:// or https://?", _examine)

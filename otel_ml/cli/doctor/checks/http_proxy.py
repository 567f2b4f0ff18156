"""Do exports go through a proxy that was meant for browsers?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, explained, ok
from otel_ml.cli.doctor.routes import on_routes
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.problems import proxy_problem


def _examine(examined: Examined) -> Iterator[Finding]:
    def look(route: Destination) -> Finding:
        found = proxy_problem(route, examined.environment)
        if found is None:
            return ok(f"{route.address} is reached without a proxy")
        if examined.answer(route).taken:
            return ok(f"{found.what}, which lets it pass")
        return explained(found)

    return on_routes(examined, look)


CHECK = Check("http-proxy", "Do exports go through a proxy that was meant for browsers?", _examine)

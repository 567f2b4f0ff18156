"""Does anybody listen at the endpoints?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, explained, ok, unknown
from otel_ml.cli.doctor.routes import on_routes
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.problems import answer_problem, reach_problem
from otel_ml.cli.otlp.proxies import proxy_of


def _examine(examined: Examined) -> Iterator[Finding]:
    def look(route: Destination) -> Finding:
        listening = examined.listening(route)
        if listening is None:
            return unknown(f"{route.endpoint!r} names no address", "There is nobody to ask.")
        found = reach_problem(route, listening)
        if found is not None and proxy_of(route, examined.environment) is not None:
            # Behind a proxy nothing else may be reachable from here, nor need be.
            if examined.answer(route).taken:
                return ok(f"{route.address} is reached through a proxy")
            return unknown(f"{route.address} is not reached directly", "Exports go through a proxy.", found.fix)
        if found is None and listening.http2:
            slow = answer_problem(route, examined.answer(route))
            found = slow if slow is not None and slow.topic == CHECK.name else None
        return explained(found) if found else ok(f"{route.address} takes connections")

    return on_routes(examined, look)


CHECK = Check("endpoint-reachable", "Does anybody listen at the endpoints?", _examine)

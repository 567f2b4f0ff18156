"""Does gRPC go where gRPC is spoken, and HTTP where HTTP is?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, explained, ok, unknown
from otel_ml.cli.doctor.routes import on_routes
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.problems import protocol_problem


def _examine(examined: Examined) -> Iterator[Finding]:
    def look(route: Destination) -> Finding:
        listening = examined.listening(route)
        found = protocol_problem(route, listening)
        if found is not None:
            return explained(found)
        if listening is None or listening.trouble or listening.is_silent:
            return unknown(f"{route.endpoint!r} gives no answer", "Its port alone does not contradict the protocol.")
        return ok(f"{route.address} speaks what {route.protocol} needs")

    return on_routes(examined, look)


CHECK = Check("endpoint-protocol", "Does gRPC go where gRPC is spoken, and HTTP where HTTP is?", _examine)

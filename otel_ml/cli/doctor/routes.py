"""Asking the same question of every endpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Finding, unknown
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.listening import Listening


def on_routes(examined: Examined, look: Callable[[Destination], Finding]) -> Iterator[Finding]:
    """What `look` finds of each different endpoint."""
    if not examined.routes:
        yield unknown("nothing is exported over OTLP", "There is no endpoint to look at.")
    for route in examined.routes:
        yield look(route)


def on_connections(examined: Examined, look: Callable[[Destination, Listening], Finding]) -> Iterator[Finding]:
    """What `look` finds of each different endpoint that somebody listens at."""

    def connected(route: Destination) -> Finding:
        listening = examined.listening(route)
        if listening is None:
            return unknown(f"{route.endpoint!r} names no address", "There is nobody to ask.")
        if listening.trouble:
            return unknown(f"{route.address} is not reached: {listening.detail}", "There is nobody to ask.")
        return look(route, listening)

    return on_routes(examined, connected)

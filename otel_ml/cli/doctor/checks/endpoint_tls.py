"""Do exporter and receiver agree on TLS?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, explained, ok, unknown
from otel_ml.cli.doctor.routes import on_connections
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.listening import Listening
from otel_ml.cli.otlp.problems import tls_problem


def _examine(examined: Examined) -> Iterator[Finding]:
    return on_connections(examined, _look)


def _look(route: Destination, listening: Listening) -> Finding:
    found = tls_problem(route, listening)
    if found is not None:
        return explained(found)
    if listening.is_silent and not listening.is_encrypted:
        return unknown(f"{route.address} says nothing that is understood", "It speaks neither HTTP nor TLS.")
    return ok(f"{route.address}: both sides {'encrypt' if route.is_encrypted else 'speak plain text'}")


CHECK = Check("endpoint-tls", "Do exporter and receiver agree on TLS?", _examine)

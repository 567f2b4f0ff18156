"""Do this machine and the receiver agree on the time?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown
from otel_ml.cli.doctor.routes import on_connections
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.listening import Listening

# A processor waits 30 s for a window's last snapshots; an HTTP date is a second coarse, and asking takes a while.
_ALLOWED_S = 15.0


def _examine(examined: Examined) -> Iterator[Finding]:
    return on_connections(examined, _look)


def _look(route: Destination, listening: Listening) -> Finding:
    if listening.date is None:
        return unknown(f"{route.address} says no time", "gRPC has no Date header; only receivers of HTTP have.")
    ahead_s = listening.asked_unix_s - listening.date.timestamp()
    if abs(ahead_s) <= _ALLOWED_S:
        return ok(f"{route.address} and this machine agree on the time")
    return problem(
        f"this machine is {abs(ahead_s):,.0f} s {'ahead of' if ahead_s > 0 else 'behind'} {route.address}",
        "Snapshots come too late for their window, or from the future, and are put aside.",
        "synchronise both clocks: timedatectl set-ntp true (or chronyc makestep)",
    )


CHECK = Check("clock", "Do this machine and the receiver agree on the time?", _examine)

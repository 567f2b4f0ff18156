"""Does the receiver take traces, metrics and logs, from us?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, explained, ok, unknown
from otel_ml.cli.otlp.destination import Destination
from otel_ml.cli.otlp.problems import answer_problem, explain


def _examine(examined: Examined) -> Iterator[Finding]:
    if not examined.destinations:
        yield unknown("nothing is exported over OTLP", "There is no endpoint to look at.")
    for destination in examined.destinations:
        yield _look(examined, destination)


def _look(examined: Examined, destination: Destination) -> Finding:
    answer = examined.answer(destination)
    if answer.taken:
        return ok(f"{destination.endpoint!r} takes {destination.signal}")
    found = answer_problem(destination, answer)
    if found is not None and found.topic in (CHECK.name, "message-size"):
        return explained(found)
    # Others tell why there is no answer; where none of them does, this is the only place to tell it.
    found = explain(destination, examined.listening(destination), answer, examined.environment)
    if found.topic == CHECK.name:
        return explained(found)
    return unknown(f"{destination.endpoint!r} was not asked about {destination.signal}", f"See {found.topic}.")


CHECK = Check("endpoint-signals", "Does the receiver take traces, metrics and logs, from us?", _examine)

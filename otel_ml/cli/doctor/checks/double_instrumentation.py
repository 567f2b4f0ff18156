"""Is OpenTelemetry set up twice?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown
from otel_ml.cli.doctor.server_command import ServerCommand
from otel_ml.cli.doctor.set_up_calls import set_up_calls

_AGENTS = {"ddtrace": "ddtrace/bootstrap", "newrelic": "newrelic/bootstrap"}
_CODE = "This looks at the file that the command names, and no further."


def _examine(examined: Examined) -> Iterator[Finding]:
    command = ServerCommand.parse(examined.command)
    paths = examined.environment.get("PYTHONPATH", "").split(os.pathsep)
    injected = [path for path in paths if Path(path).parts[-2:] == ("instrumentation", "auto_instrumentation")]
    is_fine = True
    if len(command.launchers) + bool(injected) > 1:
        is_fine = False
        names = [*command.launchers, *(f"PYTHONPATH ({path})" for path in injected)]
        yield problem(
            f"{' and '.join(names)} each set OpenTelemetry up",
            "The second one finds a provider that is set already, and spans and metrics come twice or not at all.",
            "keep one of them",
        )
    for name, bootstrap in _AGENTS.items():
        if any(bootstrap in path.replace(os.sep, "/") for path in paths):
            is_fine = False
            yield problem(
                f"PYTHONPATH starts the agent of {name}",
                "Two agents patch the same frameworks, and may set the same providers.",
                "take it out of PYTHONPATH, or let only one of them instrument",
            )
    file = command.file(Path.cwd())
    if file is not None:
        for finding in _in_code(file, is_launched=bool(command.launchers or injected)):
            is_fine = False
            yield finding
    if not is_fine:
        return
    if not examined.command:
        yield unknown("nothing in the environment sets OpenTelemetry up twice", "Which command is run is not known.")
    elif file is None:
        yield unknown("nothing in the command sets OpenTelemetry up twice", "Its code was not found from here.")
    else:
        yield ok(f"the command and {str(file)!r} set OpenTelemetry up once at most", _CODE)


def _in_code(file: Path, *, is_launched: bool) -> Iterator[Finding]:
    for line, call in set_up_calls(file):
        what = f"{file!s}:{line} calls {call}"
        fix = "start the server without opentelemetry-instrument (otel_ml.instrument() in code), or remove the call"
        why = "opentelemetry-instrument sets providers first, and OpenTelemetry refuses to override them."
        yield (
            problem(what, why, fix)
            if is_launched
            else unknown(f"{what}; whether it is started by opentelemetry-instrument as well cannot be told", why, fix)
        )


CHECK = Check("double-instrumentation", "Is OpenTelemetry set up twice?", _examine)

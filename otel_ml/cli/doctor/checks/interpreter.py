"""Is the server run by the Python that otel-ml is installed in?"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown
from otel_ml.cli.executables import environment_of, find


def _examine(examined: Examined) -> Iterator[Finding]:
    words = [word for word in examined.command if not word.startswith("-")]
    if not words:
        yield unknown("no command was given", "Which Python runs the server is not known.", "otel-ml doctor -- COMMAND")
        return
    path = find(words[0], examined.environment)
    if path is None:
        fix = "activate the environment that has it, or give its path"
        yield problem(f"{words[0]!r} is not found on PATH", "The server does not start like this.", fix)
        return
    prefix = environment_of(path)
    if prefix is None:
        yield unknown(f"{str(path)!r} is no script of a Python environment", "It may start one; that cannot be seen.")
    elif prefix.resolve() == type(prefix)(sys.prefix).resolve():
        yield ok(f"{str(path)!r} is run by the Python of {sys.prefix}")
    else:
        yield problem(
            f"{str(path)!r} belongs to {str(prefix)!r}, and otel-ml runs in {sys.prefix!r}",
            "What is installed here is not seen there: nothing is instrumented.",
            f"{_python(prefix)} -m pip install otel-ml, or start the server from {sys.prefix}",
        )


def _python(prefix: Path) -> Path:
    """The interpreter of an environment; those of distributions often have a python3 and no python."""
    names = (prefix / "bin" / "python", prefix / "bin" / "python3")
    return next((path for path in names if path.exists()), names[0])


CHECK = Check("interpreter", "Is the server run by the Python that otel-ml is installed in?", _examine)

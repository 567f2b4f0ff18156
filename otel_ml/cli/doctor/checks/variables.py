"""Are all OTEL_PYTHON_ML_* variables known, with values that make sense?"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from otel_ml import environment_variables
from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem

_PREFIX = "OTEL_PYTHON_ML_"


def _examine(examined: Examined) -> Iterator[Finding]:
    from otel_ml.config import invalid_variables

    known = [name for name in vars(environment_variables) if name.startswith(_PREFIX)]
    written = [name for name in examined.environment if name.upper().startswith(_PREFIX)]
    is_fine = True
    for name in sorted(set(written) - set(known)):
        is_fine = False
        close = get_close_matches(name.upper(), known, n=1, cutoff=0.7)
        fix = f"rename it to {close[0]}" if close else f"unset {name} (there are {', '.join(known)})"
        yield problem(f"{name!r} is no variable of otel-ml", "It is not read, and has no effect.", fix)
    for name, text, valid in invalid_variables(examined.environment):
        is_fine = False
        shown = "its value" if name == environment_variables.OTEL_PYTHON_ML_HASH_KEY else repr(text)
        yield problem(f"{name}: {shown} is not valid", "The default is used instead.", f"export {name}=… ({valid})")
    if is_fine:
        yield ok(f"{len(written)} variables of otel-ml are set" if written else "no variable of otel-ml is set")


CHECK = Check("variables", f"Are all {_PREFIX}* variables known, with values that make sense?", _examine)

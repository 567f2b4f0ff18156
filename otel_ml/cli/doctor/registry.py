"""All checks: every module in `checks` that has a CHECK. Adding one is adding a file."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from otel_ml.cli.doctor import checks
from otel_ml.cli.doctor.finding import Check, Finding, unknown

if TYPE_CHECKING:
    from otel_ml.cli.doctor.examined import Examined


def all_checks() -> list[Check]:
    """Every check, by name."""
    modules = (import_module(f"{checks.__name__}.{found.name}") for found in pkgutil.iter_modules(checks.__path__))
    found: list[Check] = [module.CHECK for module in modules]
    return sorted(found, key=lambda check: check.name)


def run(chosen: Sequence[Check], examined: Examined) -> Iterator[tuple[Check, Finding]]:
    """What each check finds, as it is found."""
    for check in chosen:
        try:
            yield from ((check, finding) for finding in check.examine(examined))
        except Exception as error:
            # Whoever asks a doctor has trouble enough: one question without an answer must not cost the others.
            what = f"the check failed: {type(error).__name__}: {error}"
            yield check, unknown(what, "This is a mistake of otel-ml, and says nothing about your telemetry.")

"""Is the processor's configuration valid?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown


def _examine(examined: Examined) -> Iterator[Finding]:
    found = examined.configuration
    if found is None:
        yield unknown("no configuration was given", "There may be a processor elsewhere.", "--config processor.yaml")
    elif found.missing:
        why = f"The processor is not installed here ({found.missing} is missing)."
        yield unknown(f"{str(examined.config)!r} was not read", why, "pip install 'otel-ml[processor]'")
    elif found.problems:
        for text in found.problems:
            yield problem(text, "The processor does not start with it.", "correct it, then: otel-ml config check FILE")
    else:
        yield ok(f"{str(examined.config)!r} is valid")


CHECK = Check("configuration", "Is the processor's configuration valid?", _examine)

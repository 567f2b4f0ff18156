"""What a check found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_ml.cli.doctor.examined import Examined
    from otel_ml.cli.otlp.problems import Explanation


class Verdict(Enum):
    """How something is."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"
    """It cannot be told."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found.

    Attributes:
        verdict: How it is.
        what: What was found.
        why: What that leads to; why it cannot be told.
        fix: Exactly what to do, if anything.
    """

    verdict: Verdict
    what: str
    why: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One question.

    Attributes:
        name: In lower case with hyphens; also the heading of its documentation.
        asks: The question, for people.
        examine: Finds the answers; at least one.
    """

    name: str
    asks: str
    examine: Callable[[Examined], Iterable[Finding]]


def ok(what: str, why: str = "") -> Finding:
    """All is well."""
    return Finding(Verdict.OK, what, why)


def problem(what: str, why: str, fix: str) -> Finding:
    """Something is wrong."""
    return Finding(Verdict.PROBLEM, what, why, fix)


def unknown(what: str, why: str, fix: str = "") -> Finding:
    """It cannot be told."""
    return Finding(Verdict.UNKNOWN, what, why, fix)


def explained(explanation: Explanation) -> Finding:
    """Something is wrong that others explain as well."""
    return problem(explanation.what, explanation.why, explanation.fix)

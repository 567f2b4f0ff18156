"""A configuration with everything that is wrong with it, each problem at its line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collector_processor.config import Configuration, load
from collector_processor.configuring.places import Places
from collector_processor.errors import InvalidConfigurationError, Problem

# Some problems name their setting in the text alone.
_LEADING_PATH: Final = re.compile(r"^([\w/.\-]+(?:::[\w/.\-]+)+)(?::|\s)")
_LINE: Final = re.compile(r"^'[^\n]*', line (\d+): ")


@dataclass(frozen=True, slots=True)
class LocatedProblem:
    """A problem, and where it stands.

    Attributes:
        file: As it was given.
        line: None where no line is to blame.
        path: The setting, from the outside in; empty where it is the file as a whole.
        text: What is wrong, and what would be valid.
    """

    file: Path
    line: int | None
    path: tuple[str, ...]
    text: str

    @property
    def where(self) -> str:
        """The file, and the line if there is one, as editors and terminals understand it."""
        return f"{self.file}:{self.line}" if self.line is not None else str(self.file)

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"

    def json(self) -> dict[str, Any]:
        """For machines."""
        return {"where": self.where, "line": self.line, "path": "::".join(self.path), "text": self.text}


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that was read: its configuration, or its problems."""

    configuration: Configuration | None
    problems: Sequence[LocatedProblem] = ()


def examine(file: Path) -> CheckedFile:
    """Read a file, with everything that it names."""
    try:
        return CheckedFile(load(file))
    except InvalidConfigurationError as error:
        places = Places.of(file)
        located = [_located(problem, file, places) for problem in error.problems]
        return CheckedFile(None, sorted(located, key=lambda one: (one.line is None, one.line or 0)))


def _located(problem: Problem, file: Path, places: Places) -> LocatedProblem:
    text, path = str(problem), problem.path
    said = _LINE.match(text)
    if not path and said is not None:
        return LocatedProblem(file, int(said[1]), (), text[said.end() :])
    leading = _LEADING_PATH.match(text)
    if not path and leading is not None:
        path = tuple(leading[1].split("::"))
    return LocatedProblem(file, places.line(path), path, text.removeprefix(f"{str(file)!r}: "))

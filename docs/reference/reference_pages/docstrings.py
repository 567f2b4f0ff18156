"""What docstrings say of single names."""

from __future__ import annotations

import ast
import inspect
import re
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Final

_ENTRY: Final = re.compile(r"^    (\w+): (.*)$")
_SECTION: Final = re.compile(r"^[A-Z]\w*:$")


def summary(described: object) -> str:
    """The first line."""
    return inspect.cleandoc(described.__doc__ or "").partition("\n")[0]


def said_of(model: type) -> dict[str, str]:
    """What the sections "Attributes:" and "Args:" say of a class, those of what it inherits from included."""
    said: dict[str, str] = {}
    for one in reversed(model.__mro__):
        said |= _entries(one.__doc__ or "")
    return said


def _entries(docstring: str) -> dict[str, str]:
    said: dict[str, str] = {}
    is_within, name = False, ""
    for line in inspect.cleandoc(docstring).splitlines():
        if _SECTION.match(line):
            is_within = line in ("Attributes:", "Args:")
            name = ""
        elif is_within and (entry := _ENTRY.match(line)):
            name = entry[1]
            said[name] = entry[2]
        elif is_within and name and line.strip():
            said[name] += f" {line.strip()}"
    return said


def said_of_constants(module: ModuleType) -> dict[str, str]:
    """What stands below each constant of a module."""
    statements = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8")).body
    said: dict[str, str] = {}
    for statement, following in pairwise(statements):
        if not (isinstance(statement, ast.Assign) and isinstance(following, ast.Expr)):
            continue
        target, value = statement.targets[0], following.value
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            said[target.id] = inspect.cleandoc(value.value)
    return said

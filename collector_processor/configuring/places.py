"""Where in a YAML file a setting stands, and which variables its value names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from collector_processor.errors import InvalidConfigurationError
from collector_processor.yaml_source import text_of

_VARIABLE: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-[^}]*)?\}")
_ESCAPED: Final = "$$"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a setting stands.

    Attributes:
        line: From 1 on; of its key, where it has one.
        variables: Environment variables that its value names.
        text: The value as it is written, where it is a scalar.
    """

    line: int
    variables: tuple[str, ...] = ()
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where everything in a file stands, by path; empty where the file is no YAML."""

    found: dict[tuple[str, ...], Place] = field(default_factory=dict)

    @classmethod
    def of(cls, file: Path) -> Places:
        """Read a file, as far as it can be read."""
        try:
            root = yaml.compose(text_of(file), yaml.SafeLoader)
            return cls(dict(_walk(root, ()))) if root is not None else cls()
        except (OSError, UnicodeDecodeError, InvalidConfigurationError, yaml.YAMLError, RecursionError):
            return cls()

    def line(self, path: tuple[str, ...]) -> int | None:
        """The line of a setting, or of the innermost one around it that is there."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.found:
                return self.found[path[:length]].line
        return None


def _walk(node: yaml.Node, path: tuple[str, ...], line: int | None = None) -> Iterator[tuple[tuple[str, ...], Place]]:
    line = node.start_mark.line + 1 if line is None else line
    if isinstance(node, yaml.ScalarNode):
        # What stands behind "$$" is no variable.
        names = _VARIABLE.findall(node.value.replace(_ESCAPED, ""))
        yield path, Place(line, tuple(dict.fromkeys(names)), node.value)
        return
    yield path, Place(line)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                yield from _walk(value, (*path, key.value), key.start_mark.line + 1)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _walk(item, (*path, str(index)))

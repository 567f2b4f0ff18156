"""Reading YAML as the Collector does: `${env:NAME:-default}` in any value, `$$` for a dollar sign."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from collector_processor.errors import InvalidConfigurationError, Problem

_REFERENCE = re.compile(r"\$\$|\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")
_STRAY = re.compile(r"\$\{[^}]*\}?")

# What is longer is something else, such as a device that never ends.
_LARGEST: Final = 4_000_000


def read(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], list[Problem]]:
    """The mapping in a YAML file, its variables replaced, and the problems found while replacing them.

    Raises:
        InvalidConfigurationError: The file cannot be read, or holds no mapping.
    """
    try:
        text = text_of(path)
    except OSError as error:
        raise _invalid(f"{str(path)!r}: cannot be read: {error.strerror} (a YAML file)") from error
    except UnicodeDecodeError as error:
        raise _invalid(f"{str(path)!r}: is not UTF-8 text (a YAML file)") from error
    return parse(text, str(path), environment)


def parse(text: str, source: str, environment: Mapping[str, str] = os.environ) -> tuple[dict[str, Any], list[Problem]]:
    """As `read`, of a text.

    Args:
        source: What to call it.

    Raises:
        InvalidConfigurationError: It holds no mapping.
    """
    try:
        loaded = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader, below
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "not YAML"
        raise _invalid(f"{source!r}{where}: {what} (valid YAML)") from error
    if not isinstance(loaded, dict):
        raise _invalid(f"{source!r}: holds no mapping (receivers, processors, exporters, service)")
    problems: list[Problem] = []
    return _replaced(loaded, (), environment, problems), problems


def text_of(path: Path) -> str:
    """What is in a file.

    Raises:
        OSError: It cannot be read.
        UnicodeDecodeError: It is no text.
        InvalidConfigurationError: It is too long to be a configuration.
    """
    with path.open(encoding="utf-8") as file:
        text = file.read(_LARGEST + 1)
    if len(text) > _LARGEST:
        raise _invalid(f"{str(path)!r}: is longer than {_LARGEST:,} characters (a YAML file)")
    return text


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice, where YAML would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} stands there twice", key_node.start_mark)
            seen.add(key if isinstance(key, str) else repr(key))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _invalid(what: str) -> InvalidConfigurationError:
    return InvalidConfigurationError([Problem((), what)])


def _replaced(value: Any, path: tuple[str, ...], environment: Mapping[str, str], problems: list[Problem]) -> Any:
    if isinstance(value, dict):
        return {str(key): _replaced(item, (*path, str(key)), environment, problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, (*path, str(index)), environment, problems) for index, item in enumerate(value)]
    if not isinstance(value, str) or "$" not in value:
        return value

    def lookup(match: re.Match[str]) -> str:
        name, default = match[1], match[2]
        if name is None:
            return "$"
        # As in a shell, ":-" also replaces what is set but empty.
        found = environment.get(name) or default
        if found is None:
            problems.append(
                Problem(path, f"environment variable {name!r} is not set (set it, or write ${{env:{name}:-default}})")
            )
            return ""
        return found

    stray = _STRAY.search(_REFERENCE.sub("", value))
    if stray:
        problems.append(Problem(path, f"{stray[0]!r} is not understood (${{env:NAME}} or ${{env:NAME:-default}})"))
    replaced = _REFERENCE.sub(lookup, value)
    whole = _REFERENCE.fullmatch(value)
    # A value that is one variable and no more may be a number or a truth value.
    return _scalar(replaced) if whole and whole[1] else replaced


def _scalar(text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool | int | float) else text

"""Plain data as YAML that people read: block style, texts of several lines as they are.

The command line does without a YAML library, and what is written here is of a shape that we know: mappings with plain
keys, sequences, texts, whole numbers and truth values. Texts are quoted as JSON, which is YAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

# Neither a number, a truth value, null, nor anything with a meaning to YAML.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))


def yaml_text(document: Mapping[str, Any], comment: str = "") -> str:
    """The document, below a comment."""
    heading = [f"# {line}".rstrip() for line in comment.splitlines()]
    return "\n".join((*heading, *_mapping(document, ""))) + "\n"


def _mapping(mapping: Mapping[str, Any], indent: str) -> Iterator[str]:
    for key, value in mapping.items():
        yield from _entry(f"{indent}{_scalar(key)}:", value, indent)


def _sequence(items: list[Any] | tuple[Any, ...], indent: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, Mapping) and item:
            lines = _mapping(item, indent + "  ")
            yield f"{indent}- {next(lines).lstrip()}"
            yield from lines
        else:
            yield f"{indent}- {_scalar(item)}"


def _entry(head: str, value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        yield head
        yield from _mapping(value, indent + "  ")
    elif isinstance(value, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in value):
        yield head
        yield from _sequence(value, indent + "  ")
    elif isinstance(value, str) and _is_read_better_as_it_is(value):
        yield f"{head} |-"
        yield from (f"{indent}  {line}" for line in value.split("\n"))
    else:
        yield f"{head} {_scalar(value)}"


def _is_read_better_as_it_is(text: str) -> bool:
    """Whether a block holds the text without loss: a query full of quotation marks, say."""
    lines = text.split("\n")
    return (len(lines) > 1 or '"' in text) and all(line.isprintable() and line == line.strip() != "" for line in lines)


def _scalar(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_scalar, value))}]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return "".join(map(_shown, json.dumps(value, ensure_ascii=False)))


def _shown(character: str) -> str:
    # YAML wants what JSON leaves as it is: DEL, and everything beyond Latin that nobody sees.
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"

"""Markdown as GitHub reads it, in which whatever comes from the code stands for itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_ENTITIES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
_ESCAPED: Final = frozenset("\\`*[]~$")
_WORD: Final = re.compile(r'"([^\s"`]+)"')
_NOT_IN_AN_ANCHOR: Final = re.compile(r"[^a-z0-9_]+")


def literal(text: str) -> str:
    """The text itself: nothing in it is markup."""
    return "".join(_literal(text))


def _literal(text: str) -> Iterator[str]:
    text = " ".join(text.split())
    for position, character in enumerate(text):
        around = text[max(position - 1, 0) : position + 2]
        # Within a word an underscore is just that.
        is_loose = character == "_" and not (len(around) == 3 and around[0].isalnum() and around[2].isalnum())
        is_escaped = character in _ESCAPED or is_loose
        yield f"\\{character}" if is_escaped else _ENTITIES.get(character, character)


def code(text: str) -> str:
    """The text as code, also within a table."""
    if not text or set(text) & set("`|\n") or text != text.strip():
        return f"<code>{literal(text)}</code>"
    return f"`{text}`"


def prose(text: str) -> str:
    """What a docstring says: code where it says `code`, or "word" of a value, and otherwise text."""
    parts = _WORD.sub(r"`\1`", text).split("`")
    if len(parts) % 2 == 0:
        # A backtick that opens nothing is a backtick.
        return literal(text)
    return "".join(code(part) if index % 2 else _spaced(part) for index, part in enumerate(parts))


def _spaced(part: str) -> str:
    before = " " if part[:1].isspace() else ""
    after = " " if part[-1:].isspace() and part.strip() else ""
    return f"{before}{literal(part)}{after}"


def sentence(text: str) -> str:
    """The same, with an end."""
    said = prose(text)
    return said if not said or said.endswith((".", "…", ":", "?", "!")) else f"{said}."


def anchor(name: str) -> str:
    """What a link to a row of a table names: `#` and this."""
    return _NOT_IN_AN_ANCHOR.sub("-", name.lower()).strip("-")


def anchored(name: str, *, prefix: str = "", shown: str | None = None) -> str:
    """A name as code, to which a link may lead."""
    return f'<a id="{anchor(prefix + name)}"></a>{code(name if shown is None else shown)}'


def number(value: float) -> str:
    """A number as people write it: 65,535 or 0.1."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table, and an empty one."""
    yield f"| {' | '.join(titles)} |"
    yield f"|{'---|' * len(titles)}"
    for row in rows:
        # An empty cell takes one space, as somebody would write it.
        yield "|" + "|".join(f" {cell} " if cell else " " for cell in row) + "|"
    yield ""


def written_from(what: str) -> Iterator[str]:
    """The comment that keeps people from editing the page."""
    yield f"<!-- Written by `python docs/reference/generate.py` from {what}: change it there. -->"
    yield ""

"""Strangers' text in markup: escaped, and shortened to what there is room for."""

from __future__ import annotations

import html
import re
from typing import Final

# Not allowed in XML 1.0, in no form; and what turns the direction of all the text behind it.
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]")
_COMMANDS: Final = re.compile(f"{_FORBIDDEN.pattern}|[\x7f-\x9f]")
_REPLACEMENT: Final = "\ufffd"


def escaped(text: str) -> str:
    """The text as it may stand in HTML and XML, between tags and in quoted attributes, whatever it holds."""
    return html.escape(_FORBIDDEN.sub(_REPLACEMENT, text))


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters of a text, on one line; an ellipsis tells that there were more.

    What commands a terminal is replaced: a column may be called anything.
    """
    on_one_line = _COMMANDS.sub(_REPLACEMENT, " ".join(text.split()) or text[:1])
    return on_one_line if len(on_one_line) <= limit else f"{on_one_line[: max(limit - 1, 1)].rstrip()}…"

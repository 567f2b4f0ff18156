"""Saying which name was probably meant."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN = 8


def unknown(what: str, name: str, known: Sequence[str]) -> str:
    """The sentence for a name that is not among those known, with the nearest one.

    Args:
        what: What is named: "column", "feature".
        name: The name that is unknown.
        known: Those that would be valid.
    """
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    sentence = f"{what} {name!r} does not exist ({what}s: {shown or 'none'})"
    nearest = get_close_matches(name, known, n=1) or [other for other in known if other.lower() == name.lower()]
    return f"{sentence}; did you mean {nearest[0]!r}?" if nearest else sentence

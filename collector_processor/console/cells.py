"""Rows of heat tables as HTML.

In Python and not in a template: a month of 200 columns is 12,000 cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from markupsafe import Markup, escape

from collector_processor.console.page import address
from collector_processor.history import LARGEST_MAGNITUDE, Flag

# A cell says more where its score is near the threshold, or where something was told.
_LINKED: Final = 3
_FIRES: Final = Flag.FIRING | Flag.BAD_VALUES_FIRING
_BAD: Final = Flag.BAD_VALUES | Flag.BAD_VALUES_FIRING


def magnitude(value: float | None) -> str:
    """How many times its threshold a score is, as far as it is kept."""
    if value is None:
        return "\N{EN DASH}"
    told = f"≥ {LARGEST_MAGNITUDE:g}" if value >= LARGEST_MAGNITUDE else f"{value:.2g}"
    return f"{told}\N{MULTIPLICATION SIGN}"


def heat_cells(
    row: Mapping[str, Any], clocks: Sequence[str], times: Sequence[int], path: str, **where: object
) -> Markup:
    """The cells of one row.

    Args:
        row: `levels`, `flags` and `magnitudes`, one for each moment.
        clocks: The moments, as people read them.
        where: Parameters of the address that a cell leads to, beside its moment.
    """
    link = escape(address(path, **where, at=""))
    found = []
    for step, flag, value, clock, time in zip(
        row["levels"], row["flags"], row["magnitudes"], clocks, times, strict=True
    ):
        classes = (
            f"cell{f' ml-level-{step}' if step else ''}{' fires' if flag & _FIRES else ''}"
            f"{' bad' if flag & _BAD else ''}{' unknown' if value is None else ''}"
        )
        content = ""
        if step >= _LINKED or flag:
            told = magnitude(value)
            content = (
                f'<a href="{link}{time}" tabindex="-1" title="{clock}: {told}"><span class="unseen">{told}</span></a>'
            )
        found.append(f'<td class="{classes}">{content}</td>')
    return Markup("".join(found))  # noqa: S704 - names are in the link alone, which is escaped

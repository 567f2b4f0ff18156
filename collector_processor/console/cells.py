"""Rows of heat tables as HTML.

In Python and not in a template: a month of 200 columns is 12,000 cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Final

from markupsafe import Markup, escape

from collector_processor.console.page import address
from collector_processor.history import LARGEST_MAGNITUDE, Flag

# A cell says more where its score is near the threshold, or where something was told.
_LINKED: Final = 3
# Numbers: what flags do with flags takes longer than all the rest of a cell.
_FIRES: Final = int(Flag.FIRING | Flag.BAD_VALUES_FIRING)
_BAD: Final = int(Flag.BAD_VALUES | Flag.BAD_VALUES_FIRING)
_NOTHING: Final = "\N{EN DASH}"


def magnitude(value: float | None) -> str:
    """How many times its threshold a score is, as far as it is kept."""
    if value is None:
        return _NOTHING
    told = f"≥ {LARGEST_MAGNITUDE:g}" if value >= LARGEST_MAGNITUDE else f"{value:.2g}"
    return f"{told}\N{MULTIPLICATION SIGN}"


def utc(nanoseconds: int) -> datetime | None:
    """A moment; None for one that is beyond what calendars hold."""
    try:
        return datetime.fromtimestamp(nanoseconds / 1e9, tz=timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


# All rows of a table have the same windows.
@lru_cache(maxsize=10_000)
def clock(nanoseconds: int) -> str:
    """A time, and its day without the year."""
    found = utc(nanoseconds)
    return _NOTHING if found is None else f"{found:%m-%d %H:%M:%S} UTC"


def heat_cells(row: Mapping[str, Any], windows: Sequence[int], path: str, **where: object) -> Markup:
    """The cells of one row, each a link to its worst window.

    Args:
        row: `levels`, `flags`, `magnitudes` and `worst_windows`, one for each cell.
        windows: How many of them each cell stands for.
        where: Parameters of the address that a cell leads to, beside its moment.
    """
    link = escape(address(path, **where, at=""))
    found = []
    for step, flag, value, worst, count in zip(
        row["levels"], row["flags"], row["magnitudes"], row["worst_windows"], windows, strict=True
    ):
        classes = (
            f"cell{f' ml-level-{step}' if step else ''}{' fires' if flag & _FIRES else ''}"
            f"{' bad' if flag & _BAD else ''}{' unknown' if value is None else ''}"
        )
        content = ""
        if step >= _LINKED or flag:
            told = magnitude(value)
            title = (
                f"{clock(worst)}: {told}"
                if count == 1
                else f"up to {told} in {count:,} windows; leads to the worst of them, {clock(worst)}"
            )
            content = f'<a href="{link}{worst}" tabindex="-1" title="{title}"><span class="unseen">{told}</span></a>'
        found.append(f'<td class="{classes}">{content}</td>')
    return Markup("".join(found))  # noqa: S704 - names are in the link alone, which is escaped

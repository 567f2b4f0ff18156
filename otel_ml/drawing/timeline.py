"""A series over time, with what happened meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final, Literal, NamedTuple

from otel_ml.drawing.markup import escaped, shortened
from otel_ml.drawing.numerals import numeral, round_steps
from otel_ml.drawing.palette import LIGHT
from otel_ml.drawing.sparkline import pieces
from otel_ml.drawing.svg import label, line, picture

_LEFT: Final = 52.0
_RIGHT: Final = 12.0
_TOP: Final = 24.0
_BOTTOM: Final = 24.0
_TICKS: Final = 4
_TIMES: Final = 8
_BAR: Final = 5.0
_DAY: Final = 86_400
_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200),
    *(_DAY * days for days in (1, 2, 7, 14, 28, 91, 182, 365, 3652)),
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened.

    Attributes:
        start_unix_s: When it began.
        label: What it was, for people.
        end_unix_s: When it ended; None while it lasts, and of what has no length.
        kind: An alert is a bar, the arrival of a version a line.
    """

    start_unix_s: float
    label: str
    end_unix_s: float | None = None
    kind: Literal["alert", "version"] = "alert"


class _Area(NamedTuple):
    """Where the line is, in the units of the picture, and what it shows."""

    left: float
    right: float
    top: float
    bottom: float
    first: float
    last: float
    highest: float

    def x(self, time: float) -> float:
        part = (time - self.first) / (self.last - self.first)
        return self.left + (self.right - self.left) * min(max(part, 0.0), 1.0)

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - self.top) * min(max(value / self.highest, 0.0), 1.0)


def timeline(
    times_unix_s: Sequence[float],
    values: Sequence[float],
    *,
    on: float | None,
    off: float | None,
    marks: Sequence[Mark] = (),
    title: str = "",
    width: int = 720,
    height: int = 220,
) -> str:
    """A line through values over time (UTC), as SVG that may stand in a page, with gaps where there are none (NaN).

    Args:
        times_unix_s: Increasing, finite.
        values: One for each time, from 0 on; what is infinite is drawn at the top.
        on: The threshold above which an alert begins, drawn as a dashed line.
        off: The one below which it ends, drawn as a dotted line.
        marks: Drawn as bars at the bottom (alerts) and as upright lines (versions).
        title: What is shown, for who cannot see it.

    Raises:
        ValueError: There are more times than values, or fewer.
    """
    if len(times_unix_s) != len(values):
        raise ValueError(f"values: {len(values)} of them (expected one for each of the {len(times_unix_s)} times)")
    finite = [value for value in (*values, on or 0.0, off or 0.0) if math.isfinite(value)]
    steps = round_steps(max(finite), _TICKS)
    first = float(times_unix_s[0]) if len(times_unix_s) else 0.0
    last = max(float(times_unix_s[-1]), first + 1.0) if len(times_unix_s) else 1.0
    area = _Area(_LEFT, width - _RIGHT, _TOP, height - _BOTTOM, first, last, steps[-1])
    points = [
        None if math.isnan(value) else (area.x(time), area.y(value))
        for time, value in zip(times_unix_s, values, strict=True)
    ]
    return picture(
        width,
        height,
        title=title or "Values over time",
        description=_described(values, on, marks),
        parts=(
            *_scale(area, steps),
            *(_times(area) if len(times_unix_s) else ()),
            *_thresholds(area, on, off),
            *_marks(area, marks),
            *pieces(points),
        ),
    )


def _described(values: Sequence[float], on: float | None, marks: Sequence[Mark]) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "No values."
    told = f"{len(known):,} values, the last {numeral(known[-1], 3)}, the highest {numeral(max(known), 3)}."
    if on is not None:
        above = sum(value > on for value in known)
        told += f" {above:,} of them above the threshold of {numeral(on, 3)}."
    alerts = sum(mark.kind == "alert" for mark in marks)
    return f"{told} {alerts:,} {'alert' if alerts == 1 else 'alerts'}." if alerts else told


def _scale(area: _Area, steps: Sequence[float]) -> Iterator[str]:
    for step in steps:
        y = area.y(step)
        yield line("ml-axis", "line", area.left, y, area.right, y)
        yield label(area.left - 6, y + 4, numeral(step, 3), anchor="end")


def _times(area: _Area) -> Iterator[str]:
    span = area.last - area.first
    step = next((step for step in _STEPS_S if span / step <= _TIMES), span / _TIMES)
    pattern = "%H:%M:%S" if step < 60 else "%H:%M" if step < _DAY else "%b %d" if step < 182 * _DAY else "%b %Y"
    for position in range(math.ceil(area.first / step), math.floor(area.last / step) + 1):
        time = position * step
        # A day that begins says which it is.
        begins = step < _DAY and time % _DAY == 0
        x = area.x(time)
        yield line("ml-axis", "line", x, area.bottom, x, area.bottom + 4)
        yield label(x, area.bottom + 16, _clock(time, "%b %d" if begins else pattern))


def _clock(unix_s: float, pattern: str) -> str:
    try:
        return (_EPOCH + timedelta(seconds=unix_s)).strftime(pattern)
    except (OverflowError, ValueError):
        return numeral(unix_s)


def _thresholds(area: _Area, on: float | None, off: float | None) -> Iterator[str]:
    if off is not None and math.isfinite(off):
        y = area.y(off)
        yield f"<g><title>off below {numeral(off, 3)}</title>"
        yield line("ml-threshold ml-threshold-off", "threshold", area.left, y, area.right, y, dashes="1 3")
        yield "</g>"
    if on is not None and math.isfinite(on):
        y = area.y(on)
        yield f"<g><title>on above {numeral(on, 3)}</title>"
        yield line("ml-threshold", "threshold", area.left, y, area.right, y, dashes="5 3")
        yield "</g>"


def _marks(area: _Area, marks: Sequence[Mark]) -> Iterator[str]:
    for mark in marks:
        end = area.last if mark.end_unix_s is None else mark.end_unix_s
        if mark.start_unix_s > area.last or (mark.kind == "alert" and end < area.first):
            continue
        x = area.x(mark.start_unix_s)
        told = f"{_clock(mark.start_unix_s, '%Y-%m-%d %H:%M')} {mark.label}"
        yield f"<g><title>{escaped(told)}</title>"
        if mark.kind == "alert":
            width = max(area.x(end) - x, 2.0)
            yield (
                f'<rect class="ml-alert" fill="{LIGHT["alert"]}" x="{x:.1f}" y="{area.bottom - _BAR:.1f}"'
                f' width="{width:.1f}" height="{_BAR:g}"/>'
            )
        else:
            yield line("ml-version", "muted", x, area.top - 6, x, area.bottom, dashes="2 2")
            near_end = x > (area.left + area.right) / 2
            yield label(x, area.top - 10, shortened(mark.label, 24), anchor="end" if near_end else "start")
        yield "</g>"

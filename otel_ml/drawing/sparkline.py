"""A series as small as a word."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from otel_ml.drawing.numerals import numeral
from otel_ml.drawing.palette import LIGHT
from otel_ml.drawing.svg import line, picture

_MARGIN: Final = 2.0


def sparkline(values: Sequence[float], *, width: int = 120, height: int = 28, threshold: float | None = None) -> str:
    """A line through a series, as SVG that may stand in a page; with gaps where there is no value (NaN).

    Args:
        values: At equal distances, the oldest first, from 0 on; what is infinite is drawn at the top.
        threshold: Drawn as a dashed line, where there is one.
    """
    finite = [value for value in values if math.isfinite(value)]
    bounds = [*finite, 0.0] if threshold is None else [*finite, 0.0, threshold]
    low, high = min(bounds), max(bounds)
    span = high - low
    steps = max(len(values) - 1, 1)

    def y(value: float) -> float:
        if math.isinf(span):
            part = (value / 2 - low / 2) / (high / 2 - low / 2)
        else:
            part = (value - low) / span if span else 0.0
        return height - _MARGIN - (height - 2 * _MARGIN) * min(max(part, 0.0), 1.0)

    drawn: list[str] = []
    if threshold is not None:
        drawn.append(line("ml-threshold", "threshold", 0, y(threshold), width, y(threshold), dashes="5 3"))
    points = [
        None if math.isnan(value) else (_MARGIN + (width - 2 * _MARGIN) * position / steps, y(value))
        for position, value in enumerate(values)
    ]
    drawn.extend(pieces(points))
    return picture(width, height, title=_described(values, threshold), parts=drawn)


def pieces(points: Sequence[tuple[float, float] | None]) -> list[str]:
    """Lines through neighbouring points, and a dot for each that has no neighbour; None is a gap."""
    found = []
    colour = LIGHT["reference"]
    for is_gap, group in groupby(points, key=lambda point: point is None):
        run = [point for point in group if point is not None]
        if is_gap:
            continue
        if len(run) == 1:
            x, y = run[0]
            found.append(f'<circle class="ml-point" fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2"/>')
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in run)
            found.append(
                f'<polyline class="ml-line" fill="none" stroke="{colour}" stroke-width="1.75" points="{path}"/>'
            )
    return found


def _described(values: Sequence[float], threshold: float | None) -> str:
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "no values"
    told = f"last {numeral(known[-1], 3)}, highest {numeral(max(known), 3)}"
    return told if threshold is None else f"{told}, threshold {numeral(threshold, 3)}"

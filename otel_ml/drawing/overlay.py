"""Two distributions over each other: how a column was, and how it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from otel_ml.drawing.frame import UNSEEN, Frame
from otel_ml.drawing.markup import escaped, shortened
from otel_ml.drawing.numerals import numeral, numerals, percent, round_steps
from otel_ml.drawing.palette import LIGHT
from otel_ml.drawing.svg import label, line, picture
from otel_ml.sketch.sketch import FloatArray

_LEFT: Final = 44.0
_RIGHT: Final = 10.0
_TOP: Final = 30.0
_BELOW_NUMBERS: Final = 24.0
_BELOW_SLANTED: Final = 64.0
_CHARACTER: Final = 6.2
"""Width of one, about; of the widest ones it is more, for which there is a margin."""
_LONGEST_NAME: Final = 14
_NEW: Final = "new"
_TICKS: Final = 4
_NOTHING: Final = 1e-9
_SAME: Final = 0.0005
_WIDEST: Final = 96.0
# The reference is as wide as there is room, the current values stand in front of it: neither hides the other, in
# colours or without.
_REFERENCE_WIDTH: Final = 0.9
_CURRENT_WIDTH: Final = 0.46


class _Area(NamedTuple):
    """Where the bars stand, in the units of the picture."""

    left: float
    right: float
    top: float
    bottom: float
    bins: int
    highest: float

    @property
    def slot(self) -> float:
        return (self.right - self.left) / self.bins

    def x(self, position: float) -> float:
        return self.left + position * self.slot

    def y(self, share: float) -> float:
        return self.bottom - (self.bottom - self.top) * share / self.highest


def overlay(
    frame: Frame,
    current: FloatArray | None,
    *,
    title: str,
    reference_count: int,
    current_count: int,
    width: int = 560,
    height: int = 220,
    is_alone: bool = False,
) -> str:
    """Bars of the reference, and of current values in front of them, as SVG that may stand in a page.

    It has neither scripts nor styles, refers to nothing outside, and tells the shares of a bin on pointing at it.

    Args:
        frame: The bins, and the reference's shares.
        current: (bins,) shares of the current values, as `Frame.of` gives them; None where there are none.
        title: What is shown, for who cannot see it.
        reference_count: Values behind the reference; 0 where there is none, and the frame is that of current values.
        current_count: Values behind `current`.
        width: In pixels, where there is room for it; likewise `height`.
        is_alone: Whether nobody expects current values, so that their absence needs no words.

    Raises:
        ValueError: `current` has another number of bins.
    """
    if current is not None and len(current) != len(frame.shares):
        expected = f"expected one for each of the {len(frame.shares)} bins of the frame"
        raise ValueError(f"current: {len(current)} shares ({expected})")
    names, was, now = _shown(frame, current)
    steps = round_steps(float(max(was.max(), 0.0 if now is None else now.max())), _TICKS)
    # Among numbers, short ones.
    labels = [_NEW if name == UNSEEN and frame.is_numeric else name for name in names]
    are_counted = frame.is_numeric or all(name.isdigit() for name in labels[:-1])
    is_slanted = not are_counted and not _fit(labels, (width - _LEFT - _RIGHT) / len(was))
    bottom = height - (_BELOW_SLANTED if is_slanted else _BELOW_NUMBERS)
    area = _Area(_LEFT, width - _RIGHT, _TOP, bottom, len(was), steps[-1])
    return picture(
        width,
        height,
        title=title,
        description=described(frame, current, has_reference=reference_count > 0, is_alone=is_alone),
        parts=(
            *_scale(area, steps),
            *_bars(area, names, was if reference_count else None, now),
            *(_edge_labels(area, frame) if _has_edges(frame) else _names(area, labels, is_slanted=is_slanted)),
            *_legend(area, reference_count, current_count if current is not None else 0, is_alone=is_alone),
        ),
    )


def described(frame: Frame, current: FloatArray | None, *, has_reference: bool = True, is_alone: bool = False) -> str:
    """What a picture of these shares shows above all, in one sentence."""
    if current is None or not has_reference:
        shares, whose = (frame.shares, "the baseline") if current is None else (current, "the current values")
        position = int(np.argmax(shares))
        nothing = "" if is_alone else f"No {'current values' if current is None else 'baseline'}. "
        return f"{nothing}{percent(float(shares[position]))} of {whose} are in {frame.names[position]}."
    # Of two that are equal but for their rounding, the first.
    position = int(np.argmax(np.abs(current - frame.shares).round(9)))
    was, now = float(frame.shares[position]), float(current[position])
    if abs(now - was) < _SAME:
        return "Baseline and current values have the same shares in every bin."
    return f"The largest difference is in {frame.names[position]}: {percent(was)} of the baseline, {percent(now)} now."


def _shown(frame: Frame, current: FloatArray | None) -> tuple[Sequence[str], FloatArray, FloatArray | None]:
    """Names and shares of the bins, without that of what is new where nothing is."""
    is_empty = frame.shares[-1] < _NOTHING and (current is None or current[-1] < _NOTHING)
    if _has_edges(frame) or not is_empty or len(frame.shares) == 1:
        return frame.names, frame.shares, current
    return frame.names[:-1], frame.shares[:-1], None if current is None else current[:-1]


def _has_edges(frame: Frame) -> bool:
    return frame.is_numeric and not len(frame.points)


def _fit(names: Sequence[str], slot: float) -> bool:
    return (max(map(len, names)) + 0.5) * _CHARACTER <= slot


def _scale(area: _Area, steps: Sequence[float]) -> Iterator[str]:
    for step in steps:
        y = area.y(step)
        yield line("ml-axis", "line", area.left, y, area.right, y)
        yield label(area.left - 6, y + 4, f"{numeral(100 * step, 3)}%", anchor="end")


def _bars(area: _Area, names: Sequence[str], was: FloatArray | None, now: FloatArray | None) -> Iterator[str]:
    for position, name in enumerate(names):
        told = [] if was is None else [f"baseline {percent(float(was[position]))}"]
        told += [] if now is None else [f"current {percent(float(now[position]))}"]
        yield f"<g><title>{escaped(f'{name}: ' + ', '.join(told))}</title>"
        yield (
            f'<rect class="ml-slot" fill="none" pointer-events="all" x="{area.x(position):.2f}" y="{area.top:g}"'
            f' width="{area.slot:.2f}" height="{area.bottom - area.top:g}"/>'
        )
        look = f'class="ml-reference" fill="{LIGHT["reference-fill"]}" stroke="{LIGHT["reference"]}"'
        if was is not None:
            yield _bar(area, position, float(was[position]), _REFERENCE_WIDTH, look)
        if now is not None:
            look = f'class="ml-current" fill="{LIGHT["current"]}"'
            yield _bar(area, position, float(now[position]), _CURRENT_WIDTH, look)
        yield "</g>"


def _bar(area: _Area, position: int, share: float, part: float, look: str) -> str:
    if share < _NOTHING:
        return ""
    # What is there is seen, however little it is.
    height = max(area.bottom - area.y(share), 1.0)
    width = min(area.slot, _WIDEST) * part
    x = area.x(position + 0.5) - width / 2
    return (
        f'<rect {look} x="{x:.2f}" y="{area.bottom - height:.2f}" width="{width:.2f}"'
        f' height="{height:.2f}" pointer-events="none"/>'
    )


def _edge_labels(area: _Area, frame: Frame) -> Iterator[str]:
    """Numbers between the bins, where there is room for them."""
    inner = frame.edges[1:-1].tolist()
    if not inner:
        yield label((area.left + area.right) / 2, area.bottom + 16, frame.names[0])
        return
    labels = numerals(inner)
    fewest = _every(labels, area.slot)
    # Those that are told in the fewest digits: 0 and 0.5 rather than 0.25 and 0.75.
    ways = [(every, first) for every in range(fewest, fewest + 3) for first in range(min(every, len(labels)))]
    every, first = min(ways, key=lambda way: float(np.mean([len(text) for text in labels[way[1] :: way[0]]])))
    for position in range(first, len(labels), every):
        x = area.x(position + 1)
        yield line("ml-axis", "line", x, area.bottom, x, area.bottom + 4)
        yield label(x, area.bottom + 16, labels[position])


def _names(area: _Area, names: Sequence[str], *, is_slanted: bool) -> Iterator[str]:
    """A name below each bin; of numbers and hours that have no room some are left out, of others the ends."""
    if is_slanted:
        for position, name in enumerate(names):
            shown = shortened(name, _LONGEST_NAME)
            x, y = area.x(position + 0.5) + 3, area.bottom + 12
            yield label(x, y, shown, anchor="end", full=name, turn=-35)
        return
    every = 1 if _fit(names, area.slot) else _every(names, area.slot)
    last = len(names) - 1
    for position, name in enumerate(names):
        is_in_the_way = last - every < position < last and names[last] == _NEW
        if (position % every == 0 and not is_in_the_way) or (position == last and name == _NEW):
            yield label(area.x(position + 0.5), area.bottom + 16, name)


def _every(labels: Sequence[str], slot: float) -> int:
    room = (max(map(len, labels)) + 1.5) * _CHARACTER
    return max(1, int(np.ceil(room / slot)))


def _legend(area: _Area, reference_count: int, current_count: int, *, is_alone: bool) -> Iterator[str]:
    reference = f"baseline, {reference_count:,} values" if reference_count else "no baseline"
    yield (
        f'<rect class="ml-reference" fill="{LIGHT["reference-fill"]}" stroke="{LIGHT["reference"]}"'
        f' x="{area.left:g}" y="5" width="12" height="12"/>'
    )
    yield label(area.left + 18, 15, reference, anchor="start")
    x = area.left + 18 + (len(reference) + 4) * _CHARACTER
    if current_count:
        yield f'<rect class="ml-current" fill="{LIGHT["current"]}" x="{x:.2f}" y="5" width="12" height="12"/>'
        yield label(x + 18, 15, f"current, {current_count:,} values", anchor="start")
    elif not is_alone:
        yield label(x, 15, "no current values", anchor="start")

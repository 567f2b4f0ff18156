"""The parts of a picture: SVG whose colours a style sheet may change, and that needs none.

Colours stand in presentation attributes, which any rule of CSS overrides; nothing here is an inline style, which a
strict content security policy forbids.
"""

from __future__ import annotations

from collections.abc import Iterable

from otel_ml.drawing.markup import escaped
from otel_ml.drawing.palette import LIGHT


def picture(width: int, height: int, *, title: str, description: str = "", parts: Iterable[str]) -> str:
    """A whole picture, which becomes smaller with its surroundings where a style sheet says so.

    Args:
        width: In pixels; likewise `height`.
        title: What it shows, for who cannot see it.
        description: What it tells, in a sentence or two.
        parts: Markup.
    """
    told = f"<desc>{escaped(description)}</desc>" if description else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ml-picture" role="img" viewBox="0 0 {width} {height}"'
        f' width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="11">'
        f"<title>{escaped(title)}</title>{told}{''.join(parts)}</svg>"
    )


def line(kind: str, colour: str, x1: float, y1: float, x2: float, y2: float, *, dashes: str = "") -> str:
    """A straight line; `kind` names its classes, `colour` one of the palette."""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return (
        f'<line class="{kind}" stroke="{LIGHT[colour]}"{dashed} x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}"'
        f' y2="{y2:.2f}"/>'
    )


def label(x: float, y: float, text: str, *, anchor: str = "middle", full: str = "", turn: float = 0.0) -> str:
    """A line of text.

    Args:
        anchor: Which part of it is at x: "start", "middle" or "end".
        full: What to show on pointing at it, where that is more.
        turn: Degrees by which it is turned around its anchor, clockwise.
    """
    told = f"<title>{escaped(full)}</title>" if full and full != text else ""
    turned = f' transform="rotate({turn:g} {x:.2f} {y:.2f})"' if turn else ""
    return (
        f'<text class="ml-label" fill="currentColor" text-anchor="{anchor}" x="{x:.2f}" y="{y:.2f}"{turned}>'
        f"{escaped(text)}{told}</text>"
    )

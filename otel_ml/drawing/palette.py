"""Colours, by name: those of Okabe and Ito, which the colour-blind tell apart, and a hue for magnitudes.

Each name is a custom property of CSS, light or dark as its surroundings are: those of a browser, of JupyterLab, of
Visual Studio Code, or as a page says by `data-theme`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

LEVELS: Final = 7
"""How many steps the hue for magnitudes has."""
LEVEL_BOUNDS: Final = (0.25, 0.5, 1.0, 1.5, 2.5, 4.0)
"""Multiples of its threshold above which a score has the next level: from the fourth on it is beyond the threshold."""

LIGHT: Final[Mapping[str, str]] = MappingProxyType(
    {
        "surface": "#ffffff",
        "raised": "#f6f7f9",
        "text": "#1b2028",
        "muted": "#596170",
        "line": "#d5d9e0",
        "reference": "#0072b2",
        "reference-fill": "#cfe4f3",
        "current": "#d55e00",
        "threshold": "#8c2d6b",
        "alert": "#b3261e",
        "good": "#00664a",
        "level-1": "#faf3e3",
        "level-2": "#f8e3b8",
        "level-3": "#f5c069",
        "level-4": "#ec9638",
        "level-5": "#bb4e00",
        "level-6": "#7d2c00",
        "on-level-1": "#1b2028",
        "on-level-2": "#1b2028",
        "on-level-3": "#1b2028",
        "on-level-4": "#1b2028",
        "on-level-5": "#ffffff",
        "on-level-6": "#ffffff",
    }
)
"""On white paper."""
DARK: Final[Mapping[str, str]] = MappingProxyType(
    {
        "surface": "#14171c",
        "raised": "#1d2128",
        "text": "#e7eaef",
        "muted": "#a0a9b8",
        "line": "#363c47",
        "reference": "#56b4e9",
        "reference-fill": "#1d4260",
        "current": "#f0913a",
        "threshold": "#d99ac4",
        "alert": "#ff8a80",
        "good": "#4fd1a5",
        "level-1": "#29241b",
        "level-2": "#42331a",
        "level-3": "#6a4a14",
        "level-4": "#8f5b0e",
        "level-5": "#e0872a",
        "level-6": "#ffc078",
        "on-level-1": "#e7eaef",
        "on-level-2": "#e7eaef",
        "on-level-3": "#ffffff",
        "on-level-4": "#ffffff",
        "on-level-5": "#14171c",
        "on-level-6": "#14171c",
    }
)
"""On a dark screen."""

_DARK_SURROUNDINGS: Final = (
    ':root[data-theme="dark"], body[data-jp-theme-light="false"], body.vscode-dark, body.vscode-high-contrast'
)
_LIGHT_SURROUNDINGS: Final = ':root[data-theme="light"], body[data-jp-theme-light="true"], body.vscode-light'


def colour(name: str) -> str:
    """How CSS reads a colour: its custom property, or what it is on white paper where nothing defines that."""
    return f"var(--ml-{name}, {LIGHT[name]})"


def level(score: float, threshold: float) -> int:
    """From 0 to 6, how far a score is towards its threshold and beyond it; above 2 exactly where it exceeds it.

    0 as well where there is no score (NaN).
    """
    if math.isnan(score) or score <= 0:
        return 0
    if not threshold > 0:
        return LEVELS - 1
    return sum(score > bound * threshold for bound in LEVEL_BOUNDS)


def properties() -> str:
    """The rules of CSS that define all colours for light and dark surroundings, and for paper."""
    light, dark = _declared(LIGHT), _declared(DARK)
    return "\n".join(
        (
            f":root {{ {light} }}",
            f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}",
            f"{_LIGHT_SURROUNDINGS} {{ {light} }}",
            f"{_DARK_SURROUNDINGS} {{ {dark} }}",
            f"@media print {{ :root, body {{ {light} }} }}",
        )
    )


def _declared(colours: Mapping[str, str]) -> str:
    return " ".join(f"--ml-{name}: {value};" for name, value in colours.items())

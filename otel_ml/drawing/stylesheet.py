"""The rules of CSS that our pictures need; without them they have the colours of white paper."""

from __future__ import annotations

from typing import Final

from otel_ml.drawing.palette import LEVELS, colour, properties

_LEVELS: Final = "\n".join(
    f".ml-level-{step} {{ background-color: {colour(f'level-{step}')}; color: {colour(f'on-level-{step}')}; }}"
    for step in range(1, LEVELS)
)

STYLESHEET: Final = f"""{properties()}
.ml-picture {{ max-width: 100%; height: auto; overflow: visible; font-family: system-ui, sans-serif; }}
.ml-picture text {{ fill: {colour("muted")}; font-size: 11px; }}
.ml-picture .ml-label {{ fill: {colour("text")}; }}
.ml-picture .ml-axis {{ stroke: {colour("line")}; stroke-width: 1; fill: none; }}
.ml-picture .ml-reference {{ fill: {colour("reference-fill")}; stroke: {colour("reference")}; stroke-width: 1.25; }}
.ml-picture .ml-current {{ fill: {colour("current")}; stroke: none; }}
.ml-picture .ml-line {{ fill: none; stroke: {colour("reference")}; stroke-width: 1.75; stroke-linejoin: round; }}
.ml-picture .ml-point {{ fill: {colour("reference")}; stroke: none; }}
.ml-picture .ml-threshold {{ fill: none; stroke: {colour("threshold")}; stroke-width: 1.25; stroke-dasharray: 5 3; }}
.ml-picture .ml-threshold-off {{ stroke-dasharray: 1 3; }}
.ml-picture .ml-alert {{ fill: {colour("alert")}; stroke: none; }}
.ml-picture .ml-version {{ fill: none; stroke: {colour("muted")}; stroke-dasharray: 2 2; }}
.ml-picture .ml-slot {{ fill: transparent; stroke: none; }}
.ml-picture g:hover > .ml-slot {{ fill: {colour("muted")}; fill-opacity: 0.12; }}
{_LEVELS}
"""

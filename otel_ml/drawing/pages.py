"""Pages and pieces of pages that need no network and no script: the frame that reports stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from otel_ml.drawing.markup import escaped
from otel_ml.drawing.palette import colour
from otel_ml.drawing.stylesheet import STYLESHEET

# Classes are named twice where a notebook has rules of its own for all tables and lists, which must not win.
_RULES: Final = f"""
.ml-report {{ color: {colour("text")}; background: {colour("surface")}; font: 14px/1.5 system-ui, sans-serif;
  padding: 1rem 1.25rem; border-radius: 6px; text-align: left; overflow-wrap: break-word; }}
.ml-report h1 {{ font-size: 1.6rem; line-height: 1.2; margin: 0 0 0.25rem; font-weight: 650; }}
.ml-report h2 {{ font-size: 1.15rem; margin: 2rem 0 0.5rem; font-weight: 650; }}
.ml-report h3 {{ font-size: 1rem; margin: 0; font-weight: 650; }}
.ml-report p {{ margin: 0.25rem 0; }}
.ml-report a {{ color: inherit; text-decoration-color: {colour("muted")}; text-underline-offset: 2px; }}
.ml-report a:focus-visible, .ml-report summary:focus-visible {{ outline: 2px solid {colour("reference")};
  outline-offset: 2px; }}
.ml-report .ml-quiet {{ color: {colour("muted")}; }}
.ml-report .ml-tiles.ml-tiles {{ display: flex; flex-wrap: wrap; gap: 0.75rem; margin: 1rem 0; padding: 0;
  list-style: none; }}
.ml-report .ml-tiles.ml-tiles li {{ background: {colour("raised")}; border: 1px solid {colour("line")};
  border-radius: 8px; padding: 0.6rem 1rem; min-width: 7rem; margin: 0; }}
.ml-report .ml-tiles strong {{ display: block; font-size: 1.45rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; }}
.ml-report .ml-tiles .ml-bad strong {{ color: {colour("alert")}; }}
.ml-report .ml-tiles .ml-fine strong {{ color: {colour("good")}; }}
.ml-report .ml-scroll {{ overflow-x: auto; scrollbar-color: {colour("line")} transparent; }}
.ml-report .ml-wide.ml-wide {{ width: 100%; table-layout: auto; border-collapse: collapse; font-size: 0.93rem;
  margin: 0.25rem 0; color: inherit; border: 0; }}
.ml-report .ml-wide.ml-wide tr {{ background: none; }}
.ml-report .ml-wide.ml-wide th, .ml-report .ml-wide.ml-wide td {{ padding: 0.35rem 0.6rem; text-align: left;
  vertical-align: top; border: 0; border-bottom: 1px solid {colour("line")}; max-width: none; white-space: normal; }}
.ml-report .ml-wide.ml-wide thead th {{ color: {colour("muted")}; font-weight: 550; white-space: nowrap; }}
.ml-report .ml-wide.ml-wide tbody th {{ color: inherit; min-width: 8rem; overflow-wrap: anywhere; }}
.ml-report .ml-wide.ml-wide .ml-prose {{ min-width: 15rem; overflow-wrap: anywhere; }}
.ml-report .ml-wide.ml-wide .ml-number {{ text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }}
.ml-report h3, .ml-report li {{ overflow-wrap: anywhere; }}
.ml-report .ml-badge {{ display: inline-block; border: 1px solid {colour("line")}; border-radius: 999px;
  padding: 0 0.55rem; font-size: 0.85rem; white-space: nowrap; color: {colour("muted")}; font-weight: 500; }}
.ml-report .ml-badge.ml-bad {{ color: {colour("alert")}; border-color: currentColor; font-weight: 650; }}
.ml-report .ml-badge.ml-fine {{ color: {colour("good")}; border-color: currentColor; }}
.ml-report .ml-cards {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 384px), 1fr));
  gap: 1rem; }}
.ml-report .ml-card {{ border: 1px solid {colour("line")}; border-radius: 8px; padding: 0.85rem 1rem; min-width: 0;
  break-inside: avoid; }}
.ml-report .ml-card:target {{ outline: 2px solid {colour("reference")}; }}
.ml-report .ml-card header {{ display: flex; flex-wrap: wrap; gap: 0.25rem 0.6rem; align-items: baseline; }}
.ml-report .ml-card .ml-picture {{ display: block; width: 100%; max-width: 620px; margin: 0.5rem 0 0; }}
.ml-report > .ml-card {{ max-width: 620px; }}
.ml-report ul {{ margin: 0.25rem 0; padding-left: 1.2rem; }}
.ml-report summary {{ cursor: pointer; color: {colour("muted")}; }}
.ml-report footer {{ margin-top: 2rem; border-top: 1px solid {colour("line")}; padding-top: 0.5rem; }}
@media print {{ .ml-report {{ padding: 0; }} .ml-report .ml-scroll {{ overflow: visible; }} }}
"""

_PAGE_RULES: Final = f"""
html {{ background: {colour("surface")}; }}
body {{ margin: 0 auto; max-width: 1216px; }}
"""
# Nothing is loaded from anywhere, whatever a name may hold.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def block(parts: Iterable[str]) -> str:
    """Markup with all the rules that it needs, for a notebook."""
    return f'<div class="ml-report"><style>{STYLESHEET}{_RULES}</style>{"".join(parts)}</div>'


def document(title: str, parts: Iterable[str]) -> str:
    """A whole page."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escaped(title)}</title><style>{STYLESHEET}{_RULES}{_PAGE_RULES}</style></head>"
        f'<body><main class="ml-report">{"".join(parts)}</main></body></html>\n'
    )


def tiles(figures: Iterable[tuple[str, str, str]]) -> str:
    """Figures side by side, each with what it is of, and "bad", "fine" or nothing."""
    shown = (
        f"<li{_of_class(mood)}><strong>{escaped(figure)}</strong>{escaped(name)}</li>" for figure, name, mood in figures
    )
    return f'<ul class="ml-tiles">{"".join(shown)}</ul>'


def badge(text: str, mood: str = "") -> str:
    """A word in a frame."""
    return f'<span class="ml-badge{f" ml-{mood}" if mood else ""}">{escaped(text)}</span>'


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[str] = frozenset()) -> str:
    """A table of cells that are markup, the first of each row its heading.

    Args:
        right: Headings of the columns that hold numbers.
    """
    heads = "".join(
        f'<th scope="col"{_NUMBER if heading in right else ""}>{escaped(heading)}</th>' for heading in headings
    )
    lines = []
    for first, *rest in rows:
        cells = "".join(
            cell if cell.startswith("<td") else f"<td{_NUMBER if heading in right else ''}>{cell}</td>"
            for heading, cell in zip(headings[1:], rest, strict=True)
        )
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    return (
        # Who has no mouse scrolls with the keyboard.
        f'<div class="ml-scroll" tabindex="0"><table class="ml-wide"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


_NUMBER: Final = ' class="ml-number"'


def _of_class(mood: str) -> str:
    return f' class="ml-{mood}"' if mood else ""

"""A report as a page of HTML: what drifted first, its picture beside the reasons."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from otel_ml.comparing.column import ColumnReport
from otel_ml.comparing.tables import changes, q_value, score, title_of
from otel_ml.drawing.markup import escaped, shortened
from otel_ml.drawing.numerals import numeral, percent
from otel_ml.drawing.overlay import overlay
from otel_ml.drawing.pages import badge, block, document, table, tiles
from otel_ml.drawing.palette import level
from otel_ml.sketch.feature import FeatureKind, FeatureRole

if TYPE_CHECKING:
    from otel_ml.comparing.report import DriftReport

_HEADINGS: Final = ("column", "kind", "verdict", "score", "threshold", "q-value", "what changed")
_RIGHT: Final = frozenset(("score", "threshold", "q-value"))
_MOODS: Final = {"drifted": "bad", "absent": "bad", "stable": "fine", "not compared": ""}
_DRAWN: Final = 200
"""Columns that did not change and are drawn on a page all the same."""
_DRAWN_IN_NOTEBOOK: Final = 6
_LISTED_IN_NOTEBOOK: Final = 50
_NAME: Final = 80
_DRAWN_AS: Final = {
    FeatureKind.TEXT: "Lengths in characters:",
    FeatureKind.EMBEDDING: "Norms of the vectors:",
    FeatureKind.DATETIME: "Hours of the day, UTC:",
}
"""What is drawn of a column whose values are not."""


def page(report: DriftReport, *, title: str = "") -> str:
    """A whole page, which needs no network and no script."""
    title = title or f"Drift report: {title_of(report.model)}"
    changed = [column for column in report.columns if _is_changed(column)]
    rest = [column for column in report.columns if not _is_changed(column)]
    left_out = len(rest) - _DRAWN
    return document(
        title,
        (
            f"<header><h1>{escaped(title)}</h1>{_subtitle(report)}</header>",
            _tiles(report),
            _overview(report, links=True),
            _cards("What changed", changed, report),
            _cards("What did not", rest[:_DRAWN], report),
            f'<p class="ml-quiet">{left_out:,} more that did not are in the table only.</p>' if left_out > 0 else "",
            _footer(report),
        ),
    )


def fragment(report: DriftReport) -> str:
    """What a notebook shows: the table, and pictures of the columns to look at first."""
    first = [column for column in report.columns if column.frame is not None][:_DRAWN_IN_NOTEBOOK]
    title = f"{title_of(report.model)} against its baseline"
    return block(
        (
            f"<h2>{escaped(title)}</h2>{_subtitle(report)}",
            _tiles(report),
            _cards("", first, report),
            _overview(report, limit=_LISTED_IN_NOTEBOOK),
        )
    )


def _is_changed(column: ColumnReport) -> bool:
    return column.drifted or bool(column.degraded) or column.status == "absent"


def _subtitle(report: DriftReport) -> str:
    return (
        f'<p class="ml-quiet">{escaped(shortened(report.source, 200))}, {report.rows:,} rows, compared with baseline'
        f" {escaped(report.baseline_id)} of {report.reference_rows:,} rows</p>"
    )


def _tiles(report: DriftReport) -> str:
    drifted, degraded, absent = (
        len(columns) for columns in (report.drifted_columns, report.degraded_columns, report.absent_columns)
    )
    figures = [
        (f"{drifted:,} of {report.compared:,}", "columns drifted", "bad" if drifted else "fine"),
        (f"{degraded:,}", "with more bad values", "bad" if degraded else "fine"),
    ]
    if absent:
        figures.append((f"{absent:,}", "absent", "bad"))
    if report.added:
        figures.append((f"{len(report.added):,}", "unknown to the baseline", ""))
    uncompared = len(report.columns) - report.compared - absent
    if uncompared:
        figures.append((f"{uncompared:,}", "not compared", ""))
    return tiles(figures)


def _overview(report: DriftReport, *, limit: int | None = None, links: bool = False) -> str:
    rows = [_row(column, links=links) for column in report.columns[:limit]]
    rest = len(report.columns) - len(rows)
    told = f'<p class="ml-quiet">and {rest:,} more</p>' if rest else ""
    if report.added:
        names = ", ".join(shortened(name, _NAME) for name in report.added[:20])
        more = f" and {len(report.added) - 20:,} more" if len(report.added) > 20 else ""
        told += f'<p class="ml-quiet">Unknown to the baseline: {escaped(names)}{more}.</p>'
    return f"<h2>All columns, what to look at first on top</h2>{table(_HEADINGS, rows, right=_RIGHT)}{told}"


def _row(column: ColumnReport, *, links: bool) -> list[str]:
    name = escaped(shortened(column.name, _NAME))
    if links and column.role is not FeatureRole.JOINT:
        name = f'<a href="#{_anchor(column)}">{name}</a>'
    if column.role in (FeatureRole.PREDICTION, FeatureRole.SCORE) and column.name != column.role.value:
        name = f'{name} <span class="ml-quiet">{column.role.value}</span>'
    decision = column.decision
    numbers = ["", "", ""]
    if decision is not None:
        shown, threshold = score(decision)
        step = level(decision.score, decision.threshold)
        method = f'<span class="ml-quiet">{escaped(decision.method)}</span>'
        numbers = [
            f'<td class="ml-number">{method} <span class="ml-level-{step}">&nbsp;{shown}&nbsp;</span></td>',
            threshold,
            q_value(decision),
        ]
    kind = "" if column.role is FeatureRole.JOINT else column.kind.value
    told = f'<td class="ml-prose">{escaped("; ".join(changes(column)))}</td>'
    return [name, kind, _verdict(column), *numbers, told]


def _verdict(column: ColumnReport) -> str:
    shown = badge(column.status, _MOODS[column.status])
    return f"{shown} {badge('bad values', 'bad')}" if column.degraded else shown


def _cards(heading: str, columns: list[ColumnReport], report: DriftReport) -> str:
    if not columns:
        return ""
    headline = f"<h2>{heading}</h2>" if heading else ""
    return f'{headline}<div class="ml-cards">{"".join("".join(_card(column, report)) for column in columns)}</div>'


def _card(column: ColumnReport, report: DriftReport) -> Iterator[str]:
    role = "" if column.role is FeatureRole.JOINT else f"{column.role.value}, {column.kind.value}"
    yield f'<section class="ml-card" id="{_anchor(column)}"><header><h3>{escaped(shortened(column.name, _NAME))}</h3>'
    yield f'<span class="ml-quiet">{role}</span>{_verdict(column)}</header>'
    yield f"<p>{escaped(_why(column, report))}</p>"
    if column.frame is not None:
        yield f'<p class="ml-quiet">{_DRAWN_AS[column.kind]}</p>' if column.kind in _DRAWN_AS else ""
        yield overlay(
            column.frame,
            column.shares,
            title=f"{column.name}: baseline and current values",
            reference_count=column.n_reference,
            current_count=column.n_current,
        )
    told = [_bad_values(column), *map(escaped, _moved(column))]
    items = "".join(f"<li>{item}</li>" for item in told if item)
    yield f"<ul>{items}</ul>" if items else ""
    yield _methods(column)
    yield "</section>"


def _why(column: ColumnReport, report: DriftReport) -> str:
    """The verdict in a sentence."""
    decision = column.decision
    if decision is None:
        return f"{column.reason[:1].upper()}{column.reason[1:]}."
    shown, threshold = score(decision)
    sign = ">" if decision.is_big else "≤"
    told = f"{decision.method} {shown} {sign} {threshold}"
    if decision.q_value is not None:
        told += f"; q = {q_value(decision)}" if decision.q_value >= 1e-12 else f"; q {q_value(decision)}"
        told += f" over {report.compared:,} columns" if report.compared > 1 else ""
        if decision.is_big and not column.drifted:
            told += ", which may be chance"
    importance = f"; importance {percent(column.importance)} of the greatest" if column.importance < 1 else ""
    return f"{told}; {column.n_current:,} values against {column.n_reference:,}{importance}."


def _bad_values(column: ColumnReport) -> str:
    told = [
        f"{finding.title} {percent(finding.ratios.reference_ratio)} → {percent(finding.ratios.ratio)}"
        for finding in column.quality
        if finding.ratios.count or finding.ratios.reference_count
    ]
    return escaped(f"Bad values: {', '.join(told)}") if told else ""


def _moved(column: ColumnReport) -> Iterator[str]:
    for cell in column.moved:
        was, now = (
            (percent(cell.reference), percent(cell.current))
            if cell.is_share
            else (numeral(cell.reference, 3), numeral(cell.current, 3))
        )
        yield f"{shortened(cell.label, _NAME)}: {was} → {now}"


def _methods(column: ColumnReport) -> str:
    if not column.results:
        return ""
    rows = [
        [
            escaped(result.method) + (" (decides)" if result.method == column.method else ""),
            *score(result),
            "-" if result.p_value is None else numeral(result.p_value, 2),
            q_value(result),
        ]
        for result in column.results
    ]
    headings = ("method", "score", "threshold", "p-value", "q-value")
    return (
        f"<details><summary>All methods</summary>{table(headings, rows, right=frozenset(headings[1:]))}"
        f'<p class="ml-quiet">{escaped(column.reason)}</p></details>'
    )


def _anchor(column: ColumnReport) -> str:
    """As it may stand in an address: what is no letter, number or one of ._-~ is encoded."""
    return f"{column.role.value}-{quote(column.key.name.encode('utf-8', 'replace'), safe='')}"


def _footer(report: DriftReport) -> str:
    made = datetime.fromtimestamp(report.created_unix_nano / 1e9, tz=timezone.utc)
    return (
        f'<footer class="ml-quiet"><p>A column drifted where its score exceeds the threshold, so that it matters, and'
        f" its q-value is below {report.alpha:g}, so that chance does not explain it (Benjamini and Hochberg, over all"
        f" columns). Columns of fewer than {report.min_rows:,} values are not compared.</p>"
        f"<p>Made {made:%Y-%m-%d %H:%M} UTC by otel-ml.</p></footer>"
    )

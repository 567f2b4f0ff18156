"""A report as a table: of text, or of pandas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from otel_ml.comparing.column import ColumnReport, MethodResult
from otel_ml.drawing.markup import shortened
from otel_ml.drawing.numerals import numeral, percent
from otel_ml.drift.explanation import MovedCell
from otel_ml.sketch.feature import FeatureRole, ModelKey

if TYPE_CHECKING:
    import pandas as pd

    from otel_ml.comparing.report import DriftReport

HEADINGS: Final = ("column", "kind", "verdict", "method", "score", "threshold", "q-value", "values", "what changed")
RIGHT: Final = frozenset(("score", "threshold", "q-value", "values"))
_SHOWN: Final = 30
_NAME: Final = 40


def text(report: DriftReport, *, limit: int = _SHOWN) -> str:
    """A compact table, the column to look at first in the first line."""
    rows = [row(column) for column in report.columns[:limit]]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    lines = [headline(report)]
    for line in (HEADINGS, *rows):
        cells = [
            cell.rjust(width) if heading in RIGHT else cell.ljust(width)
            for heading, cell, width in zip(HEADINGS, line, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    rest = len(report.columns) - limit
    if rest > 0:
        lines.append(f"… and {rest:,} more")
    return "\n".join(lines)


def headline(report: DriftReport) -> str:
    """The whole report in a line."""
    parts = [f"{len(report.drifted_columns):,} of {report.compared:,} columns drifted"]
    if report.degraded_columns:
        parts.append(f"{len(report.degraded_columns):,} with more bad values")
    if report.absent_columns:
        parts.append(f"{len(report.absent_columns):,} absent")
    rows = f"{report.rows:,} rows compared with {report.reference_rows:,}"
    return f"{title_of(report.model)}: {', '.join(parts)} ({rows}, baseline {report.baseline_id})"


def title_of(model: ModelKey) -> str:
    """A model by name and version."""
    return shortened(f"{model.name} {model.version}" if model.version else model.name, 2 * _NAME)


def row(column: ColumnReport) -> tuple[str, ...]:
    """What a table says of a column, under `HEADINGS`."""
    name = shortened(column.name, _NAME)
    decision = column.decision
    # The only prediction of a model is called just that.
    is_plain = column.role in (FeatureRole.FEATURE, FeatureRole.JOINT) or column.name == column.role.value
    return (
        name if is_plain else f"{name} ({column.role.value})",
        "" if column.role is FeatureRole.JOINT else column.kind.value,
        column.status,
        column.method or "",
        *(("", "", "") if decision is None else (*score(decision), q_value(decision))),
        f"{column.n_current:,}",
        "; ".join(changes(column)),
    )


def score(result: MethodResult) -> tuple[str, str]:
    """A score and its threshold."""
    return numeral(result.score, 3), numeral(result.threshold, 3)


def q_value(result: MethodResult) -> str:
    """A q-value, or that there is none."""
    if result.q_value is None:
        return "-"
    return "<1e-12" if result.q_value < 1e-12 else numeral(result.q_value, 2)


def changes(column: ColumnReport) -> Sequence[str]:
    """What changed, in words: cells that moved, and bad values."""
    told = [change(cell) for cell in column.moved]
    told += [
        f"{finding.title} {percent(finding.ratios.reference_ratio)} → {percent(finding.ratios.ratio)}"
        for finding in column.degraded
    ]
    if not told and column.status == "not compared":
        told.append(column.reason)
    return told


def change(cell: MovedCell) -> str:
    """One cell that moved: "DE 20% → 45%"."""
    was, now = (
        (percent(cell.reference), percent(cell.current))
        if cell.is_share
        else (numeral(cell.reference, 3), numeral(cell.current, 3))
    )
    return f"{shortened(cell.label, _NAME)} {was} → {now}"


def frame(report: DriftReport) -> pd.DataFrame:
    """A pandas frame with a row for each column and detector.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - optional, and slow to import
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("to_frame() needs pandas: pip install pandas", name="pandas") from error
    rows = [
        {
            "column": column.name,
            "role": column.role.value,
            "kind": column.kind.value,
            "status": column.status,
            "drifted": column.drifted,
            "method": result.method if result else None,
            "decides": result is not None and result.method == column.method,
            "score": result.score if result else None,
            "threshold": result.threshold if result else None,
            "p_value": result.p_value if result else None,
            "q_value": result.q_value if result else None,
            "effect": column.effect,
            "importance": column.importance,
            "n_reference": column.n_reference,
            "n_current": column.n_current,
        }
        for column in report.columns
        for result in (column.results or (None,))
    ]
    return pd.DataFrame(rows)

"""What a baseline says, for people and for machines."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import click

from otel_ml.sketch.summary import (
    BooleanSummary,
    CategoricalSummary,
    DatetimeSummary,
    EmbeddingSummary,
    FeatureSummary,
    NumericSummary,
    TextSummary,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from otel_ml.baseline import Baseline
    from otel_ml.sketch.bins import BinLayout
    from otel_ml.sketch.moments import Moments

_HEADINGS: Final = ("column", "role", "kind", "missing", "min", "mean", "max", "bins", "values")
_RIGHT: Final = frozenset(("missing", "min", "mean", "max", "bins"))
_SHOWN_CATEGORIES: Final = 3


def summary(baseline: Baseline) -> dict[str, Any]:
    """The head of a report, ready for JSON."""
    created = datetime.fromtimestamp(baseline.created_unix_nano / 1e9, tz=timezone.utc)
    return {
        "model": {"name": baseline.model.name, "version": baseline.model.version},
        "id": baseline.id,
        "created": created.isoformat(timespec="seconds"),
        "rows": baseline.rows,
        "columns": len(baseline.features),
    }


def report(baseline: Baseline) -> dict[str, Any]:
    """All of a report, ready for JSON."""
    columns = [_column(feature, baseline.layout(key)) for key, feature in baseline.features.items()]
    return {**summary(baseline), "columns": columns, **_confusion(baseline), **_together(baseline)}


def show(file: Path, baseline: Baseline) -> None:
    """Print a report: as a table on a terminal, as aligned lines elsewhere."""
    head = summary(baseline)
    version = f" version {baseline.model.version}" if baseline.model.version else ""
    click.echo(f"{file}: baseline {baseline.id} of {baseline.model.name}{version}")
    click.echo(f"{baseline.rows:,} rows, built {head['created']}")
    if baseline.joint is not None:
        click.echo(f"correlations of {len(baseline.joint.layout.names)} features")
    if baseline.row_sample is not None:
        click.echo(f"{len(baseline.row_sample):,} rows of the training data as they are")
    rows = [_row(column) for column in report(baseline)["columns"]]
    if sys.stdout.isatty():
        _show_table(rows)
    else:
        _show_lines(rows)


def _confusion(baseline: Baseline) -> dict[str, Any]:
    confusion = baseline.confusion
    if confusion is None:
        return {}
    described = {"predictions": confusion.predictions, "labels": confusion.labels, "counts": confusion.counts.tolist()}
    return {"confusion": described}


def _together(baseline: Baseline) -> dict[str, Any]:
    """What is known of several columns at once."""
    return {
        "correlated_features": [] if baseline.joint is None else list(baseline.joint.layout.names),
        "sampled_rows": 0 if baseline.row_sample is None else len(baseline.row_sample),
    }


def _column(feature: FeatureSummary, layout: BinLayout | None) -> dict[str, Any]:
    counters, content = feature.counters, feature.content
    column: dict[str, Any] = {
        "name": feature.key.name,
        "role": feature.key.role.value,
        "kind": feature.kind.value,
        "rows": counters.rows,
        "missing": counters.missing,
        "missing_ratio": counters.missing / counters.rows if counters.rows else None,
        "mismatched": counters.mismatched,
        "infinite": counters.positive_infinite + counters.negative_infinite,
    }
    if isinstance(content, NumericSummary):
        column |= _range(content.moments)
        column["bins"] = layout.bins if layout is not None else 0
        column["distinct"] = None if content.exact is None else len(content.exact.values)
    elif isinstance(content, BooleanSummary):
        column |= {"true": content.true_count, "false": content.false_count}
    elif isinstance(content, CategoricalSummary):
        counts = content.categories.counts
        column["categories"] = dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
        column["other"] = content.categories.other
        column["distinct"] = len(counts) if content.categories.is_exact else round(content.cardinality.estimate())
    elif isinstance(content, TextSummary):
        column |= {"characters": _range(content.lengths.moments), "words": _range(content.words.moments)}
        column |= {"empty": content.empty, "distinct": round(content.cardinality.estimate())}
        column["bins"] = layout.bins if layout is not None else 0
    elif isinstance(content, DatetimeSummary):
        if content.count:
            column |= {"earliest": _date(content.epochs.minimum), "latest": _date(content.epochs.maximum)}
        column |= {"hours": content.hours.tolist(), "weekdays": content.weekdays.tolist()}
    elif isinstance(content, EmbeddingSummary):
        column |= {"dimensions": content.dimensions, "norm": _range(content.norms.moments)}
        column["bins"] = layout.bins if layout is not None else 0
    return column


def _range(moments: Moments) -> dict[str, float | None]:
    if not moments.count:
        return {}
    deviation = moments.standard_deviation if moments.count > 1 else None
    return {
        "min": moments.minimum,
        "mean": moments.mean,
        "max": moments.maximum,
        "standard_deviation": deviation,
    }


def _date(epoch: float) -> str:
    """In ISO 8601; as seconds since 1970 where no calendar of ours reaches."""
    try:
        return datetime.fromtimestamp(epoch, tz=timezone.utc).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return f"{epoch:.0f}"


def _row(column: dict[str, Any]) -> tuple[str, ...]:
    described = column.get("characters", column.get("norm", column))
    numbers = [f"{described[name]:.6g}" if name in described else "" for name in ("min", "mean", "max")]
    return (
        column["name"],
        column["role"],
        column["kind"],
        f"{column['missing_ratio']:.2%}" if column["missing_ratio"] is not None else "",
        *numbers,
        str(column["bins"]) if column.get("bins") else "",
        _values(column),
    )


def _values(column: dict[str, Any]) -> str:
    if "true" in column:
        total = column["true"] + column["false"]
        return f"true {column['true'] / total:.1%}" if total else ""
    if "categories" in column:
        first = ", ".join(list(column["categories"])[:_SHOWN_CATEGORIES])
        more = column["distinct"] - min(_SHOWN_CATEGORIES, len(column["categories"]))
        return f"{first} + {more:,} more" if more > 0 else first
    if "characters" in column:
        words = f", {column['words']['mean']:.1f} words" if column["words"] else ""
        return f"characters{words}, {column['distinct']:,} distinct"
    if "hours" in column:
        return f"{column['earliest']} to {column['latest']}" if "earliest" in column else ""
    if "norm" in column:
        return f"norms, {column['dimensions']} dimensions" if column["dimensions"] else ""
    return f"{column['distinct']} distinct" if column.get("distinct") else ""


def _show_table(rows: Sequence[tuple[str, ...]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in _RIGHT else "left", overflow="fold")
    for row in rows:
        # Not as markup: a column may be called "[bold]".
        table.add_row(*map(Text, row))
    Console().print(table)


def _show_lines(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    for row in (_HEADINGS, *rows):
        cells = [
            cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
            for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())

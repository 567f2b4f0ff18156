"""`otel-ml report`: data compared with a baseline, on the terminal and on a page to keep or send."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from otel_ml.cli.files import refuse_to_replace
from otel_ml.environment_variables import OTEL_PYTHON_ML_HASH_KEY
from otel_ml.whole_file import put

if TYPE_CHECKING:
    from otel_ml.baseline import Baseline
    from otel_ml.comparing import DriftReport

# The library itself is imported by the command: `--help` should not wait for numpy.

# Whoever opens a file says that it cannot be read, as of one that is not there.
_Path = click.Path(path_type=Path, readable=False)
_FAILURES: Final = ("drift", "quality", "schema")


@click.command()
@click.argument("baseline", type=_Path)
@click.argument("current", type=_Path)
@click.option("--html", "page", type=_Path, metavar="FILE", help="Write a page that needs no network and no script.")
@click.option("--title", default="", metavar="TEXT", help="Headline of the page.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option(
    "--fail-on",
    "failures",
    multiple=True,
    type=click.Choice(_FAILURES),
    help="End with 1 where a column drifted (drift), has more bad values (quality), or is absent (schema); repeat it.",
)
@click.option("--prediction", "predictions", multiple=True, metavar="[NAME=]COLUMN", help="As of `baseline build`.")
@click.option("--score", "scores", multiple=True, metavar="[NAME=]COLUMN", help="As of `baseline build`.")
@click.option("--hash", "hashed", multiple=True, metavar="COLUMN", help="As of `baseline build`.")
@click.option("--detector", "detectors", multiple=True, metavar="NAME", help="Ask only these; repeat it.")
@click.option(
    "--decide-by", metavar="NAME", help="The detector whose verdict counts; the best one for each by default."
)
@click.option("--alpha", type=float, default=0.05, show_default=True, help="q-value below which chance is ruled out.")
@click.option("--min-rows", type=int, default=200, show_default=True, help="Values below which a column is skipped.")
def report(
    baseline: Path,
    current: Path,
    *,
    page: Path | None,
    title: str,
    as_json: bool,
    failures: tuple[str, ...],
    predictions: tuple[str, ...],
    scores: tuple[str, ...],
    hashed: tuple[str, ...],
    detectors: tuple[str, ...],
    decide_by: str | None,
    alpha: float,
    min_rows: int,
) -> None:
    """Compare CURRENT, a Parquet or CSV file or another baseline, with a BASELINE.

    \b
    otel-ml report fraud-3.baseline last-week.parquet --html report.html --fail-on drift
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    from otel_ml.baseline import Baseline
    from otel_ml.cli.columns import column_outputs, on_column
    from otel_ml.comparing.comparison import compare_with
    from otel_ml.comparing.current import Reading
    from otel_ml.comparing.measuring import Asking

    if page is not None:
        refuse_to_replace("--html", page, baseline, current)
    found = compare_with(
        Baseline.load(baseline),
        data_of(current),
        Asking.of(detectors or None, decide_by),
        reading=Reading(
            predictions=column_outputs("--prediction", predictions),
            scores=column_outputs("--score", scores),
            hashed=hashed,
            hash_key=os.environ.get(OTEL_PYTHON_ML_HASH_KEY, ""),
            on_column=on_column(),
        ),
        alpha=alpha,
        min_rows=min_rows,
    )
    if page is not None:
        _write(page, found.to_html(title=title))
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        show(found)
        if page is not None:
            click.echo(f"{page}: written")
    if _has_failed(found, failures):
        sys.exit(1)


def data_of(path: Path) -> Baseline | Path:
    """A baseline where the file is one, else the path of data.

    Raises:
        BaselineError: It is a baseline, but not an intact one.
    """
    from otel_ml.baseline import Baseline
    from otel_ml.baseline.file import MAGIC

    try:
        with path.open("rb") as file:
            is_baseline = file.read(len(MAGIC)) == MAGIC
    except OSError:
        # Whoever reads the data says so, and why.
        return path
    return Baseline.load(path) if is_baseline else path


def show(found: DriftReport) -> None:
    """Print a report: as a table on a terminal, as aligned lines elsewhere."""
    from otel_ml.comparing.tables import HEADINGS, RIGHT, headline, row, text

    if not sys.stdout.isatty():
        click.echo(text(found, limit=len(found.columns)))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in RIGHT else "left", overflow="fold")
    for column in found.columns:
        style = "bold red" if column.drifted or column.status == "absent" else "yellow" if column.degraded else ""
        # Not as markup: a column may be called "[bold]".
        first, *rest = map(Text, row(column))
        first.stylize(style)
        rest[1].stylize(style)
        table.add_row(first, *rest)
    click.echo(headline(found))
    Console().print(table)


def _has_failed(found: DriftReport, failures: tuple[str, ...]) -> bool:
    checks: dict[str, Any] = {
        "drift": found.drifted_columns,
        "quality": found.degraded_columns,
        "schema": found.absent_columns,
    }
    return any(checks[failure] for failure in failures)


def _write(page: Path, text: str) -> None:
    try:
        put(page, text)
    except OSError as error:
        raise click.ClickException(f"{page}: cannot be written: {error.strerror or error}") from error

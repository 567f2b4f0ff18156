"""`otel-ml baseline`: build a baseline from training data, and look at one."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_ml.environment_variables import OTEL_PYTHON_ML_HASH_KEY

if TYPE_CHECKING:
    from collections.abc import Callable

# The library itself is imported by the commands that need it: `--help` should not wait for numpy.

_Path = click.Path(path_type=Path)


@click.group()
def baseline() -> None:
    """Summarise training data, and look at such summaries."""


@baseline.command()
@click.argument("data", type=_Path)
@click.option("--model", required=True, metavar="NAME", help="The model's name, as it is served.")
@click.option("--version", "model_version", default="", metavar="VERSION", help="The model's version.")
@click.option(
    "--prediction",
    "predictions",
    multiple=True,
    metavar="[NAME=]COLUMN",
    help="Column of predictions; repeat it for several outputs.",
)
@click.option(
    "--score",
    "scores",
    multiple=True,
    metavar="[NAME=]COLUMN",
    help="Column of probabilities or decision values; repeat it, with the names of the classes, for several.",
)
@click.option(
    "--labels",
    metavar="COLUMN",
    help="Column of what was true: kept as counts by prediction, and no feature.",
)
@click.option("--feature", "features", multiple=True, metavar="COLUMN", help="Use only these columns as features.")
@click.option("--exclude", "excluded", multiple=True, metavar="COLUMN", help="Leave a column out, such as the label.")
@click.option(
    "--categorical", multiple=True, metavar="COLUMN", help="Column whose numbers are codes, or whose text is no text."
)
@click.option("--text", multiple=True, metavar="COLUMN", help="Column of free text, where it is not taken for that.")
@click.option(
    "--hash",
    "hashed",
    multiple=True,
    metavar="COLUMN",
    help="Column whose categories are kept as hashes, with the key in OTEL_PYTHON_ML_HASH_KEY.",
)
@click.option(
    "--sample-rows",
    default=0,
    metavar="N",
    help="Put N rows of DATA, drawn by chance, into the file as they are, for the domain classifier: whoever reads the"
    " file reads these rows.",
)
@click.option("-o", "--output", type=_Path, metavar="FILE", help="Default: MODEL-VERSION.baseline")
@click.option("--json", "as_json", is_flag=True, help="Say what was built as JSON.")
def build(
    data: Path,
    *,
    model: str,
    model_version: str,
    predictions: tuple[str, ...],
    scores: tuple[str, ...],
    labels: str | None,
    features: tuple[str, ...],
    excluded: tuple[str, ...],
    categorical: tuple[str, ...],
    text: tuple[str, ...],
    hashed: tuple[str, ...],
    sample_rows: int,
    output: Path | None,
    as_json: bool,
) -> None:
    r"""Build a baseline from DATA, a Parquet or CSV file with what the model was trained on.

    The predictions should be the model's own, not the labels it was trained on. With --labels as well, of rows that the
    model was not fitted to, the baseline knows how the model errs.

    \b
    otel-ml baseline build train.parquet --model fraud --version 3 \\
        --prediction prediction --score probability --labels label -o fraud-3.baseline
    """
    from otel_ml.baseline.build import build_baseline
    from otel_ml.sketch.feature import ModelKey

    built = build_baseline(
        data,
        model=ModelKey(model, model_version),
        predictions=_outputs("--prediction", predictions),
        scores=_outputs("--score", scores),
        labels=labels,
        features=features or None,
        excluded=excluded,
        categorical=categorical,
        text=text,
        hashed=hashed,
        hash_key=os.environ.get(OTEL_PYTHON_ML_HASH_KEY, ""),
        sample_rows=sample_rows,
        on_column=_progress(),
    )
    target = output or Path("-".join(part.replace("/", "_") for part in (model, model_version) if part) + ".baseline")
    built.save(target)
    if as_json:
        from otel_ml.cli.baseline_report import summary

        click.echo(json.dumps({"file": str(target), "bytes": target.stat().st_size, **summary(built)}))
    else:
        click.echo(f"{target}: {built!r}")


@baseline.command()
@click.argument("file", type=_Path)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def inspect(file: Path, *, as_json: bool) -> None:
    """Show what a baseline FILE knows of every column."""
    from otel_ml.baseline import Baseline
    from otel_ml.cli.baseline_report import report, show

    loaded = Baseline.load(file)
    if as_json:
        click.echo(json.dumps({"file": str(file), **report(loaded)}, ensure_ascii=False))
    else:
        show(file, loaded)


def _outputs(option: str, given: tuple[str, ...]) -> Any:
    """Columns, or a mapping from output to column where names are given."""
    pairs = [value.partition("=") for value in given]
    if not any(separator for _, separator, _ in pairs):
        return list(given) or None
    named: dict[str, str] = {}
    for value, (name, separator, column) in zip(given, pairs, strict=True):
        if not name or (separator and not column):
            raise click.UsageError(f"{option}: {value!r} (expected NAME=COLUMN)")
        if name in named:
            raise click.UsageError(f"{option}: two outputs are called {name!r}")
        named[name] = column if separator else name
    return named


def _progress() -> Callable[[str, int, int], None] | None:
    """One line on a terminal that says which column is being read."""
    if not sys.stderr.isatty():
        return None

    def on_column(name: str, place: int, columns: int) -> None:
        click.echo(f"\r\033[K{place + 1}/{columns} {name[:60]}", nl=False, err=True)
        if place + 1 == columns:
            click.echo("\r\033[K", nl=False, err=True)

    return on_column

"""`otel-ml baseline`: build a baseline from training data, look at it, compare two, and put one into use."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from otel_ml.cli.baseline_diff import diff
from otel_ml.cli.baseline_promote import promote
from otel_ml.cli.baseline_push import push
from otel_ml.cli.columns import column_outputs, on_column
from otel_ml.cli.files import refuse_to_replace
from otel_ml.environment_variables import OTEL_PYTHON_ML_HASH_KEY

# The library itself is imported by the commands that need it: `--help` should not wait for numpy.

# Whoever opens a file says that it cannot be read, as of one that is not there.
_Path = click.Path(path_type=Path, readable=False)


def _name(_: click.Context, parameter: click.Parameter, value: str) -> str:
    """The value of an option that becomes text in the file: a shell hands over any bytes."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise click.BadParameter(f"{value!r} is not UTF-8 text", param=parameter) from error
    return value


@click.group()
def baseline() -> None:
    """Summarise training data, look at such summaries, compare them, and put them into use."""


baseline.add_command(diff)
baseline.add_command(promote)
baseline.add_command(push)


@baseline.command()
@click.argument("data", type=_Path)
@click.option("--model", required=True, callback=_name, metavar="NAME", help="The model's name, as it is served.")
@click.option("--version", "model_version", default="", callback=_name, metavar="VERSION", help="The model's version.")
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
    """Build a baseline from DATA, a Parquet or CSV file with what the model was trained on.

    The predictions should be the model's own, not the labels it was trained on. With --labels as well, of rows that the
    model was not fitted to, the baseline knows how the model errs.

    \b
    otel-ml baseline build train.parquet --model fraud --version 3 \\
        --prediction prediction --score probability --labels label -o fraud-3.baseline
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    from otel_ml.baseline.build import build_baseline
    from otel_ml.sketch.feature import ModelKey

    target = output or Path("-".join(part.replace("/", "_") for part in (model, model_version) if part) + ".baseline")
    refuse_to_replace("--output", target, data)
    built = build_baseline(
        data,
        model=ModelKey(model, model_version),
        predictions=column_outputs("--prediction", predictions),
        scores=column_outputs("--score", scores),
        labels=labels,
        features=features or None,
        excluded=excluded,
        categorical=categorical,
        text=text,
        hashed=hashed,
        hash_key=os.environ.get(OTEL_PYTHON_ML_HASH_KEY, ""),
        sample_rows=sample_rows,
        on_column=on_column(),
    )
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

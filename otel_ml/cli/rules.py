"""`otel-ml rules`: rules for Prometheus, routes for Alertmanager."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import click

from otel_ml.cli.files import is_address, write
from otel_ml.cli.numbers import Number

_DURATION: Final = re.compile(r"[1-9][0-9]*[smhd]")


_SHARE: Final = Number(0, 1)
_SCORE: Final = Number(0)


def _duration(_: click.Context, parameter: click.Parameter, value: str) -> str:
    if not _DURATION.fullmatch(value):
        raise click.BadParameter(f"{value!r} is no duration (30m, 2h)", param=parameter)
    return value


def _statistic(_: click.Context, parameter: click.Parameter, value: str) -> str:
    # The registry needs numpy; the usual case does not have to wait for it.
    if value == "psi":
        return value
    from otel_ml.drift.registry import BUILTIN_DETECTORS

    if value not in BUILTIN_DETECTORS:
        from otel_ml.baseline.suggestion import unknown

        raise click.BadParameter(unknown("statistic", value, sorted(BUILTIN_DETECTORS)), param=parameter)
    return value


def _base(_: click.Context, parameter: click.Parameter, value: str) -> str:
    # It becomes part of a template of Prometheus.
    if not value.isprintable() or not value or any(text in value for text in ("{{", "}}", '"', "\\", " ")):
        raise click.BadParameter(f"{value!r} is no address or path", param=parameter)
    return value


@click.group()
def rules() -> None:
    """Rules for Prometheus, routes for Alertmanager."""


@rules.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("prometheus"),
    show_default=True,
    metavar="DIR",
    help="Where the files are written.",
)
@click.option(
    "--file",
    "only",
    type=click.Choice(["otel-ml.rules.yml", "otel-ml-thresholds.rules.yml", "alertmanager.yml"]),
    multiple=True,
    help="Only this one. [default: all]",
)
@click.option("--stdout", "to_stdout", is_flag=True, help="Print one file instead of writing them.")
@click.option(
    "--histograms",
    type=click.Choice(["classic", "native"]),
    default="classic",
    show_default=True,
    help="How durations are stored; as for `otel-ml dashboards export`.",
)
@click.option(
    "--runbooks",
    default="docs/runbooks",
    show_default=True,
    metavar="BASE",
    callback=_base,
    help="Where docs/runbooks is found: https://…",
)
@click.option("--grafana", default="", metavar="URL", callback=is_address, help="Address of Grafana, for links.")
@click.option("--console", default="", metavar="URL", callback=is_address, help="Address of the processor's console.")
@click.option(
    "--silent-after", default="30m", show_default=True, callback=_duration, help="How long a model may have no rows."
)
@click.option("--errors", type=_SHARE, default=0.05, show_default=True, help="Share of failing calls for a ticket.")
@click.option("--lost", type=_SHARE, default=0.5, show_default=True, help="Share missing at which a feature is lost.")
@click.option(
    "--statistic",
    default="psi",
    show_default=True,
    callback=_statistic,
    help="Of the rules with thresholds: what is compared with --fires-above.",
)
@click.option("--fires-above", type=_SCORE, default=0.2, show_default=True, help="Likewise: score.")
@click.option("--clears-below", type=_SCORE, default=0.15, show_default=True, help="Likewise: at most as large.")
@click.option("--min-rows", type=click.IntRange(min=1), default=500, show_default=True, help="Likewise: in a window.")
@click.option("--missing-above", type=_SHARE, default=0.1, show_default=True, help="Likewise: share of missing values.")
@click.option("--hold", default="30m", show_default=True, callback=_duration, help="Likewise: for how long.")
@click.option("--force", is_flag=True, help="Replace files that were changed.")
def export(
    *,
    output: Path,
    only: tuple[str, ...],
    to_stdout: bool,
    histograms: str,
    runbooks: str,
    grafana: str,
    console: str,
    silent_after: str,
    errors: float,
    lost: float,
    statistic: str,
    fires_above: float,
    clears_below: float,
    min_rows: int,
    missing_above: float,
    hold: str,
    force: bool,
) -> None:
    """Write alerting rules, and a beginning for Alertmanager.

    otel-ml.rules.yml passes on what the processor concludes, and tells of what does not arrive or is lost.
    otel-ml-thresholds.rules.yml is for those who would rather decide on drift in Prometheus.

    \b
    otel-ml rules export --output /etc/prometheus/otel-ml --runbooks https://runbooks.example/ml
    otel-ml rules export --stdout --file otel-ml.rules.yml | promtool check rules /dev/stdin
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    from otel_ml.backends.prometheus.files import files
    from otel_ml.backends.prometheus.rule import RuleOptions

    if clears_below > fires_above:
        raise click.UsageError(f"--clears-below: {clears_below:g} is above --fires-above, {fires_above:g}")
    options = RuleOptions(
        histograms="native" if histograms == "native" else "classic",
        runbooks=runbooks,
        grafana=grafana,
        console=console,
        silent_after=silent_after,
        error_share=errors,
        lost_share=lost,
        statistic=statistic,
        fires_above=fires_above,
        clears_below=clears_below,
        min_rows=min_rows,
        missing_above=missing_above,
        hold=hold,
    )
    texts = files(options)
    chosen = {name: text for name, text in texts.items() if not only or name in only}
    if to_stdout:
        if len(chosen) != 1:
            raise click.UsageError(f"--stdout: prints one file (--file {' or --file '.join(texts)})")
        click.echo(next(iter(chosen.values())), nl=False)
        return
    write(chosen, output, force=force)

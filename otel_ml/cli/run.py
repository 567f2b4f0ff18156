"""`otel-ml run`: start a model server with everything switched on."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import click

from otel_ml import environment_variables as variables
from otel_ml.cli.completion import files
from otel_ml.cli.numbers import Number

# The library itself is imported where a baseline has to be read: the server should not wait for numpy twice.

_SERVICE_NAME: Final = "OTEL_SERVICE_NAME"
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL: Final = "OTEL_EXPORTER_OTLP_PROTOCOL"
_SIGNALS: Final = ("TRACES", "METRICS", "LOGS")
_LAUNCHER: Final = "opentelemetry-instrument"


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--name", metavar="SERVICE", help="The service's name: OTEL_SERVICE_NAME.")
@click.option("--endpoint", metavar="URL", help="Where all signals go: OTEL_EXPORTER_OTLP_ENDPOINT.")
@click.option(
    "--protocol", type=click.Choice(("grpc", "http/protobuf")), help="How they go there: OTEL_EXPORTER_OTLP_PROTOCOL."
)
@click.option("--model", metavar="NAME", help="Of a model that the code gives no name: OTEL_PYTHON_ML_MODEL_NAME.")
@click.option("--model-version", metavar="VERSION", help="Its version: OTEL_PYTHON_ML_MODEL_VERSION.")
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What normal looks like; repeatable: OTEL_PYTHON_ML_BASELINE.",
)
@click.option(
    "--interval",
    "interval_s",
    type=Number(0.01, 86_400),
    metavar="S",
    help="Seconds between two snapshots: OTEL_PYTHON_ML_EXPORT_INTERVAL.",
)
@click.option("--print", "is_print", is_flag=True, help="Show what would be set, as lines for a shell, and stop.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, shell_complete=files)
def run(
    *,
    name: str | None,
    endpoint: str | None,
    protocol: str | None,
    model: str | None,
    model_version: str | None,
    baselines: tuple[Path, ...],
    interval_s: float | None,
    is_print: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND under opentelemetry-instrument, with the variables that these options stand for.

    What is not given stays as the environment has it. The command takes the place of this process: signals and the
    exit code are its own.

    \b
    otel-ml run --name fraud --model fraud --model-version 3 --baseline fraud-3.baseline -- uvicorn app:app
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    changed: dict[str, str | None] = {
        variable: value
        for variable, value in (
            (_SERVICE_NAME, name),
            (_ENDPOINT, _endpoint(endpoint)),
            (_PROTOCOL, protocol),
            (variables.OTEL_PYTHON_ML_MODEL_NAME, model),
            (variables.OTEL_PYTHON_ML_MODEL_VERSION, model_version),
            (variables.OTEL_PYTHON_ML_BASELINE, _joined(baselines)),
            (variables.OTEL_PYTHON_ML_EXPORT_INTERVAL, None if interval_s is None else str(round(interval_s * 1000))),
        )
        if value is not None
    }
    # A variable of one signal would win over what was just said of all of them.
    for variable, value in ((_ENDPOINT, endpoint), (_PROTOCOL, protocol)):
        for signal in _SIGNALS if value is not None else ():
            own = variable.replace("OTLP_", f"OTLP_{signal}_")
            if own in os.environ:
                changed[own] = None
    environment = {**os.environ, **{variable: value for variable, value in changed.items() if value is not None}}
    for variable, value in changed.items():
        if value is None:
            environment.pop(variable, None)
    if baselines or model is not None or model_version is not None:
        _refuse_other_models(environment, changed)
    if is_print:
        for line in _lines(changed):
            click.echo(line)
        return
    _warn_of_port(environment)
    executable = _executable(command, environment)
    launcher = _launcher(environment)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(launcher, [str(launcher), str(executable), *command[1:]], environment)  # noqa: S606 - what it is for
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{str(launcher)!r} cannot be run: {error}") from error


def _lines(changed: Mapping[str, str | None]) -> list[str]:
    return [
        f"unset {variable}" if value is None else f"export {variable}={shlex.quote(value)}"
        for variable, value in changed.items()
    ]


def _endpoint(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    from otel_ml.cli.otlp.destination import destinations
    from otel_ml.cli.otlp.problems import scheme_problem

    # Of an exporter's environment nothing counts here but the endpoint itself.
    found = scheme_problem(destinations({}, endpoint=endpoint)["traces"])
    if found is not None:
        raise click.UsageError(f"{found.what} ({found.fix})")
    return endpoint


def _joined(baselines: Sequence[Path]) -> str | None:
    if not baselines:
        return None
    # Absolute: servers change their directory.
    paths = [str(path.absolute()) for path in baselines]
    for path in paths:
        if os.pathsep in path:
            raise click.UsageError(
                f"--baseline: {path!r} holds {os.pathsep!r}, which separates paths (a path without it)"
            )
    return os.pathsep.join(paths)


def _refuse_other_models(environment: Mapping[str, str], changed: Mapping[str, str | None]) -> None:
    """Refuse what could not work: a baseline that cannot be read, or is of another model."""
    paths = [path for path in environment.get(variables.OTEL_PYTHON_ML_BASELINE, "").split(os.pathsep) if path]
    if not paths:
        return
    from otel_ml.baseline import Baseline
    from otel_ml.cli.baseline_match import mismatch
    from otel_ml.errors import BaselineError, ConfigurationError

    try:
        models = [Baseline.load(path).model for path in paths]
    except BaselineError as error:
        raise ConfigurationError(str(error)) from error
    name = environment.get(variables.OTEL_PYTHON_ML_MODEL_NAME, "")
    version = environment.get(variables.OTEL_PYTHON_ML_MODEL_VERSION, "")
    wrong = mismatch(name, version, models) if name else None
    if wrong is not None:
        source = "" if variables.OTEL_PYTHON_ML_BASELINE in changed else f" in {variables.OTEL_PYTHON_ML_BASELINE}"
        raise ConfigurationError(f"{wrong.what}{source}: {_as_options(wrong.fix)}")


def _as_options(fix: str) -> str:
    for variable, option in (
        (variables.OTEL_PYTHON_ML_MODEL_NAME, "--model"),
        (variables.OTEL_PYTHON_ML_MODEL_VERSION, "--model-version"),
    ):
        fix = fix.replace(f"export {variable}=", f"{option} ")
    return fix


def _warn_of_port(environment: Mapping[str, str]) -> None:
    from otel_ml.cli.otlp.destination import destinations
    from otel_ml.cli.otlp.problems import protocol_problem

    found = {protocol_problem(one, None) for one in destinations(environment).values()} - {None}
    for one in found:
        if one is not None:
            click.echo(f"otel-ml run: {one.what}: {one.fix}", err=True)


def _executable(command: Sequence[str], environment: Mapping[str, str]) -> Path:
    from otel_ml.cli.executables import environment_of, find

    if not command:
        raise click.UsageError("no command (otel-ml run -- uvicorn app:app)")
    word = command[0]
    if Path(word).name == _LAUNCHER:
        raise click.UsageError(f"{word!r}: otel-ml run starts it itself (otel-ml run -- {shlex.join(command[1:])})")
    path = find(word, environment)
    if path is None:
        raise click.UsageError(f"command {word!r} is not found{_meant(command, environment)}")
    prefix = environment_of(path)
    if prefix is not None and prefix.resolve() != Path(sys.prefix).resolve():
        click.echo(
            f"otel-ml run: {str(path)!r} is run by the Python of {str(prefix)!r}, where otel-ml may not be installed"
            f" (this one is {sys.prefix!r})",
            err=True,
        )
    return path


def _meant(command: Sequence[str], environment: Mapping[str, str]) -> str:
    word = command[0]
    if word.endswith(".py"):
        return f"; did you mean `python {shlex.join(command)}`?" if Path(word).exists() else " (there is no such file)"
    if ":" in word and "/" not in word:
        return f"; did you mean `uvicorn {shlex.join(command)}`?"
    if Path(word).is_dir():
        return " (it is a directory)"
    if Path(word).exists():
        return f" (it cannot be executed: chmod +x {shlex.quote(word)})"
    folders = [str(Path(sys.executable).parent), *environment.get("PATH", os.defpath).split(os.pathsep)]
    names: set[str] = set()
    for folder in folders:
        try:
            names.update(path.name for path in Path(folder or ".").iterdir())
        except OSError:
            continue
    close = get_close_matches(word, sorted(names), n=1, cutoff=0.7)
    return f" (a program on PATH); did you mean {close[0]!r}?" if close else " (a program on PATH, or a path to one)"


def _launcher(environment: Mapping[str, str]) -> Path:
    from otel_ml.cli.executables import find

    found = find(_LAUNCHER, environment)
    if found is None:
        raise click.ClickException(f"{_LAUNCHER} is not installed: pip install opentelemetry-distro")
    return found

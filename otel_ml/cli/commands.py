"""The group that all commands are in."""

from __future__ import annotations

import errno
import json
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from otel_ml.errors import ConfigurationError, OtelMLError

_GROUP: Final = "otel_ml_command"
_FOR_MACHINES: Final = "otel_ml.json"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EFBIG, errno.EDQUOT})
"""The disk's business, wherever it shows: no bug of ours."""
_SUMMARIES: Final = {
    "baseline": "Summarise training data; look at such summaries, and compare them.",
    "config": "Check a processor's configuration, begin one, or describe it to an editor.",
    "dashboards": "Write Grafana dashboards for what the processor sends.",
    "dead-letters": "Look at what no backend took; send it again, or throw it away.",
    "demo": "See a real model drift, an alert fire and resolve, within a minute.",
    "doctor": "Find out why telemetry does not arrive, and what to do about it.",
    "processor": "Run the service that turns sketches into drift metrics.",
    "registry": "Print every name on the wire, as OpenTelemetry's weaver reads it.",
    "report": "Compare data with a baseline on one page to keep or send.",
    "rules": "Write Prometheus rules for what the processor sends.",
    "run": "Start a model server with everything switched on.",
    "send-test": "Send one of each signal, and tell what became of them.",
}
"""What `--help` says of commands that it does not import."""
_EXTRAS: Final = {"config": "processor", "dead-letters": "processor", "demo": "demo", "processor": "processor"}
"""Extras of the distribution that commands need beside this one."""


class LazyGroup(click.Group):
    """A group whose commands are entry points: other distributions can add some, and `--help` imports none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands by name."""
        return sorted({*super().list_commands(ctx), *_commands()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        entry_point = _commands().get(cmd_name)
        if entry_point is None:
            return super().get_command(ctx, cmd_name)
        try:
            command = entry_point.load()
        except ModuleNotFoundError as error:
            missing = (error.name or "").partition(".")[0]
            if missing in ("", "otel_ml", "collector_processor"):
                raise
            hint = f": pip install 'otel-ml[{_EXTRAS[cmd_name]}]'" if cmd_name in _EXTRAS else ""
            raise click.UsageError(f"{cmd_name} needs {missing}, which is not installed{hint}", ctx) from error
        if not isinstance(command, click.Command):
            raise click.UsageError(f"{entry_point.value} is no command", ctx)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands in `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _SUMMARIES.get(name, "")) for name in self.list_commands(ctx)])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a shell may complete; as for `--help`, no command is imported for it."""
        names = [name for name in self.list_commands(ctx) if name.startswith(incomplete)]
        found = [CompletionItem(name, help=_SUMMARIES.get(name)) for name in names]
        # What a plain command has: the options.
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """As click does, but an unknown command is told the one that may have been meant."""
        name = args[0]
        if name not in self.list_commands(ctx) and not name.startswith("-"):
            from otel_ml.baseline.suggestion import unknown

            ctx.fail(unknown("command", name, self.list_commands(ctx)))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what our errors say is shown without a traceback, and to machines as an object."""
        try:
            return self._run(ctx)
        except click.ClickException as error:
            if ctx.meta[_FOR_MACHINES]:
                click.echo(json.dumps({"error": error.format_message(), "exit_code": error.exit_code}))
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does; whether `--json` was given is remembered for errors that a command never sees."""
        words = args[: args.index("--")] if "--" in args else args
        # The words of `run` are another program's.
        ctx.meta[_FOR_MACHINES] = "--json" in words and words[0] != "run"
        return super().parse_args(ctx, args)

    def _run(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise _Refused(str(error), 2) from error
        except OtelMLError as error:
            raise _Refused(str(error), 1) from error
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise _Refused(f"cannot write: {error.strerror}", 1) from error


class _Refused(click.ClickException):
    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc]  # click declares it on the class, and reads it here


def _commands() -> dict[str, EntryPoint]:
    return {entry_point.name: entry_point for entry_point in entry_points(group=_GROUP)}


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="otel-ml", message="otel-ml %(version)s")
def otel_ml() -> None:
    """OpenTelemetry for model servers: sketches in, drift metrics out."""

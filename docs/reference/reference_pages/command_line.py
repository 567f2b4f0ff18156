"""The page of commands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from otel_ml.cli.commands import otel_ml
from reference_pages.markdown import anchor, anchored, code, literal, number, prose, sentence, table, written_from


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from written_from("the commands themselves (otel_ml/cli, collector_processor)")
    yield "# The command line: every command and option"
    yield ""
    yield (
        "What the commands are for stands in [cli.md](../cli.md). Results go to stdout, progress and problems to"
        " stderr. Exit codes: 0 fine, 1 a problem was found, 2 wrong usage or configuration. All take `--help`."
    )
    yield ""
    root = click.Context(otel_ml, info_name="otel-ml")
    commands = list(_commands(root))
    yield from table(
        ("command", "for"),
        (
            (f"[{code(context.command_path)}](#{anchor(context.command_path)})", _briefly(context.command))
            for context in commands
            if not isinstance(context.command, click.Group)
        ),
    )
    for context in (root, *commands):
        yield from _command(context, depth=2 if context is root or context.parent is root else 3)


def _commands(parent: click.Context) -> Iterator[click.Context]:
    """All commands below one, each before its own."""
    group = parent.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(parent):
        command = group.get_command(parent, name)
        if command is not None and not command.hidden:
            context = click.Context(command, info_name=name, parent=parent)
            yield context
            yield from _commands(context)


def _briefly(command: click.Command) -> str:
    """The first sentence of the help, whole."""
    first = inspect.cleandoc(command.help or "").partition("\n\n")[0]
    return sentence(" ".join(first.split()))


def _command(context: click.Context, depth: int) -> Iterator[str]:
    command = context.command
    yield f"{'#' * depth} {literal(context.command_path)}"
    yield ""
    pieces = " ".join(command.collect_usage_pieces(context))
    yield "```text"
    yield f"{context.command_path} {pieces}".rstrip()
    yield "```"
    yield ""
    yield from _help(command.help or "")
    # click adds --help to each: said once, above.
    shown = [one for one in command.get_params(context) if not (isinstance(one, click.Option) and one.hidden)]
    shown = [one for one in shown if "--help" not in one.opts]
    arguments = [one for one in shown if isinstance(one, click.Argument)]
    options = [one for one in shown if isinstance(one, click.Option)]
    if arguments:
        yield from table(("argument", "type", "there"), (_argument(one, context) for one in arguments))
    if options:
        yield from table(("option", "type", "default", "meaning"), (_option(one, context) for one in options))


def _help(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).replace("\f", "").split("\n\n"):
        if paragraph.startswith("\b"):
            # click's mark of lines that stay as they are.
            yield "```text"
            yield from paragraph.removeprefix("\b").strip("\n").splitlines()
            yield "```"
            yield ""
        elif paragraph.strip():
            yield prose(" ".join(paragraph.split()))
            yield ""


def _argument(argument: click.Argument, context: click.Context) -> tuple[str, ...]:
    several = ", several" if argument.nargs != 1 else ""
    name = argument.make_metavar(context).strip("[].")
    return code(name), f"{_type(argument.type)}{several}", "required" if argument.required else "optional"


def _option(option: click.Option, context: click.Context) -> tuple[str, ...]:
    kind = "flag" if option.is_flag else _type(option.type)
    if option.metavar and not option.is_flag:
        kind = f"{code(option.metavar)}, {kind}"
    names = ", ".join(
        [anchored(name, prefix=f"{context.command_path} ", shown=name) for name in option.opts[-1:]]
        + [code(name) for name in (*option.opts[:-1], *option.secondary_opts)]
    )
    default = "required" if option.required else _default(option)
    return names, f"{kind}, repeatable" if option.multiple else kind, default, sentence(option.help or "")


def _default(option: click.Option) -> str:
    # Not every release of click has the same word for "none given".
    value = option.default
    is_given = isinstance(value, str | int | float | Path) and not isinstance(value, bool) and value != ""
    return code(str(value)) if is_given else ""


def _type(kind: click.ParamType) -> str:
    if isinstance(kind, click.Choice):
        return ", ".join(code(str(choice)) for choice in kind.choices)
    if isinstance(kind, click.Path):
        return "directory" if kind.dir_okay and not kind.file_okay else "file" if not kind.dir_okay else "path"
    name = {"integer": "whole number", "float": "number"}.get(kind.name.partition(" ")[0], kind.name)
    if isinstance(kind, click.IntRange | click.FloatRange):
        name = "whole number" if isinstance(kind, click.IntRange) else "number"
        low, high = kind.min, kind.max
        if low is not None and high is not None:
            return f"{name} from {number(low)} to {number(high)}"
        return f"{name} from {number(low)} on" if low is not None else name
    return literal(name)

"""The command: asks everything, tells problems first, and ends with 1 if there is one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from otel_ml.cli.completion import files
from otel_ml.cli.numbers import Number

if TYPE_CHECKING:
    from otel_ml.cli.doctor.finding import Check, Finding

_COLOURS = {"ok": "green", "problem": "red", "unknown": "yellow"}
_MARKS = {"ok": "OK", "problem": "PROBLEM", "unknown": "CANNOT TELL"}
_INDENT = " " * 13
_SHOWN = 600


@click.command(context_settings={"allow_interspersed_args": False})
@click.option("--endpoint", metavar="URL", help="Instead of what OTEL_EXPORTER_OTLP_ENDPOINT says.")
@click.option(
    "--protocol",
    type=click.Choice(("grpc", "http/protobuf")),
    help="Instead of what OTEL_EXPORTER_OTLP_PROTOCOL says.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration of a processor on this machine, to be examined as well.",
)
@click.option("--skip", "skipped", multiple=True, metavar="CHECK", help="Leave a check out; repeatable.")
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(0.1, 60.0),
    default=3.0,
    show_default=True,
    metavar="S",
    help="For each attempt to reach something.",
)
@click.option("--list", "is_list", is_flag=True, help="List the checks, and stop.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, shell_complete=files)
def doctor(
    *,
    endpoint: str | None,
    protocol: str | None,
    config: Path | None,
    skipped: tuple[str, ...],
    timeout_s: float,
    is_list: bool,
    as_json: bool,
    command: tuple[str, ...],
) -> None:
    """Find out why telemetry does not arrive, and what to do about it.

    Run it where the model server runs, with its environment; COMMAND is what starts the server. Exits with 0 if no
    problem was found, with 1 otherwise.

    \b
    otel-ml doctor -- uvicorn app:app
    otel-ml doctor --endpoint http://collector:4317
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from otel_ml.cli.doctor.examined import Examined
    from otel_ml.cli.doctor.finding import Verdict
    from otel_ml.cli.doctor.registry import all_checks, run

    checks = all_checks()
    _refuse_unknown(skipped, checks)
    if is_list:
        _list(checks, as_json=as_json)
        return
    examined = Examined(
        os.environ.copy(), endpoint=endpoint, protocol=protocol, command=command, config=config, timeout_s=timeout_s
    )
    chosen = [check for check in checks if check.name not in skipped]
    findings = []
    for check, finding in run(chosen, examined):
        _progress(check.name)
        findings.append((check, finding))
    _progress("")
    is_fine = all(finding.verdict is not Verdict.PROBLEM for _, finding in findings)
    if as_json:
        described = [_described(check, finding) for check, finding in findings]
        click.echo(json.dumps({"ok": is_fine, "findings": described}, ensure_ascii=True))
    else:
        _show(findings)
    sys.exit(0 if is_fine else 1)


def _refuse_unknown(skipped: Sequence[str], checks: Sequence[Check]) -> None:
    names = [check.name for check in checks]
    for name in skipped:
        if name not in names:
            from otel_ml.baseline.suggestion import unknown

            raise click.UsageError(f"--skip: {unknown('check', name, names)}")


def _list(checks: Sequence[Check], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([{"check": check.name, "asks": check.asks} for check in checks]))
        return
    width = max(len(check.name) for check in checks)
    for check in checks:
        click.echo(f"{check.name:<{width}}  {check.asks}")


def _described(check: Check, finding: Finding) -> dict[str, str]:
    from otel_ml.cli.otlp.problems import documentation

    return {
        "check": check.name,
        "verdict": finding.verdict.value,
        "what": finding.what,
        "why": finding.why,
        "fix": finding.fix,
        "link": documentation(check.name),
    }


def _show(findings: Sequence[tuple[Check, Finding]]) -> None:
    """Problems first: whoever reads no further has read them."""
    order = list(reversed(("ok", "unknown", "problem")))
    ranked = sorted(findings, key=lambda found: order.index(found[1].verdict.value))
    width = max((len(check.name) for check, _ in findings), default=0)
    for check, finding in ranked:
        described, verdict = _described(check, finding), finding.verdict.value
        mark = click.style(f"{_MARKS[verdict]:<11}", fg=_COLOURS[verdict], bold=verdict == "problem")
        _echo(f"{mark}  {check.name:<{width}}  {_plain(finding.what)}")
        details = ("why", "fix", "link") if verdict == "problem" else ("why", "fix")
        for name in details if verdict != "ok" else ():
            if described[name]:
                _echo(f"{_INDENT}{name + ':':<5} {_plain(described[name])}")
    counts = {name: sum(finding.verdict.value == name for _, finding in findings) for name in order}
    problems = "1 problem" if counts["problem"] == 1 else f"{counts['problem']} problems"
    _echo(f"{problems}, {counts['unknown']} cannot be told, {counts['ok']} OK")


def _plain(text: str) -> str:
    """Without what a terminal would obey, and not endless: names and answers come from elsewhere."""
    plain = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    return plain if len(plain) <= _SHOWN else f"{plain[: _SHOWN - 1]}…"


def _echo(text: str) -> None:
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)


def _progress(name: str) -> None:
    """One line on a terminal that says what is asked."""
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{name}", nl=False, err=True)

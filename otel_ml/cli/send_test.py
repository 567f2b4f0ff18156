"""`otel-ml send-test`: send one of each signal, and tell what became of them."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from otel_ml.cli.numbers import Number

if TYPE_CHECKING:
    from otel_ml.cli.sample_telemetry import Sent

_DEFAULT_STATUS: Final = "http://127.0.0.1:13133"
_POLL_S: Final = 0.1
_SHOWN: Final = 600


@click.command("send-test")
@click.option("--endpoint", metavar="URL", help="Instead of what OTEL_EXPORTER_OTLP_ENDPOINT says.")
@click.option(
    "--protocol",
    type=click.Choice(("grpc", "http/protobuf")),
    help="Instead of what OTEL_EXPORTER_OTLP_PROTOCOL says.",
)
@click.option(
    "--status",
    metavar="URL",
    help=f"Status endpoint of the processor, which is asked whether it counted them. Default: {_DEFAULT_STATUS}, if it"
    " answers.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=Number(0.1, 300.0),
    metavar="S",
    help="For each request, and for the processor's counting. Default: OTEL_EXPORTER_OTLP_TIMEOUT, or 10.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def send_test(
    *, endpoint: str | None, protocol: str | None, status: str | None, timeout_s: float | None, as_json: bool
) -> None:
    """Send a span, a metric, a log record and a snapshot of the model otel-ml-send-test.

    They go where the environment's variables of OTLP say, once, without another try. Exits with 0 if all of them were
    taken, and counted where that can be seen, with 1 otherwise.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from otel_ml.cli.processor_counts import Counts, read
    from otel_ml.cli.sample_telemetry import send_all

    explicit = status is not None
    place = status or _DEFAULT_STATUS
    before = read(place)
    if isinstance(before, str) and explicit:
        raise click.UsageError(f"--status: {place!r}: {before} (the URL of service::status, such as {_DEFAULT_STATUS})")
    sent = send_all(os.environ.copy(), endpoint=endpoint, protocol=protocol, timeout_s=timeout_s)
    uncounted: list[str] | None = None
    if isinstance(before, Counts):
        taken = [one.kind for one in sent if one.is_fine]
        uncounted = _uncounted(place, before, taken, timeout_s or 10.0)
    is_fine = all(one.is_fine for one in sent) and not (explicit and uncounted)
    if as_json:
        click.echo(json.dumps(_described(sent, place, uncounted, is_fine=is_fine)))
    else:
        _show(sent, place, uncounted, explicit=explicit)
    sys.exit(0 if is_fine else 1)


def _uncounted(place: str, before: Any, kinds: Sequence[str], patience_s: float) -> list[str]:
    """What of that which was taken the processor has not counted in the end."""
    from otel_ml.cli.processor_counts import Counts, read

    deadline = time.monotonic() + patience_s
    missing = list(kinds)
    while missing:
        now = read(place)
        if isinstance(now, Counts):
            missing = [kind for kind in kinds if not now.grew(before, kind)]
        if not missing or time.monotonic() > deadline:
            break
        # A Collector in between sends in batches.
        time.sleep(_POLL_S)
    return missing


def _described(sent: Sequence[Sent], place: str, uncounted: list[str] | None, *, is_fine: bool) -> Mapping[str, Any]:
    described = []
    for one in sent:
        counted = None if uncounted is None or not one.is_fine else one.kind not in uncounted
        described.append({**one.described(), "counted": counted})
    return {"ok": is_fine, "sent": described, "status": None if uncounted is None else place}


def _show(sent: Sequence[Sent], place: str, uncounted: list[str] | None, *, explicit: bool) -> None:
    told: list[object] = []
    for one in sent:
        mark = click.style("taken ", fg="green") if one.is_fine else click.style("FAILED", fg="red", bold=True)
        _echo(f"{mark}  {one.kind:<8}  {one.endpoint!r}: {one.said}")
        # What is wrong on the way is wrong for all of them.
        if one.explanation is not None and one.explanation not in told:
            told.append(one.explanation)
            for name in ("what", "why", "fix", "link"):
                _echo(f"                  {name + ':':<5} {getattr(one.explanation, name)}")
    if uncounted is None:
        _echo(f"no processor answers at {place} (--status says where one does), so nobody was asked what it counted")
    elif not any(one.is_fine for one in sent):
        return
    elif not uncounted:
        _echo(f"{place}: the processor counted all that was taken")
    else:
        mark = click.style("FAILED", fg="red", bold=True) if explicit else "note  "
        _echo(f"{mark}  {place}: the processor has not counted: {', '.join(uncounted)}")
        _echo(
            "                  fix:  is this the processor that the endpoint leads to? A Collector in between may wait,"
        )
        _echo("                        or have no pipeline to it: its own log, and `otel-ml doctor`, say more")


def _echo(text: str) -> None:
    text = text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)

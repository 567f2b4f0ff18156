"""`otel-ml dead-letters`: look at what no backend took, send it again, or throw it away."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector_processor.component import Signal
from collector_processor.errors import DeadLetterError, PermanentError, Problem, RetryableError, UnauthorizedError
from collector_processor.exporters.grpc_transport import GrpcTransport
from collector_processor.exporters.http_transport import HttpTransport
from collector_processor.exporters.settings import OtlpGrpcSettings, OtlpHttpSettings
from collector_processor.exporters.transport import Transport
from collector_processor.store.dead_letters import DeadLetterBox, KeptLetter
from collector_processor.validation import validate

_Path = click.Path(path_type=Path)
_HEADINGS: Final = ("id", "kept", "source", "signal", "reason", "items", "bytes", "detail")
_RIGHT: Final = frozenset(("id", "items", "bytes"))
_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
}
_SHOWN_DETAIL: Final = 80
_ATTEMPTS: Final = 3
_LONGEST_WAIT_S: Final = 30.0


@click.group("dead-letters")
@click.option(
    "--store", "directory", required=True, type=_Path, metavar="DIRECTORY", help="What store::directory names."
)
@click.pass_context
def dead_letters(context: click.Context, directory: Path) -> None:
    """Look at requests that no backend took; send them again, or throw them away.

    Works while the processor runs, and when it does not.
    """
    context.obj = directory


def _choice(command: Any) -> Any:
    """Options that choose letters."""
    reason = click.option("--reason", "reasons", multiple=True, metavar="REASON", help="Only those refused for this.")
    one = click.option("--id", "ids", multiple=True, type=int, metavar="ID", help="Only this one; repeatable.")
    return one(reason(command))


@dead_letters.command("list")
@_choice
@click.option("--json", "as_json", is_flag=True, help="For machines: one object a line.")
@click.pass_obj
def list_letters(directory: Path, *, ids: tuple[int, ...], reasons: tuple[str, ...], as_json: bool) -> None:
    """List dead letters, oldest first."""
    with DeadLetterBox(directory) as box:
        letters = _chosen(box, ids, reasons)
    if as_json:
        for letter in letters:
            click.echo(json.dumps(_described(letter), ensure_ascii=False))
    elif not letters:
        click.echo(f"{directory}: no dead letters")
    else:
        _show_rows([_row(letter) for letter in letters])


@dead_letters.command()
@click.argument("letter_id", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="The request as OTLP/JSON.")
@click.option("-o", "--output", type=_Path, metavar="FILE", help="Write the request into a file, byte for byte.")
@click.pass_obj
def show(directory: Path, letter_id: int, *, as_json: bool, output: Path | None) -> None:
    """Show what a dead letter holds."""
    with DeadLetterBox(directory) as box:
        (letter,) = _chosen(box, (letter_id,), ())
        body = box.body(letter_id) or b""
    if output is not None:
        try:
            output.write_bytes(body)
        except OSError as error:
            raise DeadLetterError(f"{str(output)!r}: {error.strerror} (a file that can be written)") from error
    decoded = _decoded(letter, body)
    if as_json:
        if decoded is None:
            raise DeadLetterError(
                f"letter {letter_id}: is no OTLP request of {letter.signal.value} (--output writes it as it is)"
            )
        click.echo(json.dumps(decoded, ensure_ascii=False))
        return
    for name, value in _described(letter).items():
        click.echo(f"{name + ':':<8} {value}")
    if decoded is None:
        click.echo(f"content: cannot be decoded as a request of {letter.signal.value}")
    else:
        click.echo("content:")
        click.echo(json.dumps(decoded, ensure_ascii=False, indent=2))


@dead_letters.command()
@click.option(
    "--endpoint", required=True, metavar="HOST:PORT|URL", help="host:port for OTLP/gRPC, http(s)://… for OTLP/HTTP."
)
@_choice
@click.option("--protocol", type=click.Choice(("grpc", "http")), help="Where the endpoint does not say it.")
@click.option("--insecure", is_flag=True, help="Plain text to a gRPC endpoint without a scheme.")
@click.option("--ca-file", metavar="FILE", help="PEM of whom to trust.")
@click.option("--cert-file", metavar="FILE", help="PEM of our own certificate.")
@click.option("--key-file", metavar="FILE", help="PEM of its key.")
@click.option("--header", "headers", multiple=True, metavar="NAME=VALUE", help="Sent with each request; repeatable.")
@click.option("--timeout", default="10s", metavar="DURATION", help="Of one attempt.")
@click.pass_obj
def replay(
    directory: Path, /, *, endpoint: str, ids: tuple[int, ...], reasons: tuple[str, ...], **connection: Any
) -> None:
    """Send dead letters as OTLP, and remove those that were taken.

    Exits with 0 when all were taken, with 1 when some remain.
    """
    with DeadLetterBox(directory) as box:
        transport = _transport(endpoint, **connection)
        letters = _chosen(box, ids, reasons)
        outcome = asyncio.run(_send_all(box, letters, transport))
        box.shrink()
    click.echo(f"{endpoint}: {outcome.taken} of {len(letters)} dead letters were taken, {outcome.items} items")
    if outcome.failure:
        click.echo(outcome.failure, err=True)
    if outcome.remaining:
        click.echo(f"{outcome.remaining} dead letters remain", err=True)
        sys.exit(1)


@dead_letters.command()
@_choice
@click.option("--all", "is_all", is_flag=True, help="All of them.")
@click.pass_obj
def purge(directory: Path, *, ids: tuple[int, ...], reasons: tuple[str, ...], is_all: bool) -> None:
    """Throw dead letters away, for good."""
    if not (ids or reasons or is_all):
        raise click.UsageError("nothing is chosen (--id, --reason, or --all)")
    with DeadLetterBox(directory) as box:
        letters = _chosen(box, ids, reasons)
        for letter in letters:
            box.remove(letter.id)
        box.shrink()
    click.echo(f"{directory}: {len(letters)} dead letters removed, {sum(letter.items for letter in letters)} items")


@dataclass(slots=True)
class _Outcome:
    remaining: int
    taken: int = 0
    items: int = 0
    failure: str = ""


async def _send_all(box: DeadLetterBox, letters: Sequence[KeptLetter], transport: Transport) -> _Outcome:
    """Send letters one after the other; a backend that is down or does not know us ends it, a refusal does not."""
    outcome = _Outcome(len(letters))
    try:
        for letter in letters:
            body = box.body(letter.id)
            if body is not None:
                try:
                    rejected = await _send(transport, letter, body)
                except PermanentError as error:
                    click.echo(f"letter {letter.id}: {error}", err=True)
                    continue
                if rejected >= letter.items > 0:
                    click.echo(f"letter {letter.id}: taken, but all of its {letter.items} items rejected", err=True)
                    continue
                if rejected:
                    # Sent again, what was taken would be there twice.
                    click.echo(f"letter {letter.id}: {rejected} of its {letter.items} items were rejected", err=True)
                box.remove(letter.id)
                outcome.taken += 1
                outcome.items += letter.items - rejected
            outcome.remaining -= 1
    except (RetryableError, UnauthorizedError) as error:
        outcome.failure = str(error)
    finally:
        await transport.close()
    return outcome


async def _send(transport: Transport, letter: KeptLetter, body: bytes) -> int:
    for attempt in range(1, _ATTEMPTS):
        try:
            return await transport.send(letter.signal, body)
        except RetryableError as error:
            await asyncio.sleep(min(attempt if error.delay_s is None else error.delay_s, _LONGEST_WAIT_S))
    return await transport.send(letter.signal, body)


def _transport(endpoint: str, *, protocol: str | None, headers: Sequence[str], timeout: str, **tls: Any) -> Transport:
    problems: list[Problem] = []
    raw = {
        "endpoint": endpoint,
        "headers": dict(_header(header) for header in headers),
        "timeout": timeout,
        "tls": {name: value for name, value in tls.items() if value},
    }
    if protocol == "http" or (protocol is None and "://" in endpoint):
        over_http = validate(OtlpHttpSettings, raw, (), problems)
        if over_http is not None:
            return HttpTransport(over_http)
    else:
        over_grpc = validate(OtlpGrpcSettings, raw, (), problems)
        if over_grpc is not None:
            return GrpcTransport(over_grpc)
    raise click.UsageError("\n".join(str(problem) for problem in problems))


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not name or not separator:
        raise click.UsageError(f"--header: {text!r} is no header (NAME=VALUE)")
    return name, value


def _chosen(box: DeadLetterBox, ids: Sequence[int], reasons: Sequence[str]) -> list[KeptLetter]:
    letters = box.letters(ids)
    missing = sorted(set(ids) - {letter.id for letter in letters})
    if missing:
        raise DeadLetterError(f"letter {missing[0]}: there is none with this id (`list` shows them)")
    return [letter for letter in letters if not reasons or letter.reason in reasons]


def _described(letter: KeptLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "kept": datetime.fromtimestamp(letter.kept_unix_nano / 1e9, tz=timezone.utc).isoformat(timespec="seconds"),
        "source": letter.source,
        "signal": letter.signal.value,
        "reason": letter.reason,
        "items": letter.items,
        "bytes": letter.size,
        "detail": letter.detail,
    }


def _row(letter: KeptLetter) -> tuple[str, ...]:
    described = _described(letter)
    detail = " ".join(letter.detail.split())
    described["detail"] = detail if len(detail) <= _SHOWN_DETAIL else f"{detail[: _SHOWN_DETAIL - 1]}…"
    return tuple(str(described[heading]) for heading in _HEADINGS)


def _decoded(letter: KeptLetter, body: bytes) -> Any:
    """The request as OTLP/JSON; None when it is no request."""
    try:
        request = _REQUESTS[letter.signal].FromString(body)
    except DecodeError:
        return None
    return _with_hex_ids(MessageToDict(request, use_integers_for_enums=True))


def _with_hex_ids(value: Any) -> Any:
    """OTLP/JSON differs from protobuf's own in this: ids are hexadecimal."""
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item).hex()
            if name in ("traceId", "spanId", "parentSpanId") and isinstance(item, str)
            else _with_hex_ids(item)
            for name, item in value.items()
        }
    return value


def _show_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """A table on a terminal, aligned lines elsewhere."""
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
        for row in (_HEADINGS, *rows):
            cells = [
                cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
                for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
            ]
            click.echo("  ".join(cells).rstrip())
        return

    table = Table(box=SIMPLE_HEAD)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in _RIGHT else "left", overflow="fold")
    for row in rows:
        # Not as markup: what a backend says may hold "[bold]".
        table.add_row(*map(Text, row))
    Console().print(table)

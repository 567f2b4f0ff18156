"""`otel-ml dead-letters`: look at what no backend took, send it again, or throw it away."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from collector_processor.errors import DeadLetterError

if TYPE_CHECKING:
    from collector_processor.store.dead_letters import DeadLetterBox, KeptLetter

# What opens, shows and sends letters is imported by the commands that do: `--help` should not wait for it.

_Path = click.Path(path_type=Path)


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
    from collector_processor.dead_letters import showing  # noqa: PLC0415 - see above
    from collector_processor.store.dead_letters import DeadLetterBox  # noqa: PLC0415 - see above

    with DeadLetterBox(directory) as box:
        letters = _chosen(box, ids, reasons)
    if as_json:
        for letter in letters:
            click.echo(json.dumps(showing.described(letter), ensure_ascii=False))
    elif not letters:
        click.echo(f"{directory}: no dead letters")
    else:
        showing.show_rows([showing.row(letter) for letter in letters])


@dead_letters.command()
@click.argument("letter_id", metavar="ID", type=int)
@click.option("--json", "as_json", is_flag=True, help="The request as OTLP/JSON.")
@click.option("-o", "--output", type=_Path, metavar="FILE", help="Write the request into a file, byte for byte.")
@click.pass_obj
def show(directory: Path, letter_id: int, *, as_json: bool, output: Path | None) -> None:
    """Show what a dead letter holds."""
    from collector_processor.dead_letters import showing  # noqa: PLC0415 - see above
    from collector_processor.store.dead_letters import DeadLetterBox  # noqa: PLC0415 - see above

    with DeadLetterBox(directory) as box:
        (letter,) = _chosen(box, (letter_id,), ())
        body = box.body(letter_id) or b""
    if output is not None:
        try:
            output.write_bytes(body)
        except OSError as error:
            raise DeadLetterError(f"{str(output)!r}: {error.strerror} (a file that can be written)") from error
    decoded = showing.decoded(letter, body)
    if as_json:
        if decoded is None:
            raise DeadLetterError(
                f"letter {letter_id}: is no OTLP request of {letter.signal.value} (--output writes it as it is)"
            )
        click.echo(json.dumps(decoded, ensure_ascii=False))
        return
    for name, value in showing.described(letter).items():
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
    from collector_processor.dead_letters import sending  # noqa: PLC0415 - see above
    from collector_processor.store.dead_letters import DeadLetterBox  # noqa: PLC0415 - see above

    with DeadLetterBox(directory) as box:
        transport = sending.transport_to(endpoint, **connection)
        letters = _chosen(box, ids, reasons)
        outcome = asyncio.run(sending.send_all(box, letters, transport))
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
    from collector_processor.store.dead_letters import DeadLetterBox  # noqa: PLC0415 - see above

    with DeadLetterBox(directory) as box:
        letters = _chosen(box, ids, reasons)
        for letter in letters:
            box.remove(letter.id)
        box.shrink()
    click.echo(f"{directory}: {len(letters)} dead letters removed, {sum(letter.items for letter in letters)} items")


def _chosen(box: DeadLetterBox, ids: Sequence[int], reasons: Sequence[str]) -> list[KeptLetter]:
    letters = box.letters(ids)
    missing = sorted(set(ids) - {letter.id for letter in letters})
    if missing:
        raise DeadLetterError(f"letter {missing[0]}: there is none with this id (`list` shows them)")
    return [letter for letter in letters if not reasons or letter.reason in reasons]

"""Sending dead letters again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from collector_processor.errors import PermanentError, Problem, RetryableError, UnauthorizedError
from collector_processor.exporters.grpc_transport import GrpcTransport
from collector_processor.exporters.http_transport import HttpTransport
from collector_processor.exporters.settings import OtlpGrpcSettings, OtlpHttpSettings
from collector_processor.exporters.transport import Transport
from collector_processor.store.dead_letters import DeadLetterBox, KeptLetter
from collector_processor.validation import validate

_ATTEMPTS: Final = 3
_LONGEST_WAIT_S: Final = 30.0


@dataclass(slots=True)
class Outcome:
    """What became of letters that were sent again; `failure` is what ended it, if anything did."""

    remaining: int
    taken: int = 0
    items: int = 0
    failure: str = ""


async def send_all(box: DeadLetterBox, letters: Sequence[KeptLetter], transport: Transport) -> Outcome:
    """Send letters one after the other; a backend that is down or does not know us ends it, a refusal does not."""
    outcome = Outcome(len(letters))
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


def transport_to(endpoint: str, *, protocol: str | None, headers: Sequence[str], timeout: str, **tls: Any) -> Transport:
    """A connection to an endpoint.

    Raises:
        UsageError: The options are not valid.
    """
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

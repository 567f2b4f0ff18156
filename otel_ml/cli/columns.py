"""What commands share that read columns of data."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable


def column_outputs(option: str, given: tuple[str, ...]) -> Any:
    """Columns, or a mapping from output to column where names are given."""
    pairs = [value.partition("=") for value in given]
    if not any(separator for _, separator, _ in pairs):
        return list(given) or None
    named: dict[str, str] = {}
    for value, (name, separator, column) in zip(given, pairs, strict=True):
        if not name or (separator and not column):
            raise click.UsageError(f"{option}: {value!r} (expected NAME=COLUMN)")
        if name in named:
            raise click.UsageError(f"{option}: two outputs are called {name!r}")
        named[name] = column if separator else name
    return named


def on_column() -> Callable[[str, int, int], None] | None:
    """One line on a terminal that says which column is being read; None where nobody would see it."""
    if not sys.stderr.isatty():
        return None
    from otel_ml.drawing.markup import shortened

    def tell(name: str, place: int, columns: int) -> None:
        click.echo(f"\r\033[K{place + 1}/{columns} {shortened(name, 60)}", nl=False, err=True)
        if place + 1 == columns:
            click.echo("\r\033[K", nl=False, err=True)

    return tell

"""Writing files that may be there already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from otel_ml.whole_file import put

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(files: Mapping[str, str], folder: Path, *, force: bool) -> None:
    """Write texts below a folder, and print where each is; none of them if one would replace what somebody changed.

    Raises:
        click.ClickException: A file is there and differs, or cannot be written.
    """
    changed = [path for path, text in files.items() if not force and _differs(folder / path, text)]
    if changed:
        raise click.ClickException(
            f"{', '.join(str(folder / path) for path in changed)}: there already, and different (--force replaces"
            " them, --output writes elsewhere)"
        )
    for path, text in files.items():
        target = folder / path
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            put(target, text)
        except OSError as error:
            raise click.ClickException(f"{target}: {error.strerror or error}") from error
        click.echo(target)


def refuse_to_replace(option: str, target: Path, *read: Path) -> None:
    """Refuse to write over what a command reads.

    Raises:
        click.UsageError: The target is one of these files.
    """
    for path in read:
        try:
            is_same = target.samefile(path)
        except OSError:
            # One of them is not there.
            continue
        if is_same:
            raise click.UsageError(f"{option}: {str(target)!r} is what is read (a file of its own)")


def _differs(path: Path, text: str) -> bool:
    try:
        return path.read_text(encoding="utf-8") != text
    except UnicodeDecodeError:
        return True
    except OSError:
        # Not there; or something that writing will tell of.
        return False


def is_address(_: click.Context, parameter: click.Parameter, value: str) -> str:
    """The value of an option that takes a web address, or nothing."""
    from urllib.parse import urlsplit

    if not value:
        return value
    try:
        parts = urlsplit(value)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good or not value.isprintable() or any(character in value for character in " \"'<>{}\\"):
        raise click.BadParameter(f"{value!r} is no web address (http://host:port)", param=parameter)
    return value.rstrip("/")

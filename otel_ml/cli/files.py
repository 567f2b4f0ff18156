"""Writing files that may be there already."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

_PREFIX: Final = 100
"""Characters of a file's name in that of its temporary one: names have a longest length."""


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


def put(target: Path, text: str) -> None:
    """Write a text, whole or not at all: a full disk or Ctrl-C leaves what was there.

    Raises:
        OSError: It cannot be written.
    """
    if target.exists() and not target.is_file():
        # A device or a pipe: there is nothing to keep, and nothing may take its place.
        target.write_text(text, encoding="utf-8")
        return
    # Through links, as any other program writes.
    place = target.resolve()
    mode = place.stat().st_mode if place.exists() else 0o666 & ~_umask()
    descriptor, name = tempfile.mkstemp(".tmp", f".{place.name[:_PREFIX]}.", place.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(text)
        temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(place)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


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


def _umask() -> int:
    # It can only be read by setting it; a command has one thread that writes.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


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

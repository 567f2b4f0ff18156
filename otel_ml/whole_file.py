"""Writing a text file, whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = 100
"""Characters of a file's name in that of its temporary one: names have a longest length."""
_reading_umask: Final = threading.Lock()


def put(target: Path, text: str, *, replace: bool = True) -> None:
    """Write a text, whole or not at all: a full disk or Ctrl-C leaves what was there.

    Args:
        replace: Whether a file that is there makes way, also one that appeared a moment ago.

    Raises:
        FileExistsError: It must not be replaced.
        OSError: It cannot be written.
    """
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if not replace and target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    if target.exists() and not target.is_file():
        # A device or a pipe: there is nothing to keep, and nothing may take its place.
        target.write_text(text, encoding="utf-8")
        return
    # Through links, as any other program writes.
    place = target.resolve()
    mode = place.stat().st_mode if place.exists() else 0o666 & ~umask()
    descriptor, name = tempfile.mkstemp(".tmp", f".{place.name[:_PREFIX]}.", place.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(text)
        temporary.chmod(stat.S_IMODE(mode))
        if not replace:
            # Only one can make a name, and only that one replaces what it made.
            place.touch(exist_ok=False)
        temporary.replace(place)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def umask() -> int:
    """Which permissions new files of this process do not get."""
    # It can only be read by setting it: two at a time would leave behind what they set.
    with _reading_umask:
        mask = os.umask(0o077)
        os.umask(mask)
    return mask

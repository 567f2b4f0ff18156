"""The directory that one process owns: what is in it, and the lock that says whose it is."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TextIO

from collector_processor.errors import StartError
from collector_processor.store.log.segment import make_directory


class StoreDirectory:
    """A directory for all that outlives the process, locked from start to shutdown; nothing at all without a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock: TextIO | None = None

    @property
    def state(self) -> Path | None:
        """Checkpoints, cursors and history: a SQLite file."""
        return self._path and self._path / "state.db"

    @property
    def log(self) -> Path | None:
        """The directory of the log's segments."""
        return self._path and self._path / "log"

    @property
    def dead_letters(self) -> Path | None:
        """What could not be delivered."""
        return self._path and self._path / "dead-letters.db"

    async def start(self) -> None:
        """Make the directory, and own it.

        Raises:
            StartError: It is in use, or cannot be written.
        """
        if self._path is None:
            return
        try:
            make_directory(self._path)
            self._lock = _locked(self._path)
        except OSError as error:
            raise StartError(
                f"store::directory: {str(self._path)!r} cannot be used: {error.strerror or error} (a directory of ours,"
                " or a new one)"
            ) from error

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - closing a file takes no time
        """Give the directory up."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def make_private(path: Path | None) -> None:
    """Make an empty file for its owner alone, as SQLite's own ones beside it will be; leave one that is there.

    Raises:
        OSError: It cannot be made.
    """
    if path is not None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _locked(directory: Path) -> TextIO:
    """A lock held as long as the returned file is open; the system frees it when we die."""
    make_private(directory / "lock")
    lock = (directory / "lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise StartError(
            f"store::directory: {str(directory)!r} is in use by another processor, process {owner} (one store for each)"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock

"""State in one SQLite file: what alerts, windows and dedup marks were, and the history of past windows.

Written by one thread and read by another, so that whoever looks at a month of a model holds nobody up.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from collector_processor.errors import StartError
from collector_processor.history import AlertRecord, Archive, WindowRecord
from collector_processor.store import history as past
from collector_processor.store.directory import make_private

ResultT = TypeVar("ResultT")

_FORMAT: Final = 4
# The same without the tables of the history, and with one of its own.
_BEFORE: Final = 3
_IN_MEMORY: Final = ":memory:"
_SCHEMA: Final = """
CREATE TABLE entry (section TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (section, key))
    WITHOUT ROWID;
"""
# How often to look for what is too old to be kept.
_PRUNE_EVERY_S: Final = 300.0
# Without a file, windows are kept in memory, and for no longer than this.
_IN_MEMORY_S: Final = 86_400.0


class SqliteStore:
    """A store in a file, or in memory.

    Args:
        path: The file; None keeps everything in memory.
        retention_s: How long windows are kept …
        details_retention_s: … and how long in detail, where nothing special happened.
    """

    def __init__(self, path: Path | None, retention_s: float, details_retention_s: float | None = None) -> None:
        self._path = path
        kept_s = retention_s if path is not None else min(retention_s, _IN_MEMORY_S)
        self._retention_ns = int(kept_s * 1e9)
        self._details_retention_ns = int(min(kept_s, details_retention_s or kept_s) * 1e9)
        self._pruned_s = 0.0
        self._connection: sqlite3.Connection | None = None
        self._writer: past.Writer | None = None
        self._reading: sqlite3.Connection | None = None
        # SQLite is called from these threads, so that a slow disk never holds up the event loop.
        self._thread = ThreadPoolExecutor(1, "store")
        self._readers = ThreadPoolExecutor(1, "history") if path is not None else self._thread

    @property
    def is_durable(self) -> bool:
        """Whether anything outlives the process."""
        return self._path is not None

    async def start(self) -> None:
        """Open the file.

        Raises:
            StartError: It cannot be written, or is something else.
        """
        try:
            make_private(self._path)
            self._connection = sqlite3.connect(self._path or _IN_MEMORY, check_same_thread=False, isolation_level=None)
            self._prepare(self._connection)
            self._writer = past.Writer(self._connection)
            # What is in memory is nobody else's: there, who reads waits for who writes.
            self._reading = self._connection if self._path is None else _reader(self._path)
        except (OSError, sqlite3.Error) as error:
            await self.shutdown(0.0)
            why = getattr(error, "strerror", None) or error
            raise StartError(
                f"store::directory: {str(self._path)!r} cannot be used: {why} (a file of ours, or a new one)"
            ) from error
        except StartError:
            await self.shutdown(0.0)
            raise

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - what was written is on disk already
        """Close the file."""
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._thread.shutdown)
        for connection in (self._reading, self._connection):
            if connection is not None:
                connection.close()
        self._reading = self._connection = None

    def read(self, section: str) -> Mapping[str, bytes]:
        """The entries of a section, as last written."""
        return dict(self._opened.execute("SELECT key, value FROM entry WHERE section = ?", (section,)).fetchall())

    async def write(
        self,
        sections: Mapping[str, Mapping[str, bytes]],
        history: Sequence[WindowRecord] = (),
        changes: Mapping[str, Mapping[str, bytes | None]] | None = None,
        told: Sequence[AlertRecord] = (),
    ) -> None:
        """Replace whole sections, change entries of others (None removes one), add to the history: all or nothing."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, sections, history, changes or {}, told)

    async def ask(self, question: Callable[[Archive], ResultT]) -> ResultT:
        """The answer to a question about the history, found in a thread for readers."""
        assert self._reading is not None, "the history is read before it was opened or after it was closed"
        archive = past.SqliteArchive(self._reading)
        return await asyncio.get_running_loop().run_in_executor(self._readers, question, archive)

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._connection is not None, "the store is used before it was started or after it was shut down"
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if found not in (_FORMAT, _BEFORE) and (found or tables):
            raise StartError(
                f"store::directory: {str(self._path)!r} is a database of another kind or version"
                f" (version {_FORMAT} of ours, or a new file)"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        # What a checkpoint covers leaves the log: a checkpoint that power loss could undo would be a hole.
        connection.execute("PRAGMA synchronous = FULL")
        if found != _FORMAT:
            before = "DROP TABLE history;" if found == _BEFORE else _SCHEMA
            connection.executescript(f"BEGIN; {before} {past.SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")

    def _write(
        self,
        sections: Mapping[str, Mapping[str, bytes]],
        history: Sequence[WindowRecord],
        changes: Mapping[str, Mapping[str, bytes | None]],
        told: Sequence[AlertRecord],
    ) -> None:
        connection, now = self._opened, time.time_ns()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for section, entries in sections.items():
                connection.execute("DELETE FROM entry WHERE section = ?", (section,))
                connection.executemany(
                    "INSERT INTO entry VALUES (?, ?, ?)", ((section, key, value) for key, value in entries.items())
                )
            for section, entries_or_none in changes.items():
                connection.executemany(
                    "DELETE FROM entry WHERE section = ? AND key = ?",
                    ((section, key) for key, value in entries_or_none.items() if value is None),
                )
                connection.executemany(
                    "INSERT OR REPLACE INTO entry VALUES (?, ?, ?)",
                    ((section, key, value) for key, value in entries_or_none.items() if value is not None),
                )
            assert self._writer is not None, "a history is written before the store was started"
            self._writer.write(history, now, told)
            if history and time.monotonic() - self._pruned_s > _PRUNE_EVERY_S:
                past.prune(connection, now - self._retention_ns, now - self._details_retention_ns)
                self._pruned_s = time.monotonic()
                self._writer.forget()
            connection.execute("COMMIT")
        except BaseException:
            if self._writer is not None:
                self._writer.forget()
            # SQLite itself has rolled back already where the disk is full.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _reader(path: Path) -> sqlite3.Connection:
    """A connection that can only read, from any thread."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, check_same_thread=False)

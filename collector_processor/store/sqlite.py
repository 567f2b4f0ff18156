"""State in one SQLite file: what alerts, windows and dedup marks were, and the results of past windows."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TextIO

from collector_processor.component import HistoryEntry
from collector_processor.errors import StartError
from collector_processor.settings import PositiveDuration, Settings

_FORMAT: Final = 2
_IN_MEMORY: Final = ":memory:"
_SCHEMA: Final = """
CREATE TABLE entry (section TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (section, key))
    WITHOUT ROWID;
CREATE TABLE history (
    model TEXT NOT NULL, version TEXT NOT NULL, start_unix_nano INTEGER NOT NULL, end_unix_nano INTEGER NOT NULL,
    rows INTEGER NOT NULL, baseline_id TEXT NOT NULL, results TEXT NOT NULL, segment TEXT NOT NULL,
    written_unix_nano INTEGER NOT NULL, PRIMARY KEY (model, version, segment, start_unix_nano)
) WITHOUT ROWID;
CREATE INDEX history_by_age ON history (written_unix_nano);
"""


class StoreSettings(Settings):
    """Where state is kept.

    Attributes:
        path: A file; in memory when absent, so that a restart begins anew.
        retention: How long the results of windows are kept.
        checkpoint_interval: How often open windows and dedup marks are written.
    """

    path: str | None = None
    retention: PositiveDuration = 30 * 86_400.0
    checkpoint_interval: PositiveDuration = 30.0


class SqliteStore:
    """A store in a file that one process owns, or in memory."""

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._connection: sqlite3.Connection | None = None
        self._lock: TextIO | None = None
        # SQLite is called from this one thread, so that a slow disk never holds up the event loop.
        self._thread = ThreadPoolExecutor(1, "store")

    @property
    def is_durable(self) -> bool:
        """Whether anything outlives the process."""
        return self._settings.path is not None

    async def start(self) -> None:
        """Open, and own, the file.

        Raises:
            StartError: It is in use, cannot be written, or is something else.
        """
        path = self._settings.path
        try:
            if path is not None:
                self._lock = _lock(Path(path))
            self._connection = sqlite3.connect(path or _IN_MEMORY, check_same_thread=False, isolation_level=None)
            self._prepare(self._connection)
        except (OSError, sqlite3.Error) as error:
            await self.shutdown(0.0)
            raise StartError(f"store::path: {path!r} cannot be used: {error} (a file of ours, or a new one)") from error
        except StartError:
            await self.shutdown(0.0)
            raise

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - what was written is on disk already
        """Close, and give up, the file."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def read(self, section: str) -> Mapping[str, bytes]:
        """The entries of a section, as last written."""
        return dict(self._opened.execute("SELECT key, value FROM entry WHERE section = ?", (section,)).fetchall())

    async def write(self, sections: Mapping[str, Mapping[str, bytes]], history: Sequence[HistoryEntry] = ()) -> None:
        """Replace whole sections and add to the history, all or nothing."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, sections, history)

    def history(self, model: str, version: str = "", segment: str = "", limit: int = 100) -> Sequence[HistoryEntry]:
        """The latest windows of a model, or of one segment of it ("dimension=value"), newest first."""
        rows = self._opened.execute(
            "SELECT model, version, start_unix_nano, end_unix_nano, rows, baseline_id, results, segment FROM history"
            " WHERE model = ? AND version = ? AND segment = ? ORDER BY start_unix_nano DESC LIMIT ?",
            (model, version, segment, limit),
        )
        return [HistoryEntry(*row) for row in rows]

    @property
    def _opened(self) -> sqlite3.Connection:
        assert self._connection is not None, "the store is used before it was started or after it was shut down"
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if found != _FORMAT and (found or tables):
            raise StartError(
                f"store::path: {self._settings.path!r} is a database of another kind or version"
                f" (version {_FORMAT} of ours, or a new file)"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if not found:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")

    def _write(self, sections: Mapping[str, Mapping[str, bytes]], history: Sequence[HistoryEntry]) -> None:
        connection, now = self._opened, time.time_ns()
        connection.execute("BEGIN IMMEDIATE")
        try:
            for section, entries in sections.items():
                connection.execute("DELETE FROM entry WHERE section = ?", (section,))
                connection.executemany(
                    "INSERT INTO entry VALUES (?, ?, ?)", ((section, key, value) for key, value in entries.items())
                )
            connection.executemany(
                "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    (
                        entry.model,
                        entry.version,
                        entry.start_unix_nano,
                        entry.end_unix_nano,
                        entry.rows,
                        entry.baseline_id,
                        entry.results,
                        entry.segment,
                        now,
                    )
                    for entry in history
                ),
            )
            connection.execute(
                "DELETE FROM history WHERE written_unix_nano < ?", (now - int(self._settings.retention * 1e9),)
            )
            connection.execute("COMMIT")
        except BaseException:
            # SQLite itself has rolled back already where the disk is full.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _lock(path: Path) -> TextIO:
    """A lock beside the file, held as long as the returned file is open; the system frees it when we die."""
    lock = Path(f"{path}.lock").open("a+", encoding="ascii")  # noqa: SIM115 - held until shutdown
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        owner = lock.read().strip() or "unknown"
        lock.close()
        raise StartError(
            f"store::path: {str(path)!r} is in use by another processor, process {owner} (one store for each)"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock

"""State in one SQLite file: what alerts, windows and dedup marks were, and the results of past windows."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from collector_processor.component import HistoryEntry
from collector_processor.errors import StartError
from collector_processor.store.directory import make_private

_FORMAT: Final = 3
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


class SqliteStore:
    """A store in a file, or in memory.

    Args:
        path: The file; None keeps everything in memory.
        retention_s: How long the results of windows are kept.
    """

    def __init__(self, path: Path | None, retention_s: float) -> None:
        self._path = path
        self._retention_ns = int(retention_s * 1e9)
        self._connection: sqlite3.Connection | None = None
        # SQLite is called from this one thread, so that a slow disk never holds up the event loop.
        self._thread = ThreadPoolExecutor(1, "store")

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
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read(self, section: str) -> Mapping[str, bytes]:
        """The entries of a section, as last written."""
        return dict(self._opened.execute("SELECT key, value FROM entry WHERE section = ?", (section,)).fetchall())

    async def write(
        self,
        sections: Mapping[str, Mapping[str, bytes]],
        history: Sequence[HistoryEntry] = (),
        changes: Mapping[str, Mapping[str, bytes | None]] | None = None,
    ) -> None:
        """Replace whole sections, change entries of others (None removes one), add to the history: all or nothing."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._write, sections, history, changes or {})

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
                f"store::directory: {str(self._path)!r} is a database of another kind or version"
                f" (version {_FORMAT} of ours, or a new file)"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        # What a checkpoint covers leaves the log: a checkpoint that power loss could undo would be a hole.
        connection.execute("PRAGMA synchronous = FULL")
        if not found:
            connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")

    def _write(
        self,
        sections: Mapping[str, Mapping[str, bytes]],
        history: Sequence[HistoryEntry],
        changes: Mapping[str, Mapping[str, bytes | None]],
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
            connection.execute("DELETE FROM history WHERE written_unix_nano < ?", (now - self._retention_ns,))
            connection.execute("COMMIT")
        except BaseException:
            # SQLite itself has rolled back already where the disk is full.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

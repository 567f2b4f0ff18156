"""What no backend took, in a SQLite file of its own, so that it can be looked at while the processor runs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from collector_processor.component import AttributeValue, DeadLetter, Signal
from collector_processor.errors import DeadLetterError, StartError
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.store.directory import make_private
from collector_processor.store.settings import DeadLetterSettings
from otel_ml import semconv
from otel_ml.semconv import Metric

_log = logging.getLogger(__name__)

_FORMAT: Final = 1
_APPLICATION_ID: Final = 0x6D6C646C  # "mldl"
_IN_MEMORY: Final = ":memory:"
# The command reads and deletes beside the processor, for moments.
_BUSY_S: Final = 10.0
# What a row takes beside its body and detail, about.
_ROW_BYTES: Final = 128
# The sums are kept by triggers: the command deletes as well, and adding up all rows would read the whole file.
_SCHEMA: Final = """
CREATE TABLE letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kept_unix_nano INTEGER NOT NULL, source TEXT NOT NULL, signal TEXT NOT NULL,
    reason TEXT NOT NULL, detail TEXT NOT NULL, items INTEGER NOT NULL, size INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE total (letters INTEGER NOT NULL, size INTEGER NOT NULL);
INSERT INTO total VALUES (0, 0);
CREATE TRIGGER added AFTER INSERT ON letter BEGIN
    UPDATE total SET letters = letters + 1, size = size + new.size;
END;
CREATE TRIGGER removed AFTER DELETE ON letter BEGIN
    UPDATE total SET letters = letters - 1, size = size - old.size;
END;
"""
_HEAD: Final = "id, kept_unix_nano, source, signal, reason, detail, items, length(body)"


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """What is known of a letter without its body.

    Attributes:
        size: Bytes of the body.
    """

    id: int
    kept_unix_nano: int
    source: str
    signal: Signal
    reason: str
    detail: str
    items: int
    size: int


class DeadLetterStore:
    """Keeps dead letters, the newest ones when there is not room for all.

    Args:
        path: The file; None keeps them in memory.
    """

    def __init__(self, path: Path | None, settings: DeadLetterSettings, telemetry: SelfTelemetry) -> None:
        self._path = path
        self._limit = settings.max_size_mib * 1024 * 1024
        self._telemetry = telemetry
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "dead_letters")
        self._held = 0

    async def start(self) -> None:
        """Open the file.

        Raises:
            StartError: It cannot be written, or is something else.
        """
        try:
            make_private(self._path)
            self._connection = sqlite3.connect(
                self._path or _IN_MEMORY, timeout=_BUSY_S, check_same_thread=False, isolation_level=None
            )
            _prepare(self._connection, self._path)
            (self._held,) = self._connection.execute("SELECT letters FROM total").fetchone()
        except (OSError, sqlite3.Error) as error:
            await self.shutdown(0.0)
            why = getattr(error, "strerror", None) or error
            raise StartError(
                f"store::directory: {str(self._path)!r} cannot be used: {why} (a file of ours, or a new one)"
            ) from error
        except StartError:
            await self.shutdown(0.0)
            raise
        self._telemetry.observe(self._gauges)

    async def shutdown(self, timeout_s: float) -> None:  # noqa: ARG002 - what was put is on disk already
        """Close the file."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def put(self, letters: Sequence[DeadLetter]) -> None:
        """Keep letters, safe from power loss once this returns; what cannot be kept is counted, never raised."""
        fitting = [letter for letter in letters if _size(letter) <= self._limit]
        kept = evicted = 0
        try:
            loop = asyncio.get_running_loop()
            kept, evicted, self._held = await loop.run_in_executor(self._thread, self._put, fitting)
        except Exception as error:
            self._telemetry.failed("dead_letters", error)
        self._count("kept", kept)
        self._count("failed", len(letters) - kept)
        self._count("evicted", evicted)
        if evicted:
            self._telemetry.say_once(
                "dead_letters:evicted",
                "dead letters: the oldest make room and are lost; `otel-ml dead-letters` replays or removes them"
                " (store::dead_letters::max_size_mib)",
            )

    def _put(self, letters: Sequence[DeadLetter]) -> tuple[int, int, int]:
        connection = self._connection
        if connection is None:
            raise DeadLetterError("dead letters: used before it was started or after it was shut down")
        now = time.time_ns()
        # One after the other, so that a bounded file never holds much more than its bound.
        kept = evicted = 0
        connection.execute("BEGIN IMMEDIATE")
        try:
            for letter in letters:
                evicted += self._make_room(connection, _size(letter))
                connection.execute(
                    "INSERT INTO letter (kept_unix_nano, source, signal, reason, detail, items, size, body)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        now,
                        letter.source,
                        letter.signal.value,
                        letter.reason,
                        letter.detail,
                        letter.items,
                        _size(letter),
                        letter.body,
                    ),
                )
                kept += 1
            (held,) = connection.execute("SELECT letters FROM total").fetchone()
            connection.execute("COMMIT")
        except BaseException:
            # SQLite itself has rolled back already where the disk is full.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return kept, evicted, held

    def _make_room(self, connection: sqlite3.Connection, size: int) -> int:
        (used,) = connection.execute("SELECT size FROM total").fetchone()
        excess, evicted = used + size - self._limit, 0
        while excess > 0:
            oldest, freed = connection.execute("SELECT id, size FROM letter ORDER BY id LIMIT 1").fetchone()
            connection.execute("DELETE FROM letter WHERE id = ?", (oldest,))
            excess -= freed
            evicted += 1
        return evicted

    def _count(self, outcome: str, letters: int) -> None:
        self._telemetry.count(semconv.PROCESSOR_DEAD_LETTERS, letters, processor_outcome=outcome)

    def _gauges(self) -> Iterable[tuple[Metric, float, Mapping[str, AttributeValue]]]:
        """As of the last one that was put; what the command removed since then is not known yet."""
        yield semconv.PROCESSOR_DEAD_LETTERS_HELD, self._held, {}


class DeadLetterBox:
    """The same file from another process: for looking at letters and taking some out, whether or not ours runs.

    Raises:
        DeadLetterError: There is no such file, or it is something else.
    """

    def __init__(self, directory: Path) -> None:
        self._path = path = directory / "dead-letters.db"
        if not directory.is_dir():
            raise DeadLetterError(f"{str(directory)!r}: there is no such directory (what store::directory names)")
        if not path.is_file():
            raise DeadLetterError(f"{str(directory)!r}: holds no dead-letters.db (what store::directory names)")
        try:
            self._connection = sqlite3.connect(
                f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=_BUSY_S, isolation_level=None
            )
        except sqlite3.Error as error:
            raise DeadLetterError(f"{str(path)!r}: {error} (a file of ours)") from error
        try:
            is_ours = _identity(self._connection) == (_APPLICATION_ID, _FORMAT)
        except sqlite3.Error as error:
            self._connection.close()
            raise DeadLetterError(f"{str(path)!r}: {error} (a file of ours)") from error
        if not is_ours:
            self._connection.close()
            raise DeadLetterError(
                f"{str(path)!r}: is a database of another kind or version (dead letters, version {_FORMAT})"
            )

    def __enter__(self) -> DeadLetterBox:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def letters(self, ids: Collection[int] = (), reasons: Collection[str] = ()) -> list[KeptLetter]:
        """Letters with one of these ids and one of these reasons, oldest first; all of them without such wishes."""
        rows = self._execute(f"SELECT {_HEAD} FROM letter ORDER BY id")  # noqa: S608 - a constant
        found = (KeptLetter(row[0], row[1], row[2], Signal(row[3]), row[4], row[5], row[6], row[7]) for row in rows)
        return [
            letter for letter in found if (not ids or letter.id in ids) and (not reasons or letter.reason in reasons)
        ]

    def body(self, letter_id: int) -> bytes | None:
        """The encoded request; None when the letter is gone."""
        rows = self._execute("SELECT body FROM letter WHERE id = ?", letter_id)
        return bytes(rows[0][0]) if rows else None

    def remove(self, letter_id: int) -> None:
        """Take a letter out."""
        self._execute("DELETE FROM letter WHERE id = ?", letter_id)

    def shrink(self) -> None:
        """Give the room of what was removed back to the disk, as far as nobody else is at it."""
        self._execute("PRAGMA incremental_vacuum")

    def _execute(self, statement: str, *values: object) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise DeadLetterError(f"{str(self._path)!r}: {error}") from error


def _size(letter: DeadLetter) -> int:
    return len(letter.body) + len(letter.detail) + _ROW_BYTES


def _identity(connection: sqlite3.Connection) -> tuple[int, int]:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    identity = _identity(connection)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if identity != (_APPLICATION_ID, _FORMAT) and (any(identity) or tables):
        raise StartError(
            f"store::directory: {str(path)!r} is a database of another kind or version"
            f" (dead letters, version {_FORMAT}, or a new file)"
        )
    if not tables:
        # Before anything else is in the file, or it has no effect.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    # The cursor moves past what is a dead letter: one that power loss could undo would be lost.
    connection.execute("PRAGMA synchronous = FULL")
    if not tables:
        connection.executescript(
            f"BEGIN; {_SCHEMA} PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {_FORMAT}; COMMIT;"
        )

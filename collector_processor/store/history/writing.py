"""Putting windows into the history, and taking old ones out."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from collector_processor.history import AlertRecord, FiringKey, Subject, WindowRecord
from collector_processor.store.history.packing import (
    pack_calls,
    pack_columns,
    pack_frames,
    pack_magnitudes,
    pack_shapes,
    pack_text,
    parts,
)
from otel_ml.drawing.frame import Frame

_REMEMBERED: Final = 2000


class Writer:
    """Adds windows to the history, within transactions that somebody else opens.

    What many windows have in common, names of columns and frames of pictures, is kept once. Under which number is
    remembered here, by identity: frames of a baseline are the same objects in every window.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: dict[tuple[str, tuple[int, ...]], tuple[object, int]] = {}

    def forget(self) -> None:
        """Remember nothing: a transaction was undone, or something was taken out."""
        self._numbers.clear()

    def write(self, records: Iterable[WindowRecord], written: int, told: Iterable[AlertRecord] = ()) -> None:
        """Add windows, and what was told of none, at a time in nanoseconds; a window that is there is replaced."""
        for record in records:
            self._write(record, written)
        for alert in told:
            _write_alert(self._connection, alert, written)

    def _write(self, record: WindowRecord, written: int) -> None:
        connection, line = self._connection, record.line
        subject = _subject(connection, record.subject)
        start, end = line.start_unix_nano, line.end_unix_nano
        layout = _number(connection, "layout", pack_columns(record.columns))
        connection.execute(
            "INSERT OR REPLACE INTO window VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                subject,
                start,
                end,
                line.rows,
                line.outcome,
                line.baseline_id,
                line.drifted,
                line.compared,
                json.dumps(dict(line.producers)),
                pack_calls(line.calls),
                line.is_partial,
                line.revision,
                written,
            ),
        )
        flags = record.figures["flags"].tobytes()
        connection.execute(
            "INSERT OR REPLACE INTO heat VALUES (?, ?, ?, ?, ?, ?)",
            (subject, start, end, layout, pack_magnitudes(record.figures), flags),
        )
        connection.executemany(
            "INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?)",
            ((subject, part, start, packed) for part, packed in enumerate(parts(record.figures))),
        )
        frames, shapes = self._frames(record.frames), pack_shapes(record.frames, record.shapes)
        connection.execute(
            "INSERT OR REPLACE INTO detail VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (subject, start, end, layout, record.is_notable, frames, shapes, pack_text(record.details), written),
        )
        for alert in record.alerts:
            _write_alert(connection, alert, written)
        if record.firing is not None:
            _keep_firing(connection, subject, record.firing)

    def _frames(self, frames: Sequence[Frame | None]) -> int:
        key = ("frames", tuple(map(id, frames)))
        known = self._numbers.get(key)
        if known is None:
            if len(self._numbers) >= _REMEMBERED:
                self._numbers.clear()
            # With the frames themselves, or another object might get the identity of one that is gone.
            known = self._numbers[key] = (list(frames), _number(self._connection, "frames", pack_frames(frames)))
        return known[1]


def prune(connection: sqlite3.Connection, oldest: int, oldest_detail: int) -> None:
    """Take out what was written before `oldest`, and details that are nothing special before `oldest_detail`.

    By when it was written, not by what it is about: the past that somebody sends today is kept as long as today.
    """
    old = connection.execute("SELECT subject, start FROM window WHERE written < ?", (oldest,)).fetchall()
    parts = {subject: _last_part(connection, subject) for subject in {subject for subject, _ in old}}
    for table in ("window", "heat", "detail"):
        connection.executemany(f"DELETE FROM {table} WHERE subject = ? AND start = ?", old)  # noqa: S608 - names of our own tables
    connection.executemany(
        "DELETE FROM figures WHERE subject = ? AND part = ? AND start = ?",
        ((subject, part, start) for subject, start in old for part in range(parts[subject] + 1)),
    )
    connection.execute("DELETE FROM detail WHERE written < ? AND NOT notable", (oldest_detail,))
    connection.execute("DELETE FROM alert WHERE written < ?", (oldest,))
    # Of whom nobody has heard for so long, nobody will hear that it is over.
    connection.execute("DELETE FROM firing WHERE subject NOT IN (SELECT subject FROM window)")
    connection.execute("DELETE FROM layout WHERE id NOT IN (SELECT layout FROM heat UNION SELECT layout FROM detail)")
    connection.execute("DELETE FROM frames WHERE id NOT IN (SELECT frames FROM detail)")
    connection.execute(
        "DELETE FROM subject WHERE id NOT IN (SELECT subject FROM window UNION SELECT subject FROM alert"
        " UNION SELECT subject FROM firing)"
    )


def _last_part(connection: sqlite3.Connection, subject: int) -> int:
    (found,) = connection.execute("SELECT max(part) FROM figures WHERE subject = ?", (subject,)).fetchone()
    return -1 if found is None else int(found)


def _subject(connection: sqlite3.Connection, subject: Subject) -> int:
    where = "FROM subject WHERE model = ? AND version = ? AND segment = ?"
    found = connection.execute(f"SELECT id {where}", subject).fetchone()
    if found is None:
        cursor = connection.execute("INSERT INTO subject (model, version, segment) VALUES (?, ?, ?)", subject)
        assert cursor.lastrowid is not None
        return cursor.lastrowid
    return int(found[0])


def _number(connection: sqlite3.Connection, table: str, text: str) -> int:
    """The number under which a long text is kept once."""
    digest = hashlib.sha256(text.encode()).digest()[:16]
    found = connection.execute(f"SELECT id FROM {table} WHERE digest = ?", (digest,)).fetchone()  # noqa: S608 - names of our own tables
    if found is None:
        row = (digest, pack_text(text))
        cursor = connection.execute(f"INSERT INTO {table} (digest, content) VALUES (?, ?)", row)  # noqa: S608 - likewise
        assert cursor.lastrowid is not None
        return cursor.lastrowid
    return int(found[0])


def _write_alert(connection: sqlite3.Connection, alert: AlertRecord, written: int) -> None:
    subject, attributes = _subject(connection, alert.subject), _json(alert.attributes)
    about = (subject, alert.check, alert.role, alert.column)
    connection.execute(
        "INSERT INTO alert (time, subject, check_name, role, name, state, sentence, attributes, written)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (alert.time_unix_nano, *about, alert.state, alert.sentence, attributes, written),
    )
    if alert.state == "firing":
        connection.execute(
            "INSERT OR REPLACE INTO firing VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*about, alert.time_unix_nano, alert.sentence, attributes),
        )
    elif alert.state == "resolved":
        connection.execute("DELETE FROM firing WHERE subject = ? AND check_name = ? AND role = ? AND name = ?", about)


def _keep_firing(connection: sqlite3.Connection, subject: int, firing: Iterable[FiringKey]) -> None:
    """Forget what does not fire any more though nobody said so: who would have said it began anew, perhaps."""
    kept = connection.execute("SELECT check_name, role, name FROM firing WHERE subject = ?", (subject,)).fetchall()
    connection.executemany(
        "DELETE FROM firing WHERE subject = ? AND check_name = ? AND role = ? AND name = ?",
        ((subject, *key) for key in set(kept).difference(firing)),
    )


def _json(attributes: Mapping[str, object]) -> str:
    return json.dumps(attributes, default=str)

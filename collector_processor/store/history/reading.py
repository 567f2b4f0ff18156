"""Answers from the history, each of a few index look-ups and one run over rows that lie together."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from collector_processor.history import (
    FIGURES,
    AlertRecord,
    Column,
    ColumnSeries,
    Course,
    Heat,
    Picture,
    Subject,
    WindowLine,
)
from collector_processor.store.history.packing import (
    PART,
    unpack_calls,
    unpack_columns,
    unpack_frames,
    unpack_magnitudes,
    unpack_part,
    unpack_shape,
    unpack_text,
)

_ALERT: Final = (
    "SELECT time, model, version, segment, check_name, role, name, {state}, sentence, attributes"
    " FROM {table} JOIN subject ON subject.id = {table}.subject"
)


class SqliteArchive:
    """The history in a SQLite file, read through one connection; made anew for each question."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # Slices of a model have its columns: whoever asks about many reads them once.
        self._columns: dict[int, list[Column]] = {}

    def subjects(self, model: str | None = None) -> Sequence[Subject]:
        """Everybody who has windows, or all versions and segments of one model, by name."""
        return [
            Subject(*row)
            for row in self._connection.execute(
                "SELECT model, version, segment FROM subject WHERE (? IS NULL OR model = ?)"
                " AND EXISTS (SELECT 1 FROM window WHERE window.subject = subject.id)"
                " ORDER BY model, version, segment",
                (model, model),
            )
        ]

    def lines(self, subject: Subject, since: int, until: int, limit: int = 10_000) -> Sequence[WindowLine]:
        """Windows that end within a range, the latest `limit` of them, oldest first."""
        rows = self._connection.execute(
            "SELECT start, end, rows, outcome, baseline_id, drifted, compared, producers, calls, partial, revision"
            " FROM window WHERE subject = ? AND end >= ? AND end < ? ORDER BY start DESC LIMIT ?",
            (self._number(subject), since, until, limit),
        ).fetchall()
        return [_line(row) for row in reversed(rows)]

    def drift_shares(self, subject: Subject, until: int, limit: int) -> Sequence[float | None]:
        """Share of features that drifted in each of the latest windows that end by then, oldest first."""
        rows = self._connection.execute(
            "SELECT drifted, compared FROM window WHERE subject = ? AND end < ? ORDER BY start DESC LIMIT ?",
            (self._number(subject), until, limit),
        ).fetchall()
        return [drifted / compared if compared else None for drifted, compared in reversed(rows)]

    def first_heard(self, subject: Subject) -> int | None:
        """Start of the oldest window that is kept."""
        (found,) = self._connection.execute(
            "SELECT min(start) FROM window WHERE subject = ?", (self._number(subject),)
        ).fetchone()
        return None if found is None else int(found)

    def heat(self, subject: Subject, since: int, until: int) -> Heat:
        """All columns in the windows that end within a range, oldest first."""
        rows = self._connection.execute(
            "SELECT end, layout, magnitudes, flags FROM heat WHERE subject = ? AND end >= ? AND end < ? ORDER BY start",
            (self._number(subject), since, until),
        ).fetchall()
        layouts = self._layouts({row[1] for row in rows})
        # Those of the latest window first; what is no longer sent comes last.
        columns: dict[tuple[str, str], Column] = {}
        for layout in dict.fromkeys(row[1] for row in reversed(rows)):
            for column in layouts[layout]:
                columns.setdefault(column[:2], column)
        places = {key: place for place, key in enumerate(columns)}
        magnitudes = np.zeros((len(columns), len(rows)), np.uint8)
        flags = np.zeros((len(columns), len(rows)), np.uint8)
        for layout, known in layouts.items():
            among = [index for index, row in enumerate(rows) if row[1] == layout]
            where = np.ix_([places[column[:2]] for column in known], among)
            for target, field in ((magnitudes, 2), (flags, 3)):
                packed = np.frombuffer(b"".join(rows[index][field] for index in among), np.uint8)
                target[where] = packed.reshape(len(among), len(known)).T
        times = np.array([row[0] for row in rows], np.int64)
        return Heat(times, list(columns.values()), unpack_magnitudes(magnitudes), flags)

    def course(self, subject: Subject, since: int, until: int) -> Course:
        """The worst of all columns in the windows that end within a range, oldest first."""
        rows = self._connection.execute(
            "SELECT end, magnitudes, flags FROM heat WHERE subject = ? AND end >= ? AND end < ?"
            " AND length(magnitudes) > 0 ORDER BY start",
            (self._number(subject), since, until),
        ).fetchall()
        times = np.array([row[0] for row in rows], np.int64)
        if not rows:
            return Course(times, np.empty(0), np.empty(0, np.uint8))
        starts = np.cumsum([0, *(len(row[1]) for row in rows[:-1])])
        packed, flags = (np.frombuffer(b"".join(row[field] for row in rows), np.uint8) for field in (1, 2))
        largest = unpack_magnitudes(np.maximum.reduceat(packed, starts))
        return Course(times, largest, np.bitwise_or.reduceat(flags, starts))

    def series(self, subject: Subject, role: str, name: str, since: int, until: int) -> ColumnSeries | None:
        """One column in the windows that end within a range, oldest first; None where nobody knows it."""
        number = self._number(subject)
        rows = self._connection.execute(
            "SELECT start, end, layout FROM heat WHERE subject = ? AND end >= ? AND end < ? ORDER BY start",
            (number, since, until),
        ).fetchall()
        known: dict[int, tuple[int, Column]] = {}
        for layout, columns in self._layouts({row[2] for row in rows}).items():
            for place, column in enumerate(columns):
                if column[:2] == (role, name):
                    known[layout] = place, column
        rows = [row for row in rows if row[2] in known]
        if not rows:
            return None
        parts = {place // PART for place, _ in known.values()}
        packed = {
            (part, start): figures
            for part in parts
            for start, figures in self._connection.execute(
                "SELECT start, figures FROM figures WHERE subject = ? AND part = ? AND start BETWEEN ? AND ?",
                (number, part, rows[0][0], rows[-1][0]),
            )
        }
        found = np.zeros(len(rows), FIGURES)
        for index, (start, _, layout) in enumerate(rows):
            place = known[layout][0]
            found[index] = unpack_part(packed[place // PART, start])[place % PART]
        starts, times = (np.array([row[field] for row in rows], np.int64) for field in (0, 1))
        return ColumnSeries(known[rows[-1][2]][1], starts, times, found)

    def picture(self, subject: Subject, role: str, name: str, until: int) -> Picture | None:
        """What a column looked like in the last window that ended by then and is kept in detail."""
        number = self._number(subject)
        for start, end, layout, frames_number, shapes in self._connection.execute(
            "SELECT start, end, layout, frames, shapes FROM detail WHERE subject = ? AND end <= ?"
            " ORDER BY start DESC LIMIT 20",
            (number, until),
        ):
            columns = self._layouts({layout})[layout]
            place = next((place for place, column in enumerate(columns) if column[:2] == (role, name)), None)
            if place is None:
                continue
            (text,) = self._connection.execute("SELECT content FROM frames WHERE id = ?", (frames_number,)).fetchone()
            frames = unpack_frames(unpack_text(text))
            if place >= len(frames):
                continue
            frame = frames[place]
            if frame is None:
                continue
            (packed,) = self._connection.execute(
                "SELECT figures FROM figures WHERE subject = ? AND part = ? AND start = ?",
                (number, place // PART, start),
            ).fetchone()
            count = int(unpack_part(packed)[place % PART]["rows"])
            return Picture(frame, unpack_shape(shapes, frames, place), start, end, count)
        return None

    def details(self, subject: Subject, until: int) -> tuple[int, Mapping[str, Any]] | None:
        """End and findings of the last window that ended by then and is kept in detail."""
        found = self._connection.execute(
            "SELECT end, results FROM detail WHERE subject = ? AND end <= ? ORDER BY start DESC LIMIT 1",
            (self._number(subject), until),
        ).fetchone()
        return None if found is None else (found[0], json.loads(unpack_text(found[1])))

    def alerts(self, since: int, until: int, model: str | None = None, limit: int = 500) -> Sequence[AlertRecord]:
        """What was told within a range, latest first."""
        rows = self._connection.execute(
            _ALERT.format(table="alert", state="state")
            + " WHERE time >= ? AND time < ? AND (? IS NULL OR model = ?) ORDER BY time DESC, alert.id DESC LIMIT ?",
            (since, until, model, model, limit),
        )
        return list(_alerts(rows))

    def firing(self, model: str | None = None) -> Sequence[AlertRecord]:
        """What fires now, as it was told when it began, latest first."""
        rows = self._connection.execute(
            _ALERT.format(table="firing", state="'firing'") + " WHERE (? IS NULL OR model = ?) ORDER BY time DESC",
            (model, model),
        )
        return list(_alerts(rows))

    def _number(self, subject: Subject) -> int:
        """The subject's number; one that nobody has where it is not known."""
        found = self._connection.execute(
            "SELECT id FROM subject WHERE model = ? AND version = ? AND segment = ?", subject
        ).fetchone()
        return -1 if found is None else int(found[0])

    def _layouts(self, numbers: set[int]) -> dict[int, list[Column]]:
        for number in sorted(numbers - self._columns.keys()):
            (text,) = self._connection.execute("SELECT content FROM layout WHERE id = ?", (number,)).fetchone()
            self._columns[number] = unpack_columns(unpack_text(text))
        return {number: self._columns[number] for number in sorted(numbers)}


def _line(row: Sequence[Any]) -> WindowLine:
    start, end, rows, outcome, baseline, drifted, compared, producers, calls, partial, revision = row
    heard = json.loads(producers)
    how = unpack_calls(calls)
    return WindowLine(start, end, rows, outcome, baseline, drifted, compared, heard, how, bool(partial), revision)


def _alerts(rows: Iterator[Sequence[Any]]) -> Iterator[AlertRecord]:
    for time, model, version, segment, check, role, name, state, sentence, attributes in rows:
        subject = Subject(model, version, segment)
        yield AlertRecord(time, subject, check, role, name, state, sentence, json.loads(attributes))

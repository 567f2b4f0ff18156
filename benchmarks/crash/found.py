"""What a processor's store says that it counted, read without any of the processor's own counters."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from benchmarks.crash.truth import Counted, WindowKey
from collector_processor.processors.references.history import SECTION
from collector_processor.processors.references.kept import KeptWindow

_KEPT: Final = "window/"


class InconsistentStoreError(Exception):
    """Two places of a store contradict each other."""


def closed_windows(state: Path) -> dict[WindowKey, Counted]:
    """Every window that was closed: its rows from the history of results, its cells from what references keep.

    Raises:
        InconsistentStoreError: A window is in one of them alone, or with other rows.
    """
    with closing(_opened(state)) as connection:
        rows = {
            WindowKey(model, start): count
            for model, start, count in connection.execute(
                "SELECT model, start, rows FROM window JOIN subject ON id = subject WHERE segment = ''"
            )
        }
        found = {key: Counted(count) for key, count in rows.items()}
        kept_windows = connection.execute(
            "SELECT section, value FROM entry WHERE section LIKE ? AND key LIKE ?", (f"{SECTION}/%", f"{_KEPT}%")
        ).fetchall()
    seen = set()
    for section, value in kept_windows:
        subject = section[len(SECTION) + 1 :].rpartition("/")[0]
        (model, _), _ = json.loads(subject)
        kept = KeptWindow.decode(value)
        key = WindowKey(model, kept.start_unix_nano)
        if key not in found or found[key].rows != kept.rows:
            raise InconsistentStoreError(f"{key}: {kept.rows} rows are kept, and the history has {rows.get(key)}")
        seen.add(key)
        for part in kept.parts():
            found[key].add_column(part)
    missing = found.keys() - seen
    if missing:
        raise InconsistentStoreError(f"{sorted(missing)[:5]} are in the history, and their counts are not kept")
    return found


def closed_keys(state: Path) -> set[WindowKey]:
    """Which windows have results by now; none as long as there is no store."""
    try:
        with closing(_opened(state)) as connection:
            found = connection.execute(
                "SELECT model, start FROM window JOIN subject ON id = subject WHERE segment = ''"
            ).fetchall()
    except sqlite3.OperationalError:
        return set()
    return {WindowKey(*row) for row in found}


def _opened(state: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{state}?mode=ro", uri=True, timeout=30)

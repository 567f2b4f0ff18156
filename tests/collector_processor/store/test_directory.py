"""Whose directory it is."""

import pytest

from collector_processor.errors import StartError
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.store.dead_letters import DeadLetterStore
from collector_processor.store.directory import StoreDirectory
from collector_processor.store.log import FileLog
from collector_processor.store.settings import DeadLetterSettings, LogSettings
from collector_processor.store.sqlite import SqliteStore


async def test_one_process_owns_a_store(tmp_path):
    """Two would overwrite each other's windows."""
    first, second = StoreDirectory(tmp_path / "store"), StoreDirectory(tmp_path / "store")
    await first.start()

    with pytest.raises(StartError, match=r"store::directory: '.*store' is in use by another processor, process \d+"):
        await second.start()

    await first.shutdown(1.0)
    await second.start()
    await second.shutdown(1.0)


async def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    """Named as the setting it comes from."""
    (tmp_path / "file").write_text("not a directory")

    with pytest.raises(StartError, match=r"store::directory: '.*file.store' cannot be used: Not a directory"):
        await StoreDirectory(tmp_path / "file" / "store").start()


async def test_without_a_path_there_is_nothing_to_own():
    """Everything is kept in memory then."""
    nowhere = StoreDirectory(None)

    await nowhere.start()
    await nowhere.shutdown(1.0)

    assert (nowhere.state, nowhere.log, nowhere.dead_letters) == (None, None, None)


async def test_what_is_kept_is_its_owners_alone(tmp_path):
    """Requests, dead letters and windows are other people's telemetry."""
    directory = StoreDirectory(tmp_path / "store")
    store = SqliteStore(directory.state, 86_400.0)
    letters = DeadLetterStore(directory.dead_letters, DeadLetterSettings(), SelfTelemetry())
    log = FileLog(directory.log, LogSettings(max_size_mib=4), [])
    parts = [directory, store, letters, log]
    for part in parts:
        await part.start()

    found = [tmp_path / "store", *(tmp_path / "store").rglob("*")]

    assert {path.name for path in found} >= {"state.db", "state.db-wal", "dead-letters.db", "log", "lock"}
    assert {path.stat().st_mode & 0o077 for path in found} == {0}
    for part in reversed(parts):
        await part.shutdown(1.0)

"""What outlives the process."""

import sqlite3
import time

import pytest
from history_samples import HOUR, record, subject

from collector_processor.errors import StartError
from collector_processor.store.sqlite import SqliteStore

MONTH_S = 30 * 86_400.0


def store_at(path):
    return SqliteStore(path, MONTH_S)


async def test_sections_and_history_survive_a_restart(tmp_path):
    """What was written is there again."""
    store = store_at(tmp_path / "state.db")
    await store.start()
    now = time.time_ns()
    await store.write({"alerts": {"a": b"1", "b": b"2"}}, [record(now), record(now + HOUR)])
    await store.shutdown(1.0)

    again = store_at(tmp_path / "state.db")
    await again.start()

    assert again.read("alerts") == {"a": b"1", "b": b"2"}
    lines = await again.ask(lambda archive: archive.lines(subject(), now, now + 9 * HOUR))
    assert [line.start_unix_nano for line in lines] == [now, now + HOUR]
    await again.shutdown(1.0)


async def test_writing_a_section_replaces_it_and_leaves_the_others():
    """A checkpoint is what is, not what was."""
    store = SqliteStore(None, MONTH_S)
    await store.start()
    await store.write({"alerts": {"a": b"1"}, "dedup": {"p": b"3"}})

    await store.write({"alerts": {"b": b"2"}})

    assert store.read("alerts") == {"b": b"2"}
    assert store.read("dedup") == {"p": b"3"}
    await store.shutdown(1.0)


async def test_a_failed_write_changes_nothing():
    """All or nothing, also in the middle of a transaction."""
    store = SqliteStore(None, MONTH_S)
    await store.start()
    await store.write({"alerts": {"a": b"1"}})

    with pytest.raises(sqlite3.Error):
        await store.write({"alerts": {"b": b"2"}, "dedup": {"p": object()}})

    assert store.read("alerts") == {"a": b"1"}
    await store.shutdown(1.0)


async def test_changes_leave_the_other_entries_of_a_section():
    """A checkpoint costs what has changed."""
    store = SqliteStore(None, MONTH_S)
    await store.start()
    await store.write({"dedup": {"a": b"1", "b": b"2", "c": b"3"}})

    await store.write({}, changes={"dedup": {"a": b"9", "b": None, "d": b"4"}})

    assert store.read("dedup") == {"a": b"9", "c": b"3", "d": b"4"}
    await store.shutdown(1.0)


@pytest.mark.parametrize("content", [b"something else entirely" * 100, None])
async def test_a_file_that_is_no_store_of_ours_is_refused(tmp_path, content):
    """And left as it was."""
    path = tmp_path / "state.db"
    if content is None:
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE theirs (x)")
        connection.close()
    else:
        path.write_bytes(content)
    before = path.read_bytes()

    store = store_at(path)
    with pytest.raises(StartError, match=r"store::directory: '.*state.db'"):
        await store.start()

    assert path.read_bytes() == before


async def test_a_directory_that_does_not_exist_is_a_clear_error(tmp_path):
    """Named as the setting it comes from."""
    store = store_at(tmp_path / "nowhere" / "state.db")

    with pytest.raises(StartError, match=r"store::directory: .*No such file or directory"):
        await store.start()

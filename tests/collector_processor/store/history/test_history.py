"""What is kept of windows, and what is found of it again."""

import sqlite3
import time

import numpy as np
import pytest
from history_samples import HOUR, alert, columns, figures_of, record, subject
from hypothesis import given
from hypothesis import strategies as st

from collector_processor.history import FIGURES, CallFigures, Column, FiringKey, Flag, Subject
from collector_processor.store.history import SCHEMA, SqliteArchive, Writer, prune
from collector_processor.store.history.packing import PART
from collector_processor.store.sqlite import SqliteStore

ALWAYS = 1 << 62


def write(connection, records):
    """At the end of each."""
    for one in records:
        Writer(connection).write([one], one.line.end_unix_nano)


@pytest.fixture
def connection():
    with sqlite3.connect(":memory:") as opened:
        opened.executescript(SCHEMA)
        yield opened
    opened.close()


@pytest.fixture
def archive(connection):
    return SqliteArchive(connection)


def test_a_window_is_found_as_it_was_kept(connection, archive):
    """Line, figures, shape and details."""
    kept = record(0, details={"outcome": "evaluated"})

    write(connection, [kept])

    assert archive.subjects() == [subject()]
    assert archive.lines(subject(), 0, ALWAYS) == [kept.line]
    found = archive.series(subject(), "feature", "f001", 0, ALWAYS)
    assert found.column == Column("feature", "f001", "categorical", 2.0)
    assert found.figures.tobytes() == kept.figures[1:2].tobytes()
    picture = archive.picture(subject(), "feature", "f001", ALWAYS)
    assert picture.shares == pytest.approx([0.5, 0.3, 0.2], abs=1e-4)
    assert picture.frame.names == ("NO", "SE", "(unseen)")
    assert (picture.frame.count, picture.count) == (100, 500)
    assert archive.details(subject(), ALWAYS) == (HOUR, {"outcome": "evaluated"})


def test_a_window_that_is_kept_again_takes_the_place_of_the_first(connection, archive):
    """What came late amends it."""
    write(connection, [record(0, rows=500), record(0, rows=600)])

    assert [line.rows for line in archive.lines(subject(), 0, ALWAYS)] == [600]


@given(
    scores=st.lists(st.floats(0, 10, width=32), min_size=1, max_size=3 * PART),
    flags=st.integers(0, 15),
)
def test_every_column_of_every_window_is_found_in_its_place(scores, flags):
    """However many there are, and wherever the parts are cut."""
    with sqlite3.connect(":memory:") as connection:
        connection.executescript(SCHEMA)
        figures = figures_of(len(scores), np.array(scores), flags=flags)
        write(connection, [record(hour * HOUR, count=len(scores), figures=figures) for hour in range(3)])
        archive = SqliteArchive(connection)

        heat = archive.heat(subject(), 0, ALWAYS)
        found = [archive.series(subject(), "feature", column.name, 0, ALWAYS) for column in heat.columns]

    assert heat.times.tolist() == [HOUR, 2 * HOUR, 3 * HOUR]
    assert [column.name for column in heat.columns] == [column.name for column in columns(len(scores))]
    assert (heat.flags == flags).all()
    steps = np.minimum(np.rint(np.array(scores, np.float32) / np.float32(0.2) * 50), 250) / 50
    assert np.abs(heat.magnitudes - steps[:, None]).max() <= 0.021
    assert [series.figures["score"].tolist() for series in found] == [[score] * 3 for score in scores]


def test_columns_that_come_and_go_keep_their_rows(connection, archive):
    """The latest window's columns first, and no value under another's name."""
    before, after = columns(3), [*columns(3)[1:], Column("feature", "new", "numeric")]
    write(connection, [record(0, known=before, score=0.2), record(HOUR, known=after, score=0.4)])

    heat = archive.heat(subject(), 0, ALWAYS)

    assert [column.name for column in heat.columns] == ["f001", "f002", "new", "f000"]
    assert np.array_equal(heat.magnitudes, [[1, 2], [1, 2], [np.nan, 2], [1, np.nan]], equal_nan=True)
    assert archive.series(subject(), "feature", "new", 0, ALWAYS).starts.tolist() == [HOUR]
    assert archive.series(subject(), "feature", "never", 0, ALWAYS) is None


def test_what_was_not_measured_is_no_number(connection, archive):
    """An unknown score is not a score of 0."""
    write(connection, [record(0, score=np.nan)])

    assert np.isnan(archive.heat(subject(), 0, ALWAYS).magnitudes).all()


def test_a_column_without_a_shape_has_no_picture_of_its_own(connection, archive):
    """Its reference can still be drawn."""
    write(connection, [record(0, count=2, shapes=[None, np.array([0.0, 0.0, 1.0])])])

    assert archive.picture(subject(), "feature", "f000", ALWAYS).shares is None
    assert archive.picture(subject(), "feature", "f001", ALWAYS).shares.tolist() == [0.0, 0.0, 1.0]
    assert archive.picture(subject(), "feature", "f001", HOUR - 1) is None


def test_what_fires_is_known_until_it_resolves(connection, archive):
    """And what was told stays told."""
    write(connection, [record(0, alerts=[alert(time=1), alert(time=1, check="missing")])])
    write(connection, [record(HOUR, alerts=[alert("resolved", time=2)])])

    assert [(found.check, found.time_unix_nano) for found in archive.firing()] == [("missing", 1)]
    assert [(found.state, found.check) for found in archive.alerts(0, 10)] == [
        ("resolved", "drift"),
        ("firing", "missing"),
        ("firing", "drift"),
    ]
    assert archive.alerts(0, 10, model="another") == []


def test_what_does_not_fire_any_more_is_forgotten_though_nobody_told_so(connection, archive):
    """A processor that began anew does not know what fired before; a window says nothing of other models."""
    other = subject("churn")
    told = [alert(time=1), alert(time=1, check="missing"), alert(time=1, whose=other)]
    write(connection, [record(0, alerts=told)])
    before = [found.check for found in archive.firing("fraud")]

    write(connection, [record(HOUR, firing=[FiringKey("missing", "feature", "f000")])])

    assert sorted(before) == ["drift", "missing"]
    assert [found.check for found in archive.firing("fraud")] == ["missing"]
    assert [found.check for found in archive.firing("churn")] == ["drift"]


def test_an_alert_can_end_without_a_window(connection, archive):
    """Of a model that is gone, say."""
    write(connection, [record(0, alerts=[alert(time=1)])])

    Writer(connection).write([], 9 * HOUR, [alert("resolved", time=9 * HOUR)])

    assert archive.firing() == []
    assert [(told.state, told.time_unix_nano) for told in archive.alerts(0, ALWAYS)] == [
        ("resolved", 9 * HOUR),
        ("firing", 1),
    ]


def test_names_that_mean_something_elsewhere_are_only_names(connection, archive):
    """Of models, versions, slices and columns."""
    whose = Subject("'; DROP TABLE window; --", "<script>", "land=\u2603\n")
    column = Column("feature", '"\\\u202e%', "text")
    write(connection, [record(0, whose=whose, known=[column], alerts=[alert(whose=whose)])])

    assert archive.subjects() == [whose]
    assert archive.series(whose, *column[:2], 0, ALWAYS).column == column
    assert archive.firing()[0].subject == whose


def test_what_is_old_goes_and_what_was_special_stays_longer(connection, archive):
    """Lines last, details do not, unless an alert fired."""
    kept = [record(0), record(2 * HOUR, is_notable=True), record(3 * HOUR), record(9 * HOUR)]
    write(connection, kept)

    prune(connection, oldest=2 * HOUR, oldest_detail=6 * HOUR)

    assert [line.start_unix_nano for line in archive.lines(subject(), 0, ALWAYS)] == [2 * HOUR, 3 * HOUR, 9 * HOUR]
    assert archive.details(subject(), 8 * HOUR)[0] == 3 * HOUR
    assert archive.series(subject(), "feature", "f000", 0, ALWAYS).starts.tolist() == [2 * HOUR, 3 * HOUR, 9 * HOUR]
    assert archive.first_heard(subject()) == 2 * HOUR


def test_the_past_that_is_sent_today_is_kept_as_long_as_today(connection, archive):
    """However long ago its windows were."""
    Writer(connection).write([record(0), record(HOUR)], written=90 * HOUR)

    prune(connection, oldest=80 * HOUR, oldest_detail=80 * HOUR)

    assert [line.start_unix_nano for line in archive.lines(subject(), 0, ALWAYS)] == [0, HOUR]
    assert archive.details(subject(), ALWAYS)[0] == 2 * HOUR


def test_nothing_is_left_of_whom_nobody_heard_again(connection):
    """Neither names nor layouts nor frames."""
    write(connection, [record(0, alerts=[alert("resolved", time=1)])])

    prune(connection, oldest=9 * HOUR, oldest_detail=9 * HOUR)

    tables = ("subject", "layout", "frames", "window", "heat", "figures", "detail", "alert", "firing")
    left = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    assert left == dict.fromkeys(tables, 0)


@pytest.mark.parametrize("is_kept", [True, False])
async def test_readers_see_what_was_written_and_can_write_nothing(tmp_path, is_kept):
    """In a file through a connection of their own; in memory as well."""
    store = SqliteStore(tmp_path / "a %20#? name.db" if is_kept else None, 9e9)
    await store.start()
    now = time.time_ns()

    await store.write({}, [record(now)])
    found = await store.ask(lambda archive: archive.lines(subject(), now, ALWAYS))

    assert [line.calls for line in found] == [CallFigures(500, {"ValueError": 5}, 0.010, 0.050, 0.090)]
    if is_kept:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await store.ask(lambda archive: archive._connection.execute("DELETE FROM window"))
    await store.shutdown(1.0)


async def test_a_store_of_the_version_before_goes_on_without_its_old_history(tmp_path):
    """Alerts, windows and marks are there; what people look at begins anew."""
    path = tmp_path / "state.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE entry (section TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,"
            " PRIMARY KEY (section, key)) WITHOUT ROWID;"
            "CREATE TABLE history (model TEXT); INSERT INTO history VALUES ('fraud');"
            "INSERT INTO entry VALUES ('alerts', 'a', x'31'); PRAGMA user_version = 3;"
        )
    connection.close()
    store = SqliteStore(path, 9e9)

    await store.start()
    await store.write({}, [record(time.time_ns())])

    assert store.read("alerts") == {"a": b"1"}
    assert await store.ask(lambda archive: archive.subjects()) == [subject()]
    await store.shutdown(1.0)


async def test_what_was_undone_is_kept_the_next_time(tmp_path):
    """Names and frames too, whose numbers went with it."""
    store = SqliteStore(tmp_path / "state.db", 9e9)
    await store.start()
    now = time.time_ns()
    with pytest.raises(sqlite3.Error):
        await store.write({}, [record(now), record(now + HOUR, rows=object())])

    await store.write({}, [record(now)])

    picture = await store.ask(lambda archive: archive.picture(subject(), "feature", "f000", ALWAYS))
    assert picture.frame.names == ("NO", "SE", "(unseen)")
    await store.shutdown(1.0)


def test_figures_of_a_column_take_two_dozen_bytes():
    """Of a thousand columns over a month that decides what a disk must hold."""
    assert FIGURES.itemsize <= 28
    assert max(Flag) < 256

"""Which past windows are kept, for how long, and what survives a restart."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_samples import MINUTE, MODEL, numeric
from reference_samples import AMOUNT, DAY, HOUR, MONDAY, Shelf, amounts, closed, hourly

from collector_processor.processors.references.history import SECTION, WindowHistory
from collector_processor.processors.references.series import Subject
from collector_processor.processors.references.settings import HistorySettings, ReferenceSettings
from collector_processor.store.sqlite import SqliteStore
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment

SUBJECT = Subject(MODEL)
FIVE_MINUTES = 5 * MINUTE


def history(window_s=3600.0, **changes):
    return WindowHistory(ReferenceSettings(**changes), window_s)


def filled(windows, window_s=3600.0, **changes):
    kept = history(window_s, **changes)
    for window in windows:
        kept.remember(window)
    return kept


def saved(kept, shelf=None):
    shelf = shelf or Shelf()
    shelf.take(kept.sections())
    kept.written()
    return shelf


def restored(shelf, window_s=3600.0, **changes):
    kept = history(window_s, **changes)
    kept.restore(shelf)
    return kept


def starts(windows):
    return [window.start_unix_nano for window in windows]


def test_a_week_is_kept_and_no_more():
    """What no reference will ask for any more is let go."""
    kept = filled(hourly(MONDAY, 9 * 24, rows=20))

    latest = MONDAY + 9 * DAY
    assert starts(kept.within(SUBJECT, MONDAY, latest))[0] == latest - 7 * DAY - HOUR
    assert not kept.dropped


def test_without_a_reference_in_the_past_next_to_nothing_is_kept():
    """Only what another version, a little behind, may need."""
    kept = filled(hourly(MONDAY, 48, rows=20), last_day=False, last_week=False, rollup="0")

    assert len(kept) == 12


def test_short_windows_are_kept_for_a_day_and_merged_by_the_hour():
    """A week of five-minute windows is 169 hours and a day of windows, not 2,016 windows."""
    kept = filled(hourly(MONDAY, 50, rows=10, length=FIVE_MINUTES), 300.0)

    one_by_one = kept.usual(SUBJECT, MONDAY + 30 * HOUR, MONDAY + 31 * HOUR)
    before = kept.usual(SUBJECT, MONDAY + 5 * HOUR + FIVE_MINUTES, MONDAY + 5 * HOUR + 2 * FIVE_MINUTES)
    assert len(kept) == 50 + 24 * 12 + 1
    assert len(one_by_one) == 12
    assert starts(before) == [MONDAY + 5 * HOUR]
    assert (before[0].rows, before[0].windows, before[0].covered) == (120, 12, HOUR)


def test_a_span_is_covered_once():
    """Whole hours as such, the rest as windows: nothing counts twice."""
    kept = filled(hourly(MONDAY, 10, rows=10, length=FIVE_MINUTES), 300.0)

    found = kept.within(SUBJECT, MONDAY + 50 * MINUTE, MONDAY + 4 * HOUR + 10 * MINUTE)

    assert sum(window.rows for window in found) == 10 * (2 + 36 + 2)
    assert len(found) == 2 + 3 + 2


def test_an_hour_with_a_gap_is_merged_when_the_next_begins():
    """Silence at the end of an hour does not leave it open."""
    windows = hourly(MONDAY, 1, rows=10, length=FIVE_MINUTES)[:-2]
    late = amounts(MONDAY + 3 * HOUR, rows=10, length=FIVE_MINUTES)

    kept = filled([*windows, late], 300.0)

    (hour,) = kept.within(SUBJECT, MONDAY, MONDAY + HOUR)
    assert (hour.windows, hour.rows) == (10, 100)


def test_versions_that_are_not_served_any_more_are_forgotten():
    """Like the old windows of those that are; what a version of another model left is none of their business."""
    retired, other = (ModelKey(name, "1") for name in (MODEL.name, "churn"))
    kept = filled([amounts(MONDAY, model=retired), amounts(MONDAY, model=other)])

    for window in hourly(MONDAY, 8 * 24, rows=20):
        kept.remember(window)

    assert set(kept.subjects()) == {SUBJECT, Subject(other)}
    assert not kept.dropped


def test_segments_are_kept_when_asked_for():
    """Two hundred segments of a model would take two hundred times the memory."""
    window = amounts(MONDAY, segment=Segment("country", "NO"))

    assert len(filled([window])) == 0
    assert len(filled([window], segments=True)) == 1
    assert len(filled([window], stable={"dimension": "country"})) == 1


def test_the_oldest_windows_make_room():
    """Bounds on one series, counted."""
    kept = filled(hourly(MONDAY, 30, rows=20), history=HistorySettings(windows=10))

    assert starts(kept.within(SUBJECT, MONDAY, MONDAY + DAY * 2)) == [MONDAY + hour * HOUR for hour in range(20, 30)]
    assert kept.dropped == {"too_many_windows": 20}


def test_the_series_that_was_silent_longest_makes_room():
    """Bounds on the number of models and versions."""
    models = [ModelKey("fraud", str(version)) for version in range(3)]
    windows = [amounts(MONDAY + hour * HOUR, model=model) for hour, model in enumerate(models)]

    kept = filled(windows, history=HistorySettings(series=2))

    assert kept.subjects() == [Subject(model) for model in models[1:]]
    assert kept.dropped == {"too_many_series": 1}


def test_memory_is_bounded_over_all_series():
    """The oldest window of all goes first."""
    values = np.random.default_rng(0).normal(size=(60, 400))
    columns = [numeric(f"column {index}", column) for index, column in enumerate(values)]
    kept = history(history=HistorySettings(memory_mib=1))
    for hour in range(30):
        for version in "12":
            kept.remember(closed(MONDAY + hour * HOUR, *columns, model=ModelKey("fraud", version)))

    assert kept.size <= 1 << 20
    assert kept.dropped["memory"] > 0
    assert kept.size == sum(
        window.size for subject in kept.subjects() for window in kept.within(subject, MONDAY, MONDAY + 2 * DAY)
    )
    for subject in kept.subjects():
        assert kept.at(subject, MONDAY + 29 * HOUR, MONDAY + 30 * HOUR) is not None


def test_of_a_window_cut_in_two_by_a_restart_the_larger_part_stays():
    """It closes once before its time, and once with the rest."""
    kept = filled([amounts(MONDAY, rows=10), amounts(MONDAY, rows=90), amounts(MONDAY, rows=20)])

    assert [window.rows for window in kept.within(SUBJECT, MONDAY, MONDAY + HOUR)] == [90]


def test_what_drifted_is_marked_in_the_window_and_in_its_hour():
    """It is no example of what is usual at its time."""
    windows = hourly(MONDAY, 2, rows=10, length=FIVE_MINUTES)
    kept = filled(windows, 300.0)

    kept.mark_drifted(windows[3], [AMOUNT])

    (hour,) = kept.within(SUBJECT, MONDAY, MONDAY + HOUR)
    marked = [bool(window.drifted) for window in kept.usual(SUBJECT, MONDAY, MONDAY + HOUR)]
    assert hour.drifted == {AMOUNT}
    assert marked == [False] * 3 + [True] + [False] * 8


def test_a_restart_changes_nothing():
    """All that was kept is there again, marks included."""
    windows = hourly(MONDAY, 30, rows=20, length=FIVE_MINUTES)
    kept = filled(windows, 300.0)
    kept.mark_drifted(windows[-1], [AMOUNT])

    again = restored(saved(kept), 300.0)

    assert len(again) == len(kept)
    assert again.size == kept.size
    assert again.first_heard(SUBJECT) == MONDAY
    assert again.within(SUBJECT, MONDAY, MONDAY + 2 * DAY) == kept.within(SUBJECT, MONDAY, MONDAY + 2 * DAY)
    assert again.usual(SUBJECT, MONDAY, MONDAY + 2 * DAY) == kept.usual(SUBJECT, MONDAY, MONDAY + 2 * DAY)
    assert not again.dropped


async def test_the_history_is_kept_in_the_store(tmp_path):
    """Over processes, and what expires is removed from the file."""
    kept = history(last_week=False, last_day=False, rollup="0")
    for hours in (range(20), range(20, 40)):
        store = SqliteStore(tmp_path / "state.db", 30 * 86_400.0)
        await store.start()
        for hour in hours:
            kept.remember(amounts(MONDAY + hour * HOUR, rows=20))
            await store.write(kept.sections())
            kept.written()
        await store.shutdown(1.0)

    store = SqliteStore(tmp_path / "state.db", 30 * 86_400.0)
    await store.start()
    again = history(last_week=False, last_day=False, rollup="0")
    again.restore(store)
    oldest = store.read(f'{SECTION}/[["fraud", "3"], null]/{MONDAY}')
    await store.shutdown(1.0)

    assert again.within(SUBJECT, MONDAY, MONDAY + 2 * DAY) == kept.within(SUBJECT, MONDAY, MONDAY + 2 * DAY)
    assert len(again) == 12
    assert oldest == {}


def test_fewer_series_than_before_can_be_asked_for():
    """Bounds hold after a restart too."""
    shelf = saved(filled([amounts(MONDAY, model=ModelKey("fraud", version)) for version in "123"]))

    kept = restored(shelf, history=HistorySettings(series=2))

    assert len(kept.subjects()) == 2
    assert kept.dropped["too_many_series"] == 1


def test_only_what_changed_is_written():
    """A checkpoint every half minute must not rewrite a week."""
    kept = filled(hourly(MONDAY, 30, rows=20))
    shelf = saved(kept)

    unchanged = kept.sections()
    kept.remember(amounts(MONDAY + 30 * HOUR))
    changed = kept.sections()

    assert unchanged == {}
    assert len(changed) == 2
    assert SECTION in changed
    assert len(shelf.sections) == 31


def test_a_write_that_failed_is_made_up_for():
    """What was given but never written is given again."""
    kept = filled([amounts(MONDAY)])

    first, second = kept.sections(), kept.sections()

    assert first == second != {}


def test_what_is_forgotten_is_removed_from_the_store():
    """A section that is written empty is a section less."""
    kept = filled(hourly(MONDAY, 3, rows=20), last_week=False, last_day=False, rollup="0")
    shelf = saved(kept)
    for window in hourly(MONDAY + 3 * HOUR, 12, rows=20):
        kept.remember(window)

    saved(kept, shelf)

    assert sum(bool(entries) for name, entries in shelf.sections.items() if name != SECTION) == len(kept)


def test_what_is_never_written_is_not_remembered_as_unwritten():
    """A processor without a store runs for years."""
    kept = filled(hourly(MONDAY, 10 * 24, rows=5), last_week=False, rollup="0")

    assert len(kept.sections()) <= len(kept) + 4


@given(
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from("123"), st.booleans()), max_size=25),
    st.sampled_from([300.0, 3600.0, 7200.0]),
)
@settings(max_examples=25, deadline=None)
def test_any_history_survives(visits, window_s):
    """In whatever order windows closed, and however often it was written in between."""
    length = round(window_s * 1e9)
    kept, shelf = history(window_s), Shelf()
    for place, version, is_written in visits:
        kept.remember(amounts(MONDAY + place * length, rows=3, length=length, model=ModelKey("fraud", version)))
        if is_written:
            saved(kept, shelf)
    saved(kept, shelf)

    again = restored(shelf, window_s)

    assert set(again.subjects()) == set(kept.subjects())
    assert (len(again), again.size) == (len(kept), kept.size)


@pytest.mark.parametrize(("before", "after"), [(300.0, 3600.0), (3600.0, 300.0), (300.0, 600.0)])
def test_windows_of_another_length_stay_of_use(before, after):
    """Whoever changes the window keeps yesterday: what lies within a window's time, or the hour around it."""
    length = round(after * 1e9)
    shelf = saved(filled(hourly(MONDAY, 30, rows=20, length=round(before * 1e9)), before))
    kept = restored(shelf, after)
    kept.remember(amounts(MONDAY + 30 * HOUR, length=length))

    yesterday = kept.usual(SUBJECT, MONDAY + 6 * HOUR, MONDAY + 6 * HOUR + length)

    assert sum(window.rows for window in yesterday) > 0
    assert all(window.end_unix_nano <= MONDAY + 7 * HOUR for window in yesterday)


def test_what_cannot_be_read_is_left_out_and_counted():
    """Of a store that another version wrote, or a disk that failed."""
    shelf = saved(filled(hourly(MONDAY, 4, rows=20)))
    names = sorted(name for name in shelf.sections if name != SECTION)
    shelf.sections[names[0]] = {"window/1": b"nonsense"}
    shelf.sections[names[1]] = {}
    shelf.sections[SECTION]["nonsense"] = b"{}"
    shelf.sections[SECTION]['[["fraud", "9"], null]'] = b'{"first": 1, "hours": ["x"]}'

    kept = restored(shelf)

    assert len(kept) == 2
    assert kept.dropped == {"corrupt": 3}


def test_a_window_that_turns_out_unreadable_is_forgotten():
    """Payloads are read when they are needed."""
    shelf = saved(filled(hourly(MONDAY, 3, rows=20)))
    name = sorted(name for name in shelf.sections if name != SECTION)[1]
    ((key, value),) = shelf.sections[name].items()
    shelf.sections[name] = {key: value[:-5] + b"xxxxx"}
    kept = restored(shelf)

    merged = kept.merged(SUBJECT, kept.within(SUBJECT, MONDAY, MONDAY + DAY))

    assert merged.rows == 40
    assert len(kept) == 2
    assert kept.dropped == {"corrupt": 1}

"""Which references a window is given, and why not."""

import numpy as np
import pytest
from drift_samples import layout_of
from processor_samples import MINUTE, MODEL, Producer, categorical, numeric
from reference_samples import AMOUNT, DAY, HOUR, MONDAY, Shelf, amounts, closed, hourly

from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences
from collector_processor.processors.references.series import Subject
from collector_processor.processors.references.settings import ReferenceSettings
from collector_processor.processors.windows import WindowSettings, WindowStore
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

KS = create("ks")
MIN_ROWS = 200
FIVE_MINUTES = 5 * MINUTE
CANARY = ModelKey("fraud", "4")


def references(windows=(), *, window_s=3600.0, baseline=None, open_windows=None, **changes):
    settings = ReferenceSettings(**changes)
    history = WindowHistory(settings, window_s)
    for window in windows:
        history.remember(window)
    return NamedReferences(settings, history, (baseline or {}).get, MIN_ROWS, open_windows)


def named(found, window):
    return {reference.name: reference for reference in found.of(window)}


def one(found, window, name):
    return named(found, window)[name]


def column(window):
    return window.parts[AMOUNT, FeatureKind.NUMERIC]


def baseline_of(values, version="3"):
    return Baseline.build({"amount": np.asarray(values)}, model="fraud", version=version)


def test_every_configured_reference_is_named_and_says_why_it_is_none():
    """Nothing is never said by saying nothing."""
    found = references(trailing=24).of(amounts(MONDAY))

    assert {reference.name: reference.insufficient for reference in found} == {
        "baseline": "the model has no baseline",
        "trailing": "of the time before, 0% was seen (at least 50%)",
        "last_day": "no window of that time is kept",
        "last_week": "no window of that time is kept",
        "stable": "no other deployment in this window",
    }
    assert not any(reference.columns for reference in found)


def test_last_day_and_last_week_are_the_same_time():
    """To the window, where windows are an hour or longer."""
    found = references(hourly(MONDAY, 8 * 24))
    window = amounts(MONDAY + 8 * DAY + 5 * HOUR)

    day, week = one(found, window, "last_day"), one(found, window, "last_week")

    assert (day.rows, week.rows) == (300, 300)
    assert day.description == "2025-06-23T05:00Z to 2025-06-23T06:00Z"
    assert week.description == "2025-06-17T05:00Z to 2025-06-17T06:00Z"
    yesterday = amounts(MONDAY + 7 * DAY + 5 * HOUR)
    pair = day.pair(column(yesterday))
    assert KS.compare(*pair).score == 0


def test_short_windows_have_the_whole_hour_of_last_week():
    """Five minutes of last day, and the hour around them of last week."""
    windows = [
        window
        for first in (MONDAY + DAY, MONDAY + 7 * DAY)
        for window in hourly(first, 2, length=FIVE_MINUTES, rows=210)
    ]
    found = references(windows, window_s=300.0)
    window = amounts(MONDAY + 8 * DAY + 5 * MINUTE, length=FIVE_MINUTES)

    day, week = one(found, window, "last_day"), one(found, window, "last_week")

    assert (day.rows, day.description) == (210, "2025-06-23T00:05Z to 2025-06-23T00:10Z")
    assert (week.rows, week.description) == (12 * 210, "2025-06-17T00:00Z to 2025-06-17T01:00Z")


def test_neighbours_bring_more_rows():
    """Where one window has too few."""
    windows = hourly(MONDAY, 24, rows=90)
    window = amounts(MONDAY + DAY + 5 * HOUR)

    alone = one(references(windows), window, "last_day")
    together = one(references(windows, neighbours=1), window, "last_day")

    assert (alone.rows, alone.insufficient) == (0, "90 rows (at least 200)")
    assert (together.rows, together.insufficient) == (270, None)
    assert together.description == "2025-06-16T04:00Z to 2025-06-16T07:00Z"


@pytest.mark.parametrize("trailing", [6, "6h"])
def test_trailing_windows_are_merged(trailing):
    """Those just before; the window itself, though remembered, is none of them."""
    windows = hourly(MONDAY, 10)
    found = references(windows, trailing=trailing)

    reference = one(found, windows[-1], "trailing")

    assert reference.rows == 6 * 300
    assert reference.description == "2025-06-16T03:00Z to 2025-06-16T09:00Z"
    assert one(found, windows[2], "trailing").insufficient.startswith("of the time before, 33% was seen")


@pytest.mark.parametrize(
    ("drifted_days", "taken"),
    [((), 4), ((4,), 3), ((4, 3), 2), ((4, 3, 2), 4), ((3,), 4)],
    ids=["none", "yesterday", "two days", "three days", "the day before"],
)
def test_a_column_that_drifted_yesterday_is_taken_from_the_day_before(drifted_days, taken):
    """Up to three days back; what is so for longer is the usual. The other columns are yesterday's."""
    country = FeatureKey(FeatureRole.FEATURE, "country")
    windows = [
        closed(
            MONDAY + day * DAY,
            numeric("amount", np.arange(300.0) + 1_000 * day),
            categorical("country", {f"day {day}": 300}),
        )
        for day in range(6)
    ]
    settings = ReferenceSettings()
    history = WindowHistory(settings, 3600.0)
    for window in windows:
        history.remember(window)
    for day in drifted_days:
        history.mark_drifted(windows[day], [AMOUNT])
    found = NamedReferences(settings, history, lambda _: None, MIN_ROWS)

    day = one(found, windows[5], "last_day")

    assert day.columns[AMOUNT].content.moments.minimum == 1_000 * taken
    assert set(day.columns[country].content.categories.counts) == {"day 4"}
    assert day.earlier == ({AMOUNT} if taken != 4 else set())


def test_the_baseline_is_a_reference_like_the_others():
    """Asked in the same way, with all it knows."""
    values = np.random.default_rng(0).normal(size=4_000)
    baseline = baseline_of(values)
    found = references(baseline={MODEL: baseline})
    layout = baseline.layout(AMOUNT)
    usual, moved = amounts(MONDAY, rows=1_000, layout=layout), amounts(MONDAY, rows=1_000, mean=1.0, layout=layout)

    reference = one(found, usual, "baseline")

    assert reference.rows == 4_000
    assert reference.description == f"{baseline.id[:8]}, 4000 rows"
    assert KS.compare(*reference.pair(column(usual))).p_value > 0.01
    assert KS.compare(*reference.pair(column(moved))).p_value < 1e-9
    assert reference.quality(column(moved)).missing_ratio == 0


def test_another_version_is_met_in_the_same_window():
    """Though it closed later: what is remembered first is found."""
    stable, canary = amounts(MONDAY, rows=900), amounts(MONDAY, mean=1.0, model=CANARY, seed=5)
    found = references([amounts(MONDAY - HOUR), stable, canary])

    reference = one(found, canary, "stable")

    assert (reference.rows, reference.description) == (900, "version '3' in the same window")
    assert KS.compare(*reference.pair(column(canary))).drifted
    assert one(found, stable, "stable").insufficient == "version '3' is the stable one itself"


def test_a_version_whose_window_is_still_open_is_met_too():
    """Its clock is a little behind; its rows so far are of the same minutes."""
    store = WindowStore(WindowSettings(window="1h"), wall_clock_ns=lambda: MONDAY + DAY)
    producer = Producer(model=MODEL)
    for minute in range(10):
        store.merge(producer.snapshot(numeric("amount", np.arange(100.0)), start=MONDAY + minute * MINUTE))
    canary = amounts(MONDAY, model=CANARY)
    found = references([amounts(MONDAY - HOUR), canary], open_windows=store)

    reference = one(found, canary, "stable")

    assert (reference.rows, reference.description) == (1_000, "version '3' in the same window")
    assert store.streams[MODEL].windows
    assert sum(window.rows for window in store.close_all()) == 1_000


@pytest.mark.parametrize(
    ("choose", "versions", "chosen"),
    [
        ("longest_lived", {}, "version '1' in the same window"),
        ("most_rows", {}, "version '3' in the same window"),
        ("listed", {"fraud": ["2"]}, "version '2' in the same window"),
        ("listed", {"fraud": ["0", "3", "2"]}, "version '3' in the same window"),
    ],
)
def test_the_stable_version_is_chosen(choose, versions, chosen):
    """By age, by size, or by name."""
    old = amounts(MONDAY - DAY, model=ModelKey("fraud", "1"))
    present = [amounts(MONDAY, rows=400 + 300 * place, model=ModelKey("fraud", str(place))) for place in (1, 2, 3)]
    canary = amounts(MONDAY, model=CANARY)
    other_model = amounts(MONDAY, rows=9_000, model=ModelKey("churn", "1"))
    found = references([old, *present, canary, other_model], stable={"choose": choose, "versions": versions})

    assert one(found, canary, "stable").description == chosen


def test_a_version_with_hardly_any_rows_is_no_reference():
    """And it is said so."""
    canary = amounts(MONDAY, model=CANARY)
    found = references([amounts(MONDAY, rows=20), canary])
    listed = references([amounts(MONDAY), canary], stable={"choose": "listed", "versions": {"fraud": ["9"]}})
    unlisted = references([amounts(MONDAY), canary], stable={"choose": "listed", "versions": {"churn": ["9"]}})

    assert one(found, canary, "stable").insufficient == "version '3' has 20 rows (at least 200)"
    assert one(listed, canary, "stable").insufficient == "none of the listed versions is in this window"
    assert one(unlisted, canary, "stable").insufficient == "no versions are listed for model 'fraud'"


def test_deployments_may_be_segments():
    """Where the version of the service tells deployments apart, and not that of the model."""
    old, new = (Segment("service.version", version) for version in ("1.4", "1.5"))
    windows = [amounts(MONDAY, segment=old), amounts(MONDAY + HOUR, segment=old), amounts(MONDAY + HOUR, segment=new)]
    found = references(windows, stable={"dimension": "service.version"})

    reference = one(found, windows[-1], "stable")

    assert reference.description == "service.version '1.4' in the same window"
    assert one(found, windows[1], "stable").insufficient == "service.version '1.4' is the stable one itself"


def test_versions_of_the_model_are_compared_beside_deployments_of_one_version():
    """Whichever a rolling update changes; the deployments of another version are none of this one's."""
    old, new = (Segment("service.version", version) for version in ("1.4", "1.5"))
    stable, canary = amounts(MONDAY), amounts(MONDAY, model=CANARY)
    windows = [amounts(MONDAY - HOUR), stable, canary, amounts(MONDAY, model=CANARY, segment=new)]
    found = references([*windows, amounts(MONDAY, segment=old)], stable={"dimension": "service.version"})

    whole, deployment = one(found, canary, "stable"), one(found, windows[-1], "stable")

    assert whole.description == "version '3' in the same window"
    assert deployment.insufficient == "no other deployment in this window"


def test_a_deployment_has_the_stable_one_for_a_reference_and_a_segment_none_unless_asked():
    """What is kept of every segment costs memory; of a deployment, only its neighbour in the same minutes is asked."""
    deployment, slice_of = Segment("service.version", "1.4"), Segment("country", "NO")
    names = {}
    for segments in (False, True):
        found = references(segments=segments, stable={"dimension": "service.version"})
        for segment in (deployment, slice_of):
            names[segment, segments] = [reference.name for reference in found.of(amounts(MONDAY, segment=segment))]

    assert names[deployment, False] == ["stable"]
    assert names[slice_of, False] == []
    assert names[deployment, True] == names[slice_of, True] == ["baseline", "last_day", "last_week", "stable"]


def test_versions_with_baselines_of_their_own_are_compared():
    """Each counts in bins of its own baseline; both are known here."""
    random = np.random.default_rng(3)
    baselines = {MODEL: baseline_of(random.normal(size=5_000)), CANARY: baseline_of(random.normal(size=5_000), "4")}
    own, other = (baseline.layout(AMOUNT) for baseline in baselines.values())
    stable = amounts(MONDAY, rows=3_000, layout=own)
    usual = amounts(MONDAY, rows=3_000, layout=other, model=CANARY, seed=8)
    moved = amounts(MONDAY, rows=3_000, layout=other, model=CANARY, mean=0.5, seed=8)
    found = references([amounts(MONDAY - HOUR), stable], baseline=baselines)

    quiet = KS.compare(*one(found, usual, "stable").pair(column(usual)))
    drifted = KS.compare(*one(found, moved, "stable").pair(column(moved)))

    assert quiet.p_value > 0.05
    assert drifted.p_value < 1e-9
    assert drifted.drifted


def test_what_was_read_otherwise_is_mismatched_in_the_reference_as_well():
    """One replica of yesterday sent texts: its column is compared as the numbers it is today."""
    yesterday = closed(
        MONDAY,
        numeric("amount", np.random.default_rng(0).normal(size=250)),
        categorical("amount", {"n/a": 900}),
        rows=1150,
    )
    today = amounts(MONDAY + DAY)

    reference = one(references([yesterday]), today, "last_day")

    summary = reference.columns[AMOUNT]
    assert (summary.kind, summary.counters.mismatched) == (FeatureKind.NUMERIC, 900)
    assert reference.quality(column(today)).type_mismatch.reference_ratio == pytest.approx(900 / 1150)


def test_references_survive_a_restart():
    """Found again from the store, and read as before."""
    windows = hourly(MONDAY, 30)
    settings = ReferenceSettings(trailing=4)
    history, shelf = WindowHistory(settings, 3600.0), Shelf()
    for window in windows:
        history.remember(window)
    shelf.take(history.sections())
    again = WindowHistory(settings, 3600.0)
    again.restore(shelf)

    before, after = (
        named(NamedReferences(settings, kept, lambda _: None, MIN_ROWS), windows[-1]) for kept in (history, again)
    )

    for name in ("trailing", "last_day"):
        assert (before[name].rows, before[name].description) == (after[name].rows, after[name].description)
        pairs = [references[name].pair(column(windows[-1])) for references in (before, after)]
        assert KS.compare(*pairs[0]) == KS.compare(*pairs[1])


def test_a_reference_that_cannot_be_read_is_insufficient():
    """Rather than compared with what is left of it."""
    window = amounts(MONDAY)
    found = references([window])
    selection = next(each for each in found.select(amounts(MONDAY + DAY)) if each.name == "last_day")
    kept = found._history._series[Subject(MODEL)].windows
    broken = kept[MONDAY] = kept[MONDAY].decode(kept[MONDAY].encode()[:-40] + b"x" * 40)

    read = found.read(type(selection)(**{**_fields(selection), "windows": [broken]}))

    assert read.insufficient == "0 rows (at least 200)"
    assert found._history.dropped == {"corrupt": 1}
    assert len(found._history) == 0


def _fields(selection):
    return {name: getattr(selection, name) for name in selection.__slots__}


def test_a_day_is_rolled_up_four_times_a_day():
    """Once there is a whole day; the merged window ends with the one that closed, and holds its rows too."""
    windows = hourly(MONDAY, 30, layout=layout_of(np.random.default_rng(0).normal(size=3_000)))
    found = references(windows)

    rolled = [found.rollup(window) for window in windows]

    due = [position for position, rollup in enumerate(rolled) if rollup is not None]
    assert due == [23, 29]
    day = rolled[23]
    assert (day.start_unix_nano, day.end_unix_nano, day.rows) == (MONDAY, MONDAY + DAY, 24 * 300)
    assert column(day).content.count == 24 * 300
    assert day.model == MODEL


def test_without_rollup_there_is_none():
    """Zero switches it off."""
    found = references(hourly(MONDAY, 30), rollup="0")

    assert found.rollup(amounts(MONDAY + 23 * HOUR)) is None

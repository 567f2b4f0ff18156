"""The page of a model's slices."""

import dataclasses
import math

import numpy as np
import pytest
from console_samples import HOSTILE, NOW, Document, asked, is_ours, named, serving
from history_samples import HOUR, alert, columns, figures_of, record, subject

from collector_processor.console.page import address
from collector_processor.console.pages.segments import PAGE
from collector_processor.history import Column, Flag, Subject
from collector_processor.store.sqlite import SqliteStore

FRAUD = {"name": "fraud", "version": "3"}
NORWAY, SWEDEN, PHONES = "country=NO", "country=SE", "device=phone"


def hour(segment="", scores=(0.1, 0.1, 0.1), *, ago=0, flags=0, **changes):
    """A window of a slice, that ended so many hours ago."""
    figures = figures_of(len(scores), np.array(scores), flags=flags)
    given = {"whose": subject(segment=segment), "known": columns(len(scores)), **changes}
    kept = record(NOW - (ago + 1) * HOUR, figures=figures, **given)
    return dataclasses.replace(kept, frames=[None] * len(scores), shapes=[None] * len(scores)) if segment else kept


async def shown(*records, **parameters):
    return await asked(PAGE, *records, **{**FRAUD, **parameters})


def names(content):
    return [row["segment"] for row in content["segments"]]


async def test_a_segment_is_told_by_its_numbers():
    """The column that went furthest, its share of the rows, and how many columns are beyond their threshold."""
    content = await shown(hour(rows=500), hour(NORWAY, (0.1, 0.5, 0.3), rows=50, compared=0))

    (row,) = content["segments"]
    assert (row["dimension"], row["value"]) == ("country", "NO")
    assert (row["rows"], row["share"]) == (50, 0.1)
    assert row["worst"] == {"role": "feature", "name": "f001", "magnitude": 2.5, "usual": None, "change": None}
    assert (row["beyond"], row["measured"]) == (2, 3)
    assert (row["window_end"], row["age_s"]) == (NOW, 0.0)


async def test_the_worst_comes_first():
    """What fires before all, then by how far the worst column went; what is silent last."""
    content = await shown(
        hour(),
        hour(NORWAY, (0.5, 0.1)),
        hour(SWEDEN, (0.1, 0.7)),
        hour("country=DK", (0.2, 0.2), alerts=[alert(whose=subject(segment="country=DK"))]),
        hour("country=FI", (0.9, 0.9), ago=10),
        range="6h",
    )

    assert names(content) == ["country=DK", SWEDEN, NORWAY, "country=FI"]
    assert [row["is_firing"] for row in content["segments"]] == [True, False, False, False]
    assert [row["is_silent"] for row in content["segments"]] == [False, False, False, True]


async def test_a_segment_that_is_silent_is_still_told():
    """With its last window, and without a course in a range that it is not in."""
    content = await shown(hour(rows=400, ago=3), hour(), hour(NORWAY, rows=100, ago=3), range="1h")

    (row,) = content["segments"]
    assert (row["is_silent"], row["share"], row["age_s"]) == (True, 0.25, 3 * 3600.0)
    assert content["heat"]["times"] == []


async def test_the_course_of_a_segment_is_that_of_its_worst_column():
    """One row a segment, one cell a window; where it has none, it is unknown."""
    content = await shown(
        hour(),
        hour(NORWAY, (0.1, 0.3), ago=1, flags=Flag.BAD_VALUES),
        hour(NORWAY, (0.8, 0.1)),
        hour(SWEDEN, (0.2, 0.1)),
    )

    assert content["heat"]["times"] == [NOW - HOUR, NOW]
    assert content["heat"]["rows"] == [
        {"segment": NORWAY, "magnitudes": [1.5, 4.0], "levels": [3, 5], "flags": [Flag.BAD_VALUES, 0],
         "worst_windows": [NOW - HOUR, NOW]},
        {"segment": SWEDEN, "magnitudes": [None, 1.0], "levels": [0, 2], "flags": [0, 0],
         "worst_windows": [NOW - HOUR, NOW]},
    ]  # fmt: skip


def past(segment, *scores, **changes):
    """Windows of a slice that followed each other, the last one now."""
    return [hour(segment, one, ago=len(scores) - 1 - place, **changes) for place, one in enumerate(scores)]


async def test_a_segment_is_compared_with_its_own_past():
    """It always was unlike the whole in one column; what stands out is the other, which changed."""
    windows = past(NORWAY, (0.8, 0.04), (0.8, 0.02), (0.8, 0.02), (0.82, 0.3))
    (row,) = (await shown(hour(), *windows))["segments"]

    assert row["is_changed"]
    assert (row["worst"]["name"], row["worst"]["magnitude"]) == ("f001", 1.5)
    assert (row["worst"]["usual"], row["worst"]["change"]) == (0.1, 1.4)
    assert row["course"] == [0.2, 0.1, 0.1, 1.5]


async def test_a_segment_that_is_as_it_was_is_told_by_its_furthest_column():
    """A little more than usual is no change."""
    (row,) = (await shown(hour(), *past(NORWAY, *[(0.8, 0.02)] * 3, (0.82, 0.1))))["segments"]

    assert not row["is_changed"]
    assert (row["worst"]["name"], row["worst"]["usual"], row["worst"]["change"]) == ("f000", 4.0, 0.1)


@pytest.mark.parametrize(
    ("before", "usual"),
    [([0.02, 0.02], None), ([0.02, math.nan, 0.02], None), ([0.02, 0.1, 0.04], 0.2), ([0.02, 0.1, 0.04, 0.06], 0.26)],
)
async def test_what_is_usual_is_the_median_of_windows_that_measured_it(before, usual):
    """Of three at least: fewer are no past."""
    windows = past(NORWAY, *((score, 0.01) for score in (*before, 0.9)))
    (row,) = (await shown(hour(), *windows))["segments"]

    assert (row["worst"]["name"], row["worst"]["usual"]) == ("f000", pytest.approx(usual, abs=0.011) if usual else None)


async def test_a_segment_that_changed_stands_above_one_that_always_was_far_away():
    """Below what fires; what is silent comes last, whatever it was."""
    content = await shown(
        hour(),
        *past(NORWAY, *[(0.9,)] * 5),
        *past(SWEDEN, *[(0.1,)] * 4, (0.3,)),
        *past("country=DK", *[(0.04,)] * 4, (0.06,), alerts=[alert(whose=subject(segment="country=DK"))]),
        hour("country=FI", (0.9,), ago=10),
        range="6h",
    )

    assert names(content) == ["country=DK", SWEDEN, NORWAY, "country=FI"]
    assert [row["is_changed"] for row in content["segments"]] == [False, True, False, False]


async def test_each_segment_has_a_picture_of_its_course():
    """As long as there are windows of it, 48 at most; what they are stands beside it."""
    windows = past(NORWAY, *[(0.1,)] * 60, (0.5,))
    async with serving(hour(), *windows, hour(PHONES, (math.nan,))) as served:
        page = Document((await served.get(address("/segments", **FRAUD, range="1h"))).text)
        content = (await served.get(address("/segments.json", **FRAUD, range="1h"))).json()

    assert {row["segment"]: len(row["course"]) for row in content["segments"]} == {NORWAY: 48, PHONES: 0}
    assert "last 2.5, highest 2.5, threshold 1" in page.text
    assert sum(tag == "polyline" for tag, _ in page.elements) == 1
    assert "in the last 48 windows" in page.text


async def test_many_windows_are_few_cells_and_no_peak_is_lost():
    """A day of five minutes is no wider than a table of sixty cells."""
    kept = []
    for number in range(120):
        window = hour(NORWAY, (0.9 if number == 77 else 0.1,))
        start = NOW - (number + 1) * HOUR // 12
        line = dataclasses.replace(window.line, start_unix_nano=start, end_unix_nano=start + HOUR // 12)
        kept.append(dataclasses.replace(window, line=line))
    (row,) = (await shown(hour(), *kept))["heat"]["rows"]

    assert len(row["magnitudes"]) == 60
    assert sorted(row["magnitudes"])[-2:] == [0.5, 4.5]


async def test_segments_of_other_models_and_versions_are_not_told():
    """A version has its own."""
    others = [Subject("fraud", "2", NORWAY), Subject("churn", "3", NORWAY)]
    content = await shown(hour(), hour(SWEDEN), *(hour(other.segment, whose=other) for other in others))

    assert names(content) == [SWEDEN]


async def test_a_dimension_is_chosen():
    """The others are a link away; one that nobody sends is not found."""
    kept = [hour(), hour(NORWAY), hour(SWEDEN), hour(PHONES)]
    chosen = await shown(*kept, dimension="device")
    async with serving(*kept) as served:
        page = Document((await served.get(address("/segments", **FRAUD))).text)
        missing = await served.get(address("/segments.json", **FRAUD, dimension="shoe"))

    assert names(chosen) == [PHONES]
    assert chosen["dimensions"] == [{"name": "country", "values": 2}, {"name": "device", "values": 1}]
    assert address("/segments", **FRAUD, dimension="country") in page.links
    assert missing.status_code == 404
    assert missing.json()["error"] == "dimension: 'shoe' is not one of 'fraud' (country, device)"


async def test_values_may_hold_what_divides_them_from_their_dimension():
    """The first = divides; an empty value is one."""
    content = await shown(hour(), hour("query=a=b&c=d"), hour("query="))

    assert [(row["dimension"], row["value"]) for row in content["segments"]] == [("query", ""), ("query", "a=b&c=d")]


async def test_segments_lead_to_their_own_pages():
    """To the slice of the model, to its worst column, and to a window of it; all of them answer."""
    async with serving(hour(), hour(NORWAY, (0.1, 0.9, 0.1))) as served:
        page = Document((await served.get(address("/segments", **FRAUD))).text)
        wanted = [
            address("/model", **FRAUD, segment=NORWAY),
            address("/feature", **FRAUD, segment=NORWAY, feature="f001", at=NOW),
            address("/model", **FRAUD, segment=NORWAY, at=NOW),
        ]
        answers = [(await served.get(link)).status_code for link in wanted]

    assert set(wanted) <= set(page.links)
    assert answers == [200] * 3


async def test_a_model_without_segments_tells_how_to_send_them():
    """In the words of the library."""
    async with serving(hour()) as served:
        answer = await served.get(address("/segments", **FRAUD))

    text = Document(answer.text).text
    assert answer.status_code == 200
    assert "otel_ml.set_segments" in text
    assert "segments={" in text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "nobody"}, "model 'nobody 3': no window of it is kept"),
        ({"version": "9"}, "model 'fraud 9': no window of it is kept"),
        ({"rows": "many"}, "rows: 'many' is not known"),
        ({"range": "1y"}, "range: '1y' is not known"),
        ({"dimension": "country"}, "dimension: 'country' is not one of 'fraud' (none was sent)"),
    ],
)
async def test_what_nobody_knows_is_not_found(changes, sentence):
    """In a sentence that says what would be."""
    async with serving(hour()) as served:
        answer = await served.get(address("/segments.json", **{**FRAUD, **changes}))
        page = await served.get(address("/segments", **{**FRAUD, **changes}))

    assert (answer.status_code, page.status_code) == (404, 404)
    assert sentence in answer.json()["error"]


async def test_of_many_segments_the_worst_are_shown():
    """The others on demand, and how many they are."""
    kept = [hour(f"user={number:02}", (0.01 * number,)) for number in range(25)]
    some, everything = await shown(hour(), *kept), await shown(hour(), *kept, rows="all")

    assert (len(some["segments"]), some["known"], some["hidden"]) == (20, 25, 5)
    assert names(some) == [row["segment"] for row in some["heat"]["rows"]]
    assert names(some)[0] == "user=24"
    assert (len(everything["segments"]), len(everything["heat"]["rows"]), everything["hidden"]) == (25, 25, 0)


async def test_what_was_not_measured_has_no_worst_column():
    """Neither has a window without columns."""
    nothing = dataclasses.replace(record(NOW - HOUR, whose=subject(segment=SWEDEN), known=[]), frames=[], shapes=[])
    content = await shown(hour(), hour(NORWAY, (math.nan, math.nan)), nothing)

    assert [(row["worst"], row["measured"]) for row in content["segments"]] == [(None, 0), (None, 0)]
    assert content["heat"]["rows"][0]["magnitudes"] == [None]


@pytest.mark.parametrize("name", HOSTILE)
async def test_whatever_a_segment_is_called_is_text(name):
    """Dimensions, values and columns."""
    async with serving(*named(name)) as served:
        where = {"name": name, "version": name}
        answer = await served.get(address("/segments", **where))
        content = (await served.get(address("/segments.json", **where))).json()
        page = Document(answer.text)

    assert answer.status_code == 200
    assert names(content) == [f"{name}={name}"]
    assert not page.values("style")
    assert not [attributes for tag, attributes in page.elements if tag == "script" and "src" not in attributes]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert all(map(is_ours, page.links))


async def test_the_course_in_the_history_is_the_largest_of_each_window():
    """However many columns a window has, and whichever they are."""
    store = SqliteStore(None, 1e9)
    await store.start()
    other = [Column("feature", "new", "numeric")]
    await store.write({}, [hour(scores=(0.1, 0.4, math.nan), ago=1), hour(scores=(0.3,), known=other, flags=2)])
    course = await store.ask(lambda archive: archive.course(subject(), 0, NOW + 1))
    nobody = await store.ask(lambda archive: archive.course(subject("nobody"), 0, NOW + 1))
    await store.shutdown(1.0)

    assert course.times.tolist() == [NOW - HOUR, NOW]
    assert course.magnitudes.tolist() == [2.0, 1.5]
    assert course.flags.tolist() == [0, 2]
    assert len(nobody.times) == len(nobody.magnitudes) == len(nobody.flags) == 0

"""One model: what drifted when, and what is wrong with its values."""

import pytest
from console_samples import NOW, Document, asked, full_details, serving
from history_samples import BREACHES, HOUR, alert, columns, figures_of, record, subject

from collector_processor.console.cells import clock, magnitude
from collector_processor.console.page import NotFoundError
from collector_processor.console.pages.model import PAGE
from otel_ml import semconv

FRAUD = {"name": "fraud"}


def window(hours_ago=1, **changes):
    return record(NOW - hours_ago * HOUR, **changes)


async def test_columns_stand_by_importance_times_drift():
    """Importances of the samples are 1, 2, 3."""
    figures = figures_of(3)
    figures["score"] = [0.2, 0.2, 0.05]

    heat = (await asked(PAGE, window(figures=figures), **FRAUD))["heat"]

    assert [column["name"] for column in heat["columns"]] == ["f001", "f000", "f002"]
    assert [column["worst"] for column in heat["columns"]] == [1.0, 1.0, pytest.approx(0.25, abs=0.02)]


async def test_what_fires_now_stands_above_what_was_worse():
    """Whatever its importance."""
    before, now = figures_of(3, 0.9), figures_of(3, 0.3, flags=[BREACHES, 0, 0])

    heat = (await asked(PAGE, window(2, figures=before), window(1, figures=now), **FRAUD))["heat"]

    assert heat["columns"][0]["name"] == "f000"
    assert heat["columns"][0]["magnitudes"] == [4.5, 1.5]


async def test_slow_and_failed_calls_can_be_opened():
    """By their traces, where one knows how; a window without such calls has no list of them."""
    details = full_details("f000", "x")
    template = {"trace_url_template": "https://traces.example/{trace_id}"}
    async with serving(window(details=details), **template) as served:
        page = Document((await served.get("/model?name=fraud")).text)
        twin = (await served.get("/model.json?name=fraud")).json()
    async with serving(window(details=details | {"calls": []})) as served:
        without = (await served.get("/model?name=fraud")).text

    assert twin["requests"] == details["calls"]
    assert f"https://traces.example/{details['calls'][0]['trace_id']}" in page.links
    assert "slowest" in page.text
    assert "1.25 s" in page.text
    assert "Slow and failed calls" not in without


async def test_what_went_beyond_its_threshold_stands_above_what_did_not():
    """However much the model relies on the other."""
    figures = figures_of(3)
    figures["score"] = [0.22, 0.19, 0.19]

    heat = (await asked(PAGE, window(figures=figures), **FRAUD))["heat"]

    assert [column["name"] for column in heat["columns"]] == ["f000", "f002", "f001"]


async def test_a_cell_of_many_windows_leads_to_the_worst_of_them():
    """And says so, where a cell of one window says when that was."""
    windows = [window(120 - number, count=1, score=0.5 if number == 70 else 0.02) for number in range(120)]
    at = NOW - (120 - 70 - 1) * HOUR
    async with serving(*windows) as served:
        many = Document((await served.get("/model?name=fraud&range=7d")).text)
        few = Document((await served.get(f"/model?name=fraud&range=24h&at={at}")).text)
        cells = [link for link in many.links if "at=" in link]
        feature = (await served.get(cells[0].replace("/feature?", "/feature.json?"))).json()

    assert len(cells) == 1
    assert cells[0].endswith(f"at={at}")
    assert (feature["window"]["end"], feature["shown"]["magnitude"]) == (at, 2.5)
    assert [title for title in many.values("title") if "leads to the worst of them" in title] == [
        f"up to {magnitude(2.5)} in 2 windows; leads to the worst of them, {clock(at)}"
    ]
    assert "A cell is up to 2 windows" in many.text
    assert f"{clock(at)}: {magnitude(2.5)}" in few.values("title")
    assert "A cell is up to" not in few.text


async def test_of_many_columns_the_first_are_shown():
    """The others on demand."""
    some = (await asked(PAGE, window(count=70), **FRAUD))["heat"]
    everything = (await asked(PAGE, window(count=70), **FRAUD, rows="all"))["heat"]

    assert (len(some["columns"]), some["hidden"]) == (50, 20)
    assert (len(everything["columns"]), everything["hidden"]) == (70, 0)


async def test_without_a_version_the_latest_is_shown():
    """And the others are named."""
    records = [window(5, whose=subject(version="1")), window(1, whose=subject(version="2"))]

    latest, first = await asked(PAGE, *records, **FRAUD), await asked(PAGE, *records, **FRAUD, version="1")

    assert (latest["version"], first["version"]) == ("2", "1")
    assert [version["version"] for version in latest["versions"]] == ["2", "1"]


async def test_a_model_that_was_not_heard_of_in_the_range_is_still_shown():
    """Without a window, but with its state and a way to a longer range."""
    async with serving(window(5)) as served:
        page = await served.get("/model?name=fraud&range=1h")

    found = await asked(PAGE, window(5), **FRAUD, range="1h")

    assert (found["state"], found["window"], found["heat"]["columns"]) == ("silent", None, [])
    assert page.status_code == 200
    assert "No window ended in this range." in page.text


async def test_other_baselines_packages_and_versions_are_changes():
    """What may be behind a drift, the latest first."""
    records = [
        window(3, whose=subject(version="2")), window(2, whose=subject(version="2"), baseline_id="cd34"),
        window(9, whose=subject(version="1")),
    ]  # fmt: skip

    changes = (await asked(PAGE, *records, **FRAUD, version="2"))["changes"]

    assert [change["what"] for change in changes] == [
        "compared with baseline cd34",
        "version 2 was first heard",
        "version 1 was first heard",
    ]


async def test_bad_values_stand_by_how_many_there_are():
    """Those that breach are marked."""
    found = await asked(PAGE, window(details=full_details("f000", "x")), **FRAUD)

    (column,) = found["quality"]
    assert column["name"] == "f000"
    assert column["ratios"] == {"missing": 0.2, "unseen_category": 0.1}
    assert column["breaching"] == ["missing"]
    assert found["labels"][0]["shares"] == {"x": [0.5, 0.4, 0.6]}


async def test_every_kind_of_bad_value_that_there_is_has_its_column():
    """Also what is infinite; kinds that nothing has take no room."""
    details = full_details("f000", "x")
    details["features"][0]["ratios"] = {"infinite": 0.25, "missing": 0.0}
    async with serving(window(details=details)) as served:
        page = (await served.get("/model?name=fraud")).text
        found = (await served.get("/model.json?name=fraud")).json()

    assert found["bad_values"] == [{"kind": "infinite", "label": "infinite"}]
    assert "25.0 %" in page
    assert ">Infinite</th>" in page
    assert ">Missing</th>" not in page


@pytest.mark.parametrize("check", [{"overruled_by": ["trailing"]}, {"breaches": False}, {"q_value": 0.2}])
async def test_what_is_no_breach_on_the_page_of_a_column_is_none_here(check):
    """As usual for the time of day, or by chance."""
    details = full_details("f000", "x")
    details["features"][0]["checks"]["missing"] |= check

    (column,) = (await asked(PAGE, window(details=details), **FRAUD))["quality"]

    assert column["breaching"] == []


async def test_what_fires_in_slices_is_told_with_the_whole():
    """The list of models calls it unwell for that, so its page says why and leads there."""
    slice_of = subject(segment="country=NO")
    part = window(whose=slice_of, alerts=[alert(time=NOW - HOUR, whose=slice_of)])
    async with serving(window(), part) as served:
        page = Document((await served.get("/model?name=fraud")).text)
        found = (await served.get("/model.json?name=fraud")).json()

    assert (found["state"], found["firing"]) == ("firing", [])
    assert found["why"] == "country=NO: f000: drift: PSI 0.31 > 0.20 of f000"
    assert found["firing_segments"] == [{"segment": "country=NO", "alerts": 1}]
    assert "/model?name=fraud&version=3&segment=country%3DNO" in page.links


async def test_the_requests_that_show_why_stand_behind_the_reason():
    """State, cause, requests: nobody has to look further down for them."""
    traces = {semconv.EXEMPLAR_TRACE_IDS: ["0af7", "1bf8"], semconv.WINDOW_END: NOW - HOUR}
    records = [window(alerts=[alert(time=NOW - HOUR, **traces)])]
    async with serving(*records, trace_url_template="https://backend/{trace_id}") as served:
        head = Document((await served.get("/model?name=fraud")).text.partition("<h2")[0])

    assert [link for link in head.links if "backend" in link] == ["https://backend/0af7", "https://backend/1bf8"]
    assert any(link.startswith("/feature?") and f"at={NOW - HOUR}" in link for link in head.links)


async def test_of_many_alerts_the_first_stand_open():
    """What is below them, when it began to drift and how, is not pushed out of sight."""
    alerts = [alert(time=NOW - HOUR, column=f"f{place:03}") for place in range(9)]
    async with serving(window(count=9, alerts=alerts)) as served:
        page = (await served.get("/model?name=fraud")).text
        many = Document(page)

    assert "5 more" in many.text
    assert ("details", {"id": "more-firing"}) in many.elements
    assert page.count('class="alert alert-firing"') == 9


async def test_only_alerts_of_the_slice_that_is_shown_are_shown():
    """Those of another one are on its page."""
    slice_of = subject(segment="country=NO")
    records = [
        window(alerts=[alert(time=NOW - HOUR, check="missing")]),
        window(whose=slice_of, alerts=[alert(time=NOW - HOUR, whose=slice_of)]),
    ]

    whole, part = await asked(PAGE, *records, **FRAUD), await asked(PAGE, *records, **FRAUD, segment="country=NO")

    assert [told["check"] for told in whole["firing"]] == [told["check"] for told in whole["told"]] == ["missing"]
    assert [told["check"] for told in part["firing"]] == ["drift"]
    assert whole["segments"] == 1


async def test_columns_that_came_and_went_are_unknown_where_they_were_not():
    """Not healthy."""
    one, both = columns(1), columns(2)

    heat = (await asked(PAGE, window(2, known=one), window(1, known=both), **FRAUD))["heat"]

    assert {column["name"]: column["magnitudes"] for column in heat["columns"]} == {
        "f000": [0.5, 0.5], "f001": [None, 0.5],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, r"name: is missing"),
        ({"name": "nobody"}, "model 'nobody': no window of it is kept"),
        ({**FRAUD, "version": "9"}, "model 'fraud 9'"),
        ({**FRAUD, "segment": "a=b"}, "model 'fraud a=b'"),
        ({**FRAUD, "rows": "some"}, "rows: 'some' is not known"),
        ({**FRAUD, "range": "2h"}, r"range: '2h' is not known \(one of 1h, 6h, 24h, 7d, 30d\)"),
        ({**FRAUD, "at": "now"}, "at: 'now' is no moment"),
    ],
)
async def test_what_nobody_knows_is_not_found(parameters, message):
    """With what would be."""
    with pytest.raises(NotFoundError, match=message):
        await asked(PAGE, window(), **parameters)

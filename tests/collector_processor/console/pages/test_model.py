"""One model: what drifted when, and what is wrong with its values."""

import pytest
from console_samples import NOW, asked, full_details, serving
from history_samples import BREACHES, HOUR, alert, columns, figures_of, record, subject

from collector_processor.console.page import NotFoundError
from collector_processor.console.pages.model import PAGE

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

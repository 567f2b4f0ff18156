"""What fires, what was told, and how little of it is shown when there is much."""

import pytest
from console_samples import NOW, asked, serving
from history_samples import HOUR, SECOND, alert, figures_of, record, subject

from collector_processor.console.page import NotFoundError
from collector_processor.console.pages.alerts import PAGE
from otel_ml import semconv

AN_HOUR_AGO = NOW - HOUR
COMMON = {semconv.ALERT_FEATURES: ["f000", "f001"], semconv.WINDOW_END: AN_HOUR_AGO}
PART = {semconv.ALERT_CAUSE: "common_change"}


def common(**changes):
    return alert(time=AN_HOUR_AGO, check="common_change", column="", **COMMON, **changes)


def window(*alerts, end=AN_HOUR_AGO, whose=None, flags=3):
    return record(end - HOUR, whose=whose, figures=figures_of(3, 0.4, flags=flags), alerts=alerts)


async def test_parts_of_a_common_change_stand_below_it():
    """What a change upstream explains is one worry, not twenty; what it does not explain is another."""
    parts = [alert(time=AN_HOUR_AGO, column=name, **PART) for name in ("f000", "f001")]
    other = alert(time=AN_HOUR_AGO, column="f002", check="missing")

    found = await asked(PAGE, window(other, *parts, common()))

    (group,) = found["firing"]
    assert (group["model"], group["count"]) == ("fraud", 4)
    assert [(shown["check"], len(shown["parts"])) for shown in group["alerts"]] == [
        ("common_change", 2),
        ("missing", 0),
    ]
    assert {part["column"] for part in group["alerts"][0]["parts"]} == {"f000", "f001"}


async def test_a_part_whose_whole_does_not_fire_stands_for_itself():
    """Nothing that fires may be out of sight."""
    found = await asked(PAGE, window(alert(time=AN_HOUR_AGO, column="f001", **PART)))

    assert [shown["column"] for shown in found["firing"][0]["alerts"]] == ["f001"]


async def test_slow_drift_stands_below_the_drift_of_its_column():
    """Not below that of another column."""
    drift = [alert(time=AN_HOUR_AGO, column=name) for name in ("f000", "f001")]
    slow = alert(time=AN_HOUR_AGO, column="f001", check="slow_drift", **{semconv.ALERT_CAUSE: "drift"})

    found = await asked(PAGE, window(*drift, slow))

    parts = {shown["column"]: [part["check"] for part in shown["parts"]] for shown in found["firing"][0]["alerts"]}
    assert parts == {"f000": [], "f001": ["slow_drift"]}


async def test_a_common_change_ends_when_that_is_told():
    """Whatever its features do; and then it is told below, with its features."""
    over = alert("resolved", time=NOW - SECOND, check="common_change", column="", **COMMON)
    goes_on = await asked(PAGE, window(common()), window(end=NOW - SECOND, flags=0))
    is_over = await asked(PAGE, window(common()), window(over, end=NOW - SECOND, flags=3))

    assert (goes_on["firing_count"], is_over["firing_count"]) == (1, 0)
    assert [(told["state"], told["features"]) for told in is_over["told"]] == [
        ("resolved", ["f000", "f001"]),
        ("firing", ["f000", "f001"]),
    ]


async def test_filters_take_away_and_offer_what_the_others_leave():
    """Counts say how many there are behind each link."""
    records = [
        window(alert(time=AN_HOUR_AGO), alert("resolved", time=AN_HOUR_AGO, check="missing")),
        window(alert(time=AN_HOUR_AGO - SECOND, whose=subject("churn")), whose=subject("churn")),
    ]

    everything = await asked(PAGE, *records)
    drift = await asked(PAGE, *records, check="drift")
    churn = await asked(PAGE, *records, model="churn", state="firing")
    resolved = await asked(PAGE, *records, state="resolved")

    assert [told["model"] for told in everything["told"]] == ["fraud", "fraud", "churn"]
    assert everything["checks"] == [{"name": "drift", "count": 2}, {"name": "missing", "count": 1}]
    assert everything["models"] == [{"name": "fraud", "count": 2}, {"name": "churn", "count": 1}]
    assert everything["states"] == [{"name": "firing", "count": 2}, {"name": "resolved", "count": 1}]
    assert drift["told_count"] == 2
    assert drift["checks"] == everything["checks"]
    assert (churn["told_count"], churn["firing_count"]) == (1, 1)
    assert (resolved["told_count"], resolved["firing"]) == (1, [])


async def test_only_what_was_told_in_the_range_is_shown():
    """What fires is shown whenever it began."""
    old = window(alert(time=NOW - 20 * HOUR), end=NOW - 20 * HOUR)

    hour, day = await asked(PAGE, old, range="1h"), await asked(PAGE, old, range="24h")

    assert (hour["told_count"], hour["firing_count"]) == (0, 1)
    assert day["told_count"] == 1


async def test_the_strip_counts_what_began_in_each_hour():
    """Hours begin with the hour; what was resolved did not begin."""
    times = [NOW - 3 * HOUR + 1, NOW - 3 * HOUR + 2, NOW - 2 * HOUR, NOW - 1]
    told = [alert(time=time) for time in times] + [alert("resolved", time=NOW - 2 * HOUR + 1)]

    strip = (await asked(PAGE, window(*told)))["strip"]

    assert strip["step_s"] == 3600
    assert dict(zip(strip["times"], strip["fired"], strict=True)) == {
        **dict.fromkeys(range(NOW - 24 * HOUR, NOW + 1, HOUR), 0),
        NOW - 3 * HOUR: 2,
        NOW - 2 * HOUR: 1,
        NOW - HOUR: 1,
    }


@pytest.mark.parametrize(("name", "spans"), [("1h", 13), ("6h", 13), ("24h", 25), ("7d", 29), ("30d", 31)])
async def test_a_longer_strip_has_no_more_spans(name, spans):
    """A month is no more to draw than a day."""
    assert len((await asked(PAGE, window(), range=name))["strip"]["times"]) == spans


async def test_of_many_the_latest_are_shown_with_a_word_about_the_rest():
    """A page that takes for ever to draw helps nobody."""
    many = [alert(time=NOW - 20 * HOUR + number, column=f"f{number:04}") for number in range(700)]

    found = await asked(PAGE, window(*many))
    async with serving(window(*many)) as served:
        page = await served.get("/alerts")

    assert (len(found["told"]), found["told_count"], found["firing_count"]) == (500, 700, 700)
    assert sum(len(group["alerts"]) for group in found["firing"]) == 200
    assert found["told"][0]["column"] == "f0699"
    assert "the latest 500 of 700" in page.text
    assert "500 that began earlier are not shown" in page.text


async def test_a_sentence_with_its_numbers_and_where_to_look():
    """And links to the model and the window of the column."""
    told = alert(time=AN_HOUR_AGO, **{semconv.WINDOW_END: AN_HOUR_AGO, semconv.DRIFT_MOVED: ["NO: 60.0% → 10.0%"]})
    async with serving(window(told)) as served:
        page = await served.get("/alerts")

    assert "PSI 0.31 &gt; 0.20 of f000" in page.text
    assert "NO: 60.0% → 10.0%" in page.text
    assert f"/feature?name=fraud&amp;version=3&amp;feature=f000&amp;at={AN_HOUR_AGO}" in page.text


async def test_where_nothing_was_told_the_page_says_so():
    """And what to try."""
    async with serving() as served:
        nothing = await served.get("/alerts")
    async with serving(window(alert(time=AN_HOUR_AGO))) as served:
        chosen = await served.get("/alerts?check=missing")

    assert "Nothing fires." in nothing.text
    assert "otel-ml demo" in nothing.text
    assert "take a filter away" in chosen.text


@pytest.mark.parametrize("parameters", [{"model": "nobody"}, {"state": "off"}, {"range": "2h"}, {"at": "now"}])
async def test_what_nobody_knows_is_not_found(parameters):
    """With the value in the sentence."""
    with pytest.raises(NotFoundError, match=next(iter(parameters.values()))):
        await asked(PAGE, window(alert(time=AN_HOUR_AGO)), **parameters)

"""The page of one column."""

import dataclasses
import math

import numpy as np
import pytest
from console_samples import HOSTILE, NOW, Document, asked, full_details, is_ours, named, serving
from history_samples import BREACHES, COUNTRIES, HOUR, alert, columns, figures_of, record, subject

from collector_processor.console.page import Live, NotFoundError, address
from collector_processor.console.pages.feature import PAGE
from collector_processor.history import Column, Flag
from otel_ml import semconv

FRAUD = {"name": "fraud", "version": "3", "feature": "f000"}
TRACE = "0af7651916cd43dd8448eb211c80319c"


def hours(count, *, ago=0, **changes):
    """Windows one after the other, of which the last ended so many hours ago."""
    return [record(NOW - (hour + 1) * HOUR, **changes) for hour in range(ago + count - 1, ago - 1, -1)]


async def shown(*records, live=None, now=NOW, **parameters):
    """The content for the first column of a model."""
    return await asked(PAGE, *records, live=live, now=now, **{**FRAUD, **parameters})


async def test_a_window_is_told_by_its_numbers():
    """Score over threshold, the q-value from its logarithm, and how many values it rests on."""
    content = await shown(*hours(2, score=0.31))

    told = content["shown"]
    assert (told["score"], told["threshold"], told["rows"]) == (0.31, 0.2, 500)
    assert told["magnitude"] == pytest.approx(1.55)
    assert told["q_value"] == pytest.approx(0.1)
    assert (told["start"], told["end"]) == (NOW - HOUR, NOW)
    assert (content["kind"], content["importance"], content["role"]) == ("categorical", 1.0, "feature")


async def test_the_picture_has_both_sides_and_their_largest_differences():
    """60 and 40 % became 50 and 30, and a fifth is new."""
    picture = (await shown(*hours(1)))["picture"]

    assert (picture["frame"]["count"], picture["count"]) == (100, 500)
    assert picture["shares"] == pytest.approx([0.5, 0.3, 0.2], abs=1e-4)
    assert picture["differences"][0] == {"name": "(unseen)", "was": 0.0, "now": pytest.approx(0.2, abs=1e-4)}
    assert {cell["name"] for cell in picture["differences"][1:]} == {"NO", "SE"}
    assert not picture["is_older"]


async def test_no_difference_is_no_news():
    """What rounding makes of equal shares is not told."""
    content = await shown(*hours(1, shapes=[np.array([0.6, 0.4, 0.0])] * 3))

    assert content["picture"]["differences"] == []


async def test_an_older_picture_says_so():
    """Where details of the window asked for are kept no more, those of one before are."""
    without = dataclasses.replace(hours(1)[0], frames=[None] * 3, shapes=[None] * 3)
    async with serving(*hours(1, ago=1), without) as served:
        text = (await served.get(address("/feature", **FRAUD))).text
        picture = (await served.get(address("/feature.json", **FRAUD))).json()["picture"]

    assert picture["is_older"]
    assert picture["end"] == NOW - HOUR
    assert "the one asked for has no picture" in text


async def test_without_a_reference_there_is_nothing_to_compare_with():
    """The picture is of the window alone, and the command that would help is told."""
    alone = [dataclasses.replace(COUNTRIES, count=0)] * 3
    kept = dataclasses.replace(hours(1, baseline_id="")[0], frames=alone)
    async with serving(kept) as served:
        text = Document((await served.get(address("/feature", **FRAUD))).text).text
        picture = (await served.get(address("/feature.json", **FRAUD))).json()["picture"]

    assert picture["differences"] == []
    assert "no reference to compare with" in text
    assert "otel-ml baseline build" in text


async def test_the_thresholds_of_the_chart_are_those_of_alerts():
    """One begins above the threshold, and ends below a part of it."""
    chart = (await shown(*hours(3, score=0.1), live=Live(clear_ratio=0.5)))["chart"]

    assert chart["scores"] == pytest.approx([0.1] * 3)
    assert chart["thresholds"] == pytest.approx([0.2] * 3)
    assert chart["clears"] == pytest.approx([0.1] * 3)
    assert chart["times"] == [NOW - 2 * HOUR, NOW - HOUR, NOW]


async def test_bad_values_that_never_were_have_no_line():
    """Half of the values are missing once; nothing is infinite, and nobody asked for the range."""
    figures = figures_of(3, missing=0.5, infinite=0.0, out_of_range=math.nan)
    chart = (await shown(*hours(1, ago=1), *hours(1, figures=figures)))["chart"]

    assert [(line["kind"], line["values"]) for line in chart["values"]] == [("missing", [0.0, 0.5])]


async def test_alerts_are_told_from_when_to_when():
    """One that is over, one that goes on, and one that began before anybody looked."""
    told = [
        *hours(1, ago=40, alerts=[alert(time=NOW - 40 * HOUR, check="slow_drift")]),
        *hours(1, ago=9, alerts=[alert(time=NOW - 9 * HOUR)]),
        *hours(1, ago=5, alerts=[alert("resolved", time=NOW - 5 * HOUR)]),
        *hours(1, ago=2, alerts=[alert(time=NOW - 2 * HOUR, check="missing")]),
        *hours(1),
    ]
    content = await shown(*told)

    assert content["spells"] == [
        {"check": "slow_drift", "start": NOW - 40 * HOUR, "end": None},
        {"check": "drift", "start": NOW - 9 * HOUR, "end": NOW - 5 * HOUR},
        {"check": "missing", "start": NOW - 2 * HOUR, "end": None},
    ]
    assert [found["check"] for found in content["firing"]] == ["missing", "slow_drift"]
    assert [found["state"] for found in content["told"]] == ["firing", "resolved", "firing"]
    assert content["state"] == "firing"


async def test_what_ended_in_the_range_and_began_before_has_no_beginning():
    """Nothing is made up."""
    content = await shown(*hours(2, alerts=[alert("resolved", time=NOW)])[1:])

    assert content["spells"] == [{"check": "drift", "start": None, "end": NOW}]


async def test_alerts_of_others_are_not_told():
    """Of another column, role, segment or version; what names this one among others is."""
    together = alert(check="common_change", column="", **{semconv.ALERT_FEATURES: ["f000", "f001"]}, time=NOW)
    without = alert(check="common_change", column="", **{semconv.ALERT_FEATURES: ["f001"]}, time=NOW)
    others = [
        alert(column="f001", time=NOW),
        dataclasses.replace(alert(time=NOW), role="prediction"),
        alert(time=NOW, whose=subject(segment="country=NO")),
        alert(time=NOW, whose=subject(version="2")),
        without,
    ]
    content = await shown(*hours(1, alerts=[*others, dataclasses.replace(together, role="")]))

    assert [found["features"] for found in content["told"]] == [["f000", "f001"]]


async def test_alerts_about_columns_together_are_on_their_page():
    """Though they name no column."""
    known = [Column("joint", "correlations", "embedding")]
    told = [
        dataclasses.replace(alert(check=check, column="", time=NOW), role="")
        for check in ("correlation_drift", "gradual_correlation_drift", "classifier_drift", "common_change")
    ]
    kept = dataclasses.replace(hours(1, known=known, alerts=told)[0], frames=[None], shapes=[None])
    content = await shown(kept, role="joint", feature="correlations")

    assert [found["check"] for found in content["told"]] == ["gradual_correlation_drift", "correlation_drift"]
    assert content["kind"] == ""
    assert content["picture"] is None


async def test_windows_lead_to_their_neighbours():
    """By addresses that stay what they are."""
    kept = hours(3)
    first, middle, last = [await shown(*kept, at=str(NOW - ago * HOUR)) for ago in (2, 1, 0)]
    latest = await shown(*kept)

    assert (first["previous"], first["next"]) == (None, NOW - HOUR)
    assert (middle["previous"], middle["next"]) == (NOW - 2 * HOUR, NOW)
    assert (last["previous"], last["next"]) == (NOW - HOUR, None)
    assert (latest["previous"], latest["next"]) == (NOW - HOUR, None)
    assert middle["shown"]["end"] == NOW - HOUR


async def test_the_next_window_is_found_behind_a_gap():
    """A server may have been off for days."""
    content = await shown(*hours(1, ago=20), *hours(1), at=str(NOW - 20 * HOUR))

    assert content["next"] == NOW


async def test_links_between_windows_work():
    """Every one of them answers, and shows the window that it says."""
    async with serving(*hours(3)) as served:
        page = Document((await served.get(address("/feature", **FRAUD, at=NOW - HOUR))).text)
        found = {
            attributes["rel"]: attributes["href"]
            for tag, attributes in page.elements
            if tag == "a" and "rel" in attributes
        }
        ends = [
            (await served.get(found[rel].replace("/feature?", "/feature.json?"))).json()["shown"]["end"]
            for rel in ("prev", "next")
        ]

    assert ends == [NOW - 2 * HOUR, NOW]


async def test_a_column_that_a_window_lacks_is_shown_as_it_was():
    """And that is said."""
    async with serving(*hours(1, ago=1), *hours(1, known=columns(3)[1:])) as served:
        content = (await served.get(address("/feature.json", **FRAUD))).json()
        text = (await served.get(address("/feature", **FRAUD))).text

    assert content["is_older"]
    assert content["shown"]["end"] == NOW - HOUR
    assert content["findings"] is None
    assert "This window has no such column" in text


async def test_a_column_out_of_range_says_when_it_was_there():
    """A link leads there."""
    async with serving(*hours(1, ago=10)) as served:
        answer = await served.get(address("/feature", **FRAUD, range="1h"))
        page = Document(answer.text)

    assert answer.status_code == 200
    assert "No window with this column ended in this range" in page.text
    assert any(f"at={NOW - 10 * HOUR}" in link for link in page.links)


async def test_findings_of_the_window_are_told():
    """Every detector, against every reference; what moved, why, and whom to ask."""
    content = await shown(*hours(1, details=full_details("f000", "yesterday")))

    findings = content["findings"]
    assert findings["method"] == "psi"
    assert [
        (score["reference"], score["method"], score["score"], score["decides"]) for score in findings["scores"]
    ] == [
        ("baseline", "psi", 0.4, True),
        ("baseline", "js", None, False),
        ("yesterday", "psi", 0.4, False),
    ]
    assert findings["moved"] == ["yesterday: 60.0% → 10.0%"]
    assert (findings["rank"], findings["effect"]) == (1, 0.7)
    assert findings["exemplars"][0]["trace_id"] == TRACE
    assert {check["name"]: check["verdict"] for check in findings["checks"]}["drift"] == "breaches"
    assert content["findings_end"] == NOW


async def test_a_prediction_tells_which_features_account_for_it():
    """Linked to them, and what its labels are likely to be."""
    known = [Column(role, "f000", "categorical") for role in ("feature", "prediction")]
    async with serving(*hours(1, known=known, details=full_details("f000", "fraud"))) as served:
        page = Document((await served.get(address("/feature", **FRAUD, role="prediction"))).text)
        content = (await served.get(address("/feature.json", **FRAUD, role="prediction"))).json()

    assert content["findings"]["attribution"] == [{"name": "f000", "share": 0.8}]
    assert "f000 80.0 %" in page.text
    assert "None of them accounts for 20.0 %" in page.text
    assert "50.0 % (40.0 % to 60.0 %)" in page.text
    assert address("/feature", name="fraud", version="3", feature="f000", at=NOW) in page.links


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"is_big": False}, "too small to matter"),
        ({"overruled_by": ["yesterday", "last week"]}, "as usual for yesterday, last week"),
        ({"q_value": 0.5}, "chance may explain it"),
        ({"breaches": False, "q_value": 0.02}, "chance may explain it"),
        ({"breaches": False, "q_value": 0.02, "level": 0.001}, "chance may explain it: q counts below 0.001"),
        ({"breaches": True, "q_value": 0.06}, "breaches"),
    ],
)
async def test_checks_tell_why_they_are_none(changes, verdict):
    """Small, usual, or chance; as it was judged then."""
    details = full_details("f000", "x")
    details["features"][0]["checks"]["drift"] |= changes
    findings = (await shown(*hours(1, details=details)))["findings"]

    assert {check["name"]: check["verdict"] for check in findings["checks"]}["drift"] == verdict


@pytest.mark.parametrize(
    ("score", "flags", "state"),
    [
        (0.31, BREACHES, "drifting"),
        (0.1, Flag.BAD_VALUES, "bad values"),
        (math.nan, 0, "not measured"),
        (0.1, 0, "healthy"),
        (0.31, 0, "unlike"),
        (math.inf, 0, "unlike"),
    ],
)
async def test_a_column_has_a_state_in_a_word(score, flags, state):
    """By what the window says of it, where no alert fires."""
    content = await shown(*hours(1, figures=figures_of(3, score, flags=flags)))

    assert content["state"] == state
    assert content["why"]


async def test_a_slice_is_measured_and_has_no_picture():
    """Its distribution is kept nowhere; the whole model's is a link away."""
    kept = dataclasses.replace(
        hours(1, whose=subject(segment="country=NO"), score=0.5)[0], frames=[None] * 3, shapes=[None] * 3
    )
    async with serving(*hours(1), kept) as served:
        page = Document((await served.get(address("/feature", **FRAUD, segment="country=NO"))).text)

    assert "unlike the baseline, which is of the whole model" in page.text
    assert "Pictures are kept of the whole model" in page.text
    assert address("/feature", name="fraud", version="3", feature="f000") in page.links


async def test_traces_are_links_where_a_backend_is_known():
    """Elsewhere they are told, and how to have links."""
    kept = hours(1, details=full_details("f000", "x"))
    async with serving(*kept, trace_url_template="http://127.0.0.1:16686/trace/{trace_id}") as served:
        linked = Document((await served.get(address("/feature", **FRAUD))).text)
    async with serving(*kept) as served:
        told = Document((await served.get(address("/feature", **FRAUD))).text)

    assert f"http://127.0.0.1:16686/trace/{TRACE}" in linked.links
    assert "trace_url_template" not in linked.text
    assert TRACE in told.text
    assert "trace_url_template" in told.text
    assert all(map(is_ours, told.links))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": "nobody"}, "model 'nobody 3': no window of it is kept"),
        ({"feature": "nothing"}, "feature 'nothing': no window of 'fraud 3' has it"),
        ({"role": "prediction"}, "prediction 'f000': no window of 'fraud 3' has it"),
        ({"role": "wizard"}, "role: 'wizard' is not known (one of feature, prediction, score, joint)"),
        ({"segment": "country=NO"}, "no window of it is kept"),
        ({"range": "1y"}, "range: '1y' is not known"),
        ({"at": "yesterday"}, "at: 'yesterday' is no moment"),
    ],
)
async def test_what_nobody_knows_is_not_found(changes, sentence):
    """In a sentence that says what would be."""
    async with serving(*hours(1)) as served:
        answer = await served.get(address("/feature.json", **{**FRAUD, **changes}))
        page = await served.get(address("/feature", **{**FRAUD, **changes}))

    assert (answer.status_code, page.status_code) == (404, 404)
    assert sentence in answer.json()["error"]


async def test_a_page_without_a_column_says_which_parameter_it_lacks():
    """An address that somebody cut off."""
    with pytest.raises(NotFoundError, match="feature: is missing"):
        await asked(PAGE, *hours(1), name="fraud")


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 10_000])
async def test_whatever_a_column_is_called_is_text(name):
    """On the page, in its addresses and in its picture."""
    async with serving(*named(name)) as served:
        for extra in ({}, {"role": "prediction"}, {"segment": f"{name}={name}"}):
            where = {"name": name, "version": name, "feature": name, **extra}
            answer = await served.get(address("/feature", **where))
            content = (await served.get(address("/feature.json", **where))).json()
            page = Document(answer.text)

            assert answer.status_code == 200
            assert content["column"] == name
            assert not page.values("style")
            assert not [attributes for tag, attributes in page.elements if tag == "script" and "src" not in attributes]
            assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
            assert all(map(is_ours, page.links))
            assert "img" not in {tag for tag, _ in page.elements}


async def test_numbers_that_are_none_break_neither_page_nor_twin():
    """Infinite scores, thresholds of 0, and details that say nothing."""
    figures = figures_of(3, math.inf, threshold=0.0, log_q=math.nan, missing=math.nan)
    details = full_details("f000", "x")
    details["features"][0] |= {"effect": None, "rank": None, "moved": [], "exemplars": [], "drift": {}, "checks": {}}
    async with serving(*hours(2, figures=figures, details=details)) as served:
        answer = await served.get(address("/feature", **FRAUD))
        content = (await served.get(address("/feature.json", **FRAUD))).json()

    assert answer.status_code == 200
    assert content["shown"]["score"] is None
    assert content["chart"]["infinite"] == 2
    assert "NaN" not in answer.text


async def test_findings_without_numbers_are_dashes():
    """What was no number is nothing in details."""
    details = full_details("f000", "x")
    nothing = {"score": 0.4, "threshold": None, "p_value": None}
    details["features"][0] |= {
        "drift": {"psi": nothing},
        "attribution": {"shares": {"f001": None, "f002": 0.5}, "unexplained": None},
        "labels": {"score": None, "shares": {"fraud": [None, None, None]}},
    }
    details["features"][0]["checks"]["drift"] |= {"score": None, "threshold": None, "q_value": None}
    async with serving(*hours(1, details=details)) as served:
        answer = await served.get(address("/feature", **FRAUD))
        content = (await served.get(address("/feature.json", **FRAUD))).json()

    assert answer.status_code == 200
    assert content["findings"]["attribution"] == [{"name": "f002", "share": 0.5}]

"""All models, worst first."""

from console_samples import NOW, asked, serving
from history_samples import BREACHES, HOUR, alert, figures_of, record, subject

from collector_processor.console.page import BaselineFacts, Live
from collector_processor.console.pages.fleet import PAGE
from collector_processor.history import CallFigures
from otel_ml import semconv


def model(name, *, version="1", hours_ago=1, **changes):
    return record(NOW - hours_ago * HOUR, whose=subject(name, version), **changes)


def firing(name):
    told = alert(time=NOW, whose=subject(name, "1"))
    return model(name, alerts=[told], figures=figures_of(3, 0.5, flags=BREACHES), drifted=1)


async def test_the_worst_stands_first():
    """Of those that are alike the one with the larger share of drifted features, then by name."""
    found = await asked(
        PAGE,
        model("e-healthy"), model("d-few", outcome="insufficient_rows"), model("c-new", outcome="no_baseline"),
        model("b-drifting", drifted=1), model("a-drifting", drifted=2), model("silent", hours_ago=20), firing("fires"),
    )  # fmt: skip

    assert [(row["model"], row["state"]) for row in found["models"]] == [
        ("fires", "firing"), ("silent", "silent"), ("a-drifting", "drifting"), ("b-drifting", "drifting"),
        ("c-new", "no baseline"), ("d-few", "too few rows"), ("e-healthy", "healthy"),
    ]  # fmt: skip
    assert found["counts"]["drifting"] == 2
    assert found["known"] == 7


async def test_a_version_that_another_took_the_place_of_is_no_worry():
    """It is silent because nobody asks it any more."""
    found = await asked(PAGE, model("fraud", version="1", hours_ago=20), model("fraud", version="2"))

    assert [(row["version"], row["state"]) for row in found["models"]] == [("2", "healthy"), ("1", "retired")]
    assert found["models"][1]["next"] is None


async def test_what_its_last_window_says():
    """Rows a second, calls, drift, and how old it is."""
    calls = CallFigures(200, {"ValueError": 10}, 0.01, 0.05, 0.09)

    (row,) = (await asked(PAGE, model("fraud", rows=7200, calls=calls, drifted=1, compared=4)))["models"]

    assert (row["rows_per_s"], row["drifted"], row["compared"], row["course"]) == (2.0, 1, 4, [0.25])
    assert (row["calls"]["p95_s"], row["calls"]["error_ratio"]) == (0.05, 0.05)
    assert (row["age_s"], row["processes"]) == (0.0, 2)


async def test_a_baseline_is_as_old_as_its_file():
    """That of the version, or the one for every version."""
    facts = [BaselineFacts("ab", "fraud", "", 100, NOW - 48 * HOUR), BaselineFacts("cd", "churn", "2", 100, NOW)]

    rows = (await asked(PAGE, model("fraud"), model("churn"), live=Live(baselines=facts)))["models"]

    assert {row["model"]: row["baseline_age_s"] for row in rows} == {"fraud": 48 * 3600.0, "churn": None}


async def test_segments_are_no_models():
    """But what fires in one makes its model fire."""
    whose = subject("fraud", "1", "country=NO")
    part = record(NOW - HOUR, whose=whose, alerts=[alert(time=NOW, whose=whose)])

    found = await asked(PAGE, model("fraud"), part)

    assert [(row["model"], row["state"], row["alerts"]) for row in found["models"]] == [("fraud", "firing", 1)]


async def test_a_row_says_state_cause_and_requests():
    """In this order, with links to the window of the column and to the traces."""
    told = alert(time=NOW, whose=subject("fraud", "1"),
                 **{semconv.EXEMPLAR_TRACE_IDS: ["0af7"], semconv.WINDOW_END: NOW})  # fmt: skip
    async with serving(model("fraud", alerts=[told]), trace_url_template="https://backend/{trace_id}") as served:
        row = (await served.get("/")).text.partition("<tbody>")[2].partition("</tr>")[0]

    places = [row.index(part) for part in ("state-firing", "PSI 0.31", f"at={NOW}", "https://backend/0af7")]
    assert places == sorted(places)


async def test_what_was_told_is_not_shown_as_if_it_were_so_still():
    """An alert that fired and resolved; only what fires now is called so."""
    whose = subject("fraud", "1")
    over = [alert(time=NOW - 2 * HOUR, whose=whose), alert("resolved", time=NOW - HOUR, whose=whose)]
    async with serving(model("fraud", hours_ago=2, alerts=over), model("fraud")) as served:
        page = (await served.get("/")).text

    assert "state-fired" in page
    assert "state-firing" not in page
    assert "f000: drift resolved lately" in page


async def test_a_name_finds_models_whatever_their_case():
    """And says where there is none."""
    records = [model("Fraud-EU"), model("churn")]
    async with serving(*records) as served:
        nobody = await served.get("/?q=<b>")

    assert [row["model"] for row in (await asked(PAGE, *records, q=" fraud "))["models"]] == ["Fraud-EU"]
    assert "No model has a name with “&lt;b&gt;” in it." in nobody.text


async def test_at_first_it_says_how_to_send_something():
    """With a command to copy."""
    async with serving() as served:
        page = await served.get("/")

    assert "otel-ml send-test" in page.text

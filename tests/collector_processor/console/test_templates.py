"""What numbers look like, and that texts stay texts."""

import math

import pytest
from console_samples import HOSTILE, Document, serving
from history_samples import HOUR

from collector_processor.console.page import Page, Request
from collector_processor.console.settings import ConsoleSettings
from collector_processor.console.templates import Templates, age, middle_cut, number, percent, seconds, whole

NOTHING = "\N{EN DASH}"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, NOTHING), (math.nan, NOTHING), (math.inf, "∞"), (-math.inf, "-∞"), (0.0, "0"), (0.1234, "0.123"),
     (12.345, "12.3"), (1234.5, "1,234"), (1e9, "1,000,000,000"), (-0.5, "-0.5"), (0.00012, "1.2e-04"),
     (-1e-5, "-1.0e-05")],
)  # fmt: skip
def test_a_number_has_three_digits(value, text):
    """Enough to tell two apart; what is small is not 0."""
    assert number(value) == text


@pytest.mark.parametrize(("value", "text"), [(None, NOTHING), (math.nan, NOTHING), (0, "0"), (1234567.0, "1,234,567")])
def test_a_count_is_whole(value, text):
    """With what separates thousands."""
    assert whole(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, NOTHING), (math.nan, NOTHING), (0.0, "0.0 %"), (0.5, "50.0 %"), (1.0, "100.0 %"), (0.00049, "< 0.1 %"),
     (0.0005, "0.1 %"), (1e-12, "< 0.1 %")],
)  # fmt: skip
def test_a_small_share_is_not_none(value, text):
    """One missing value in a million is shown."""
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, NOTHING), (math.nan, NOTHING), (0.0, "0 s"), (0.0123, "12.3 ms"), (1.5, "1.5 s"), (59.0, "59 s"),
     (90.0, "1.5 min"), (3600.0, "1 h"), (86_400.0 * 45, "45 d")],
)  # fmt: skip
def test_a_span_is_in_the_unit_that_suits_it(value, text):
    """Milliseconds to days."""
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, NOTHING), (math.nan, NOTHING), (0.0, "now"), (0.9, "now"), (-5.0, "now"), (1.0, "1 s ago"),
     (352.8, "6 min ago"), (3600.0 * 1.94, "1.9 h ago"), (3600.0 * 12.3, "12 h ago"), (86_400.0 * 45, "45 d ago")],
)  # fmt: skip
def test_an_age_is_as_exact_as_anybody_wants_to_know(value, text):
    """A clock that is ahead of ours is no reason for a strange one."""
    assert age(value) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("short", "short"), ("x" * 10, "x" * 10), ("feature_001", "feat…e_001"), ("\N{PILE OF POO}" * 11, None)],
)
def test_of_a_long_name_beginning_and_end_are_shown(text, shown):
    """A hundred columns that begin alike are told apart by how they end."""
    assert middle_cut(text, 10) == (shown if shown is not None else "\N{PILE OF POO}" * 4 + "…" + "\N{PILE OF POO}" * 5)


def templates(**settings):
    return Templates([PAGE], ConsoleSettings(**settings), dict.fromkeys(ASSETS, "v"))


PAGE = Page("/", "Models", "missing.html", lambda _: {}, place=1)
ASSETS = ("icon.svg", "picture.css", "vendor/uPlot.min.css", "console.css", "vendor/htmx.min.js",
          "vendor/uPlot.iife.min.js", "console.js")  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_text_is_shown_as_it_is(name):
    """And nothing of it becomes a part of the page."""
    plain = Document(templates().plain("missing.html", message="fine"))
    hostile = Document(templates().plain("missing.html", message=name))

    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert name.replace("\x00", "") in hostile.text.replace("\ufffd", "").replace("\x00", "")


@pytest.mark.parametrize("name", HOSTILE)
def test_parameters_come_back_in_addresses_as_they_were(name):
    """In those that the page asks for again."""
    page = templates().page(PAGE, Request(None, {"q": name}, now=HOUR), {"message": ""})
    (address,) = Document(page).values("hx-get")

    assert address.startswith("/?q=")
    assert not set(address) & set(" <>\"'")


async def test_links_to_traces_are_made_where_they_are_configured():
    """What is in the id is no part of the link's own."""
    page = templates(trace_url_template="https://backend/{trace_id}?a=b", runbook_url_template="https://wiki/{alert}")
    found = page._environment.globals

    assert found["trace_link"]("abc") == "https://backend/abc?a=b"
    assert found["trace_link"]("../x?y#z") == "https://backend/..%2Fx%3Fy%23z?a=b"
    assert found["runbook_link"]("missing") == "https://wiki/missing"
    assert templates()._environment.globals["trace_link"]("abc") is None
    async with serving() as served:
        assert (await served.get("/")).status_code == 200

import re
from html.parser import HTMLParser

import pytest
from comparison_samples import HOSTILE, baseline, rows

from otel_ml.baseline import Baseline
from otel_ml.comparing import compare

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Reader(HTMLParser):
    """Keeps tags and their attributes, and makes sure that they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(markup):
    reader = Reader()
    reader.feed(markup)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def report():
    return compare(baseline(), rows(2000, seed=1, drifted=True))


@pytest.fixture(scope="module", params=["page", "fragment"])
def markup(report, request):
    return report.to_html() if request.param == "page" else report._repr_html_()


def test_it_needs_no_network_and_no_script(markup):
    """It works offline, and may be sent."""
    reader = read(markup)

    assert {tag for tag, _ in reader.tags}.isdisjoint({"script", "link", "img", "iframe", "object", "form", "base"})
    for _, attributes in reader.tags:
        assert not any(name.startswith("on") or name in ("src", "style") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
    assert not re.search(r"@import|url\(|https?://(?!www\.w3\.org/2000/svg)", markup)


def test_hostile_names_are_text(markup):
    """No column makes an element."""
    assert "<script" not in markup
    assert HOSTILE in "".join(read(markup).text)


def test_each_column_has_an_anchor_that_the_table_leads_to(report):
    """Each another one, whatever it is called."""
    reader = read(report.to_html())

    anchors = [attributes["id"] for _, attributes in reader.tags if "id" in attributes]
    links = [attributes["href"] for tag, attributes in reader.tags if tag == "a"]
    assert len(set(anchors)) == len(anchors) == len(report.columns)
    assert set(links) <= {f"#{anchor}" for anchor in anchors}
    assert "feature-amount" in anchors
    assert not any(re.search(r"\s", anchor) for anchor in anchors)


def test_what_drifted_comes_first(report):
    """In the order of the report."""
    page = report.to_html(title="Last <week>")

    places = [page.index(f'id="feature-{name}"') for name in ("amount", "country", "age")]
    assert page.index("What changed") < max(places[:2]) < page.index("What did not") < places[2]
    assert "<h1>Last &lt;week&gt;</h1>" in page


def test_a_verdict_says_why(report):
    """Score and threshold, how certain, how many values."""
    text = "".join(read(report.to_html()).text)

    assert re.search(r"psi 0\.\d+ > 0\.2; q <1e-12 over 14 columns; 2,000 values against 8,000\.", text)
    assert re.search(r"missing [\d.]+% → [\d.]+%", text)


def test_a_picture_is_drawn_for_every_column_with_values(report):
    """And each says what it is of."""
    page = report.to_html()

    assert page.count("<svg") == sum(column.frame is not None for column in report.columns) == 13


def test_of_many_columns_those_that_did_not_change_are_in_the_table_only():
    """A page must not grow without end."""
    import numpy as np

    data = {f"column {index}": np.arange(300.0) % 7 for index in range(230)}

    page = compare(Baseline.build(data, model="wide"), data).to_html()

    assert page.count('class="ml-card"') == 200
    # Beside the columns there are all features together.
    assert "31 more that did not are in the table only." in page
    assert "column 229" in page

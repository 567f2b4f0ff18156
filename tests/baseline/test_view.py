import re

import pytest
from comparison_samples import HOSTILE, baseline

from otel_ml.errors import BaselineError


@pytest.fixture(scope="module")
def built():
    return baseline(importances={"country": 2, "amount": 1})


def test_a_baseline_is_shown_in_a_notebook(built):
    """With pictures, and without a script or a request."""
    shown = built._repr_html_()

    assert shown.count("<svg") == 12
    assert "Baseline of fraud 3" in shown
    assert "<script" not in shown
    assert not re.search(r"(?:src|href)=|@import|url\(", shown)


def test_what_matters_most_is_shown_first(built):
    """By the importances, where they are known."""
    shown = built._repr_html_()

    assert shown.index("<h3>country</h3>") < shown.index("<h3>amount</h3>") < shown.index("<h3>age</h3>")


@pytest.mark.parametrize("name", ["amount", "country", "member", "when", "note", "vector", "prediction", HOSTILE])
def test_a_column_is_shown_in_a_notebook(built, name):
    """Whatever its kind."""
    shown = built[name]._repr_html_()

    assert shown.count("<svg") == 1
    assert "<script" not in shown


def test_a_column_is_told_in_a_line(built):
    """Where there are no pictures."""
    assert re.fullmatch(
        r"<numeric feature 'amount': 8,000 values, 0% missing, [\d.]+ to [\d,.]+, mean [\d.]+>", repr(built["amount"])
    )
    assert repr(built["country"]) == "<categorical feature 'country': 8,000 values, 0% missing>"
    assert "lengths in characters" in repr(built["note"])


def test_a_column_holds_its_summary(built):
    """For who wants more."""
    assert built["amount"].summary is built.feature("amount")
    assert built["amount"].frame.shares.sum() == pytest.approx(1.0)


def test_an_unknown_column_is_told_the_nearest(built):
    """As elsewhere."""
    with pytest.raises(BaselineError, match=r"column 'amuont' does not exist .* did you mean 'amount'"):
        built["amuont"]

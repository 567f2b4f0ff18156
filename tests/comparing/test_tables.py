import json
import sys

import pytest
from comparison_samples import HOSTILE, baseline, rows

from otel_ml.comparing import compare
from otel_ml.errors import BaselineError


@pytest.fixture(scope="module")
def report():
    return compare(baseline(), rows(2000, seed=1, drifted=True))


def test_a_report_is_a_table_of_text(report):
    """One line of what it says, and one for each column."""
    first, headings, *lines = repr(report).splitlines()

    assert first.startswith("fraud 3: 5 of 14 columns drifted, 1 with more bad values (2,000 rows compared with 8,000")
    assert headings.split()[:3] == ["column", "kind", "verdict"]
    assert len(lines) == 14
    assert lines[0].split()[-1]
    assert any(line.startswith(HOSTILE) for line in lines)


def test_a_name_cannot_break_the_lines():
    """Nor can it be longer than a line."""
    import numpy as np

    from otel_ml.baseline import Baseline

    data = {"a\nb\x1b[31m": np.arange(300.0), "x" * 200: np.arange(300.0)}

    text = repr(compare(Baseline.build(data, model="m"), data))

    assert len(text.splitlines()) == 5
    assert "\x1b" not in text
    assert "x" * 41 not in text


def test_json_holds_everything(report):
    """And nothing that JSON does not know."""
    found = json.loads(json.dumps(report.to_json(), allow_nan=False))

    assert found["drifted"] is True
    assert found["model"] == {"name": "fraud", "version": "3"}
    by_name = {column["name"]: column for column in found["columns"]}
    assert by_name["amount"]["status"] == "drifted"
    assert by_name["amount"]["method"] == "psi"
    assert len(by_name["amount"]["shares"]) == len(by_name["amount"]["frame"]["shares"])
    assert by_name["gaps"]["quality"]["missing"]["degraded"] is True


def test_a_frame_has_a_row_for_each_column_and_detector(report):
    """To be filtered and sorted."""
    frame = report.to_frame()

    deciding = frame[frame["decides"]]
    assert set(deciding["column"]) == {column.name for column in report.columns if column.method}
    assert len(frame) == sum(len(column.results) for column in report.columns)
    assert frame[frame["column"] == "amount"]["drifted"].all()


def test_a_chart_holds_both_sides(report):
    """With the data in it."""
    drawn = report.plot("country").to_dict()

    values = drawn["datasets"][drawn["data"]["name"]]
    assert {row["of"] for row in values} == {"baseline", "current"}
    assert sum(row["share"] for row in values if row["of"] == "current") == pytest.approx(1.0)


def test_what_has_no_values_has_no_chart(report):
    """And says so."""
    with pytest.raises(BaselineError, match="there is nothing to draw"):
        report.plot("(features together)")


@pytest.mark.parametrize(
    ("library", "ask", "command"),
    [
        ("pandas", lambda report: report.to_frame(), "pip install pandas"),
        ("altair", lambda report: report.plot("amount"), r"pip install 'otel-ml\[altair\]'"),
    ],
)
def test_an_optional_library_that_is_missing_is_named(report, monkeypatch, library, ask, command):
    """With the command that installs it."""
    monkeypatch.setitem(sys.modules, library, None)

    with pytest.raises(ModuleNotFoundError, match=command):
        ask(report)

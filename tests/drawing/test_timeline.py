import math
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drawing.timeline import Mark, timeline

SVG = "{http://www.w3.org/2000/svg}"
START = 1_790_000_000.0
HOURS = [START + 3600 * hour for hour in range(48)]


def elements(svg, kind):
    return [element for element in ET.fromstring(svg).iter() if kind in (element.get("class") or "").split()]


def test_thresholds_are_lines():
    """One to begin, one to end."""
    svg = timeline(HOURS, [0.1] * 48, on=0.2, off=0.15)

    assert len(elements(svg, "ml-threshold")) == 2
    assert len(elements(svg, "ml-threshold-off")) == 1
    assert elements(timeline(HOURS, [0.1] * 48, on=None, off=None), "ml-threshold") == []


def test_alerts_are_bars_and_versions_lines():
    """Each says what it was; an alert that lasts reaches to the end."""
    marks = [
        Mark(HOURS[10], "<b>amount</b>", HOURS[20]),
        Mark(HOURS[40], "country"),
        Mark(HOURS[5], "version 4", kind="version"),
    ]

    svg = timeline(HOURS, [0.3] * 48, on=0.2, off=None, marks=marks, title="psi")

    first, lasting = elements(svg, "ml-alert")
    assert float(lasting.get("x")) + float(lasting.get("width")) == pytest.approx(708)
    assert float(first.get("width")) == pytest.approx((708 - 52) * 10 / 47, abs=0.1)
    assert len(elements(svg, "ml-version")) == 1
    told = [group.find(f"{SVG}title").text for group in ET.fromstring(svg).iter(f"{SVG}g")]
    assert told[1:] == [
        "2026-09-22 00:13 <b>amount</b>",
        "2026-09-23 06:13 country",
        "2026-09-21 19:13 version 4",
    ]


def test_marks_outside_are_left_out():
    """What ended before, and what began after."""
    marks = [
        Mark(START - 100, "before", START - 50),
        Mark(HOURS[-1] + 1, "after"),
        Mark(START - 100, "across", HOURS[3]),
    ]

    svg = timeline(HOURS, [0.3] * 48, on=0.2, off=None, marks=marks)

    assert len(elements(svg, "ml-alert")) == 1


def test_it_tells_what_it_shows():
    """In words."""
    values = [0.1, 0.3, math.nan, 0.25]

    svg = timeline(HOURS[:4], values, on=0.2, off=0.1, marks=[Mark(HOURS[1], "x")], title="psi of amount")

    root = ET.fromstring(svg)
    assert root.find(f"{SVG}title").text == "psi of amount"
    expected = "3 values, the last 0.25, the highest 0.3. 2 of them above the threshold of 0.2. 1 alert."
    assert root.find(f"{SVG}desc").text == expected


@pytest.mark.parametrize(
    ("seconds", "shown"), [(90, ":13:30"), (7200, "14:30"), (86_400 * 2, "Sep 22"), (86_400 * 40, "Oct 08")]
)
def test_times_are_told_in_steps_that_suit(seconds, shown):
    """From seconds to years."""
    svg = timeline([START, START + seconds], [1.0, 2.0], on=None, off=None)

    texts = [text.text for text in ET.fromstring(svg).iter(f"{SVG}text")]
    assert any(shown in text for text in texts), texts


@given(
    st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(0) | st.just(math.nan)), max_size=20),
    st.none() | st.floats(0, 1e300),
    st.text(),
)
def test_anything_is_well_formed(points, on, name):
    """Whatever the times, the values and the names."""
    points.sort(key=lambda point: point[0])
    marks = [Mark(time, name) for time, _ in points]

    svg = timeline([time for time, _ in points], [value for _, value in points], on=on, off=on, marks=marks, title=name)

    assert ET.fromstring(svg).tag == f"{SVG}svg"


def test_values_and_times_belong_together():
    """One for each."""
    with pytest.raises(ValueError, match="values: 1 of them \\(expected one for each of the 2 times\\)"):
        timeline([1.0, 2.0], [1.0], on=None, off=None)

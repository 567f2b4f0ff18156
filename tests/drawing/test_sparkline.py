import math
from xml.etree import ElementTree as ET

from hypothesis import example, given
from hypothesis import strategies as st

from otel_ml.drawing.sparkline import sparkline

SVG = "{http://www.w3.org/2000/svg}"


def tags(svg):
    return [element.tag.removeprefix(SVG) for element in ET.fromstring(svg)]


def test_a_gap_is_no_line():
    """A window without a score is not passed over."""
    svg = sparkline([1.0, 2.0, math.nan, 3.0, 4.0])

    assert tags(svg) == ["title", "polyline", "polyline"]


def test_a_value_between_gaps_is_a_dot():
    """It has no neighbour to be joined with."""
    svg = sparkline([math.nan, 2.0, math.nan])

    assert tags(svg) == ["title", "circle"]


def test_it_tells_what_it_shows():
    """In words, with the threshold that it draws."""
    svg = sparkline([0.1, 0.5, 0.25, math.nan], threshold=0.2)

    assert ET.fromstring(svg)[0].text == "last 0.25, highest 0.5, threshold 0.2"
    assert tags(svg) == ["title", "line", "polyline"]


def test_nothing_is_drawn_of_nothing():
    """And that is said."""
    for values in ([], [math.nan]):
        assert tags(sparkline(values)) == ["title"]
        assert ET.fromstring(sparkline(values))[0].text == "no values"


@example([5e-324, 0.0], None)
@example([-1.7e308, 1.7e308], 1e308)
@example([math.inf], None)
@given(st.lists(st.floats(0)), st.none() | st.floats(0, 1e308))
def test_any_values_are_drawn_within_the_picture(values, threshold):
    """Infinite ones at the top."""
    root = ET.fromstring(sparkline(values, threshold=threshold))

    for drawn in root.iter(f"{SVG}polyline"):
        for point in drawn.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= 120
            assert 0 <= y <= 28

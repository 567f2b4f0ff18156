import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drawing.frame import frame_of
from otel_ml.drawing.overlay import overlay
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    "<script>alert(1)</script>",
    "\" onload='alert(1)'",
    "]]><!--",
    "&amp;&#0;",
    "\x00\x0b\x1b[31m",
    "\ud800",
    "\u202egnp.exe",
    "🦥" * 50,
    "a\nb\tc",
    "",
]


def drawn(counts, now=None, **options):
    reference = CategoricalDistribution(counts)
    frame = frame_of(reference)
    current = None if now is None else CategoricalDistribution(now)
    return overlay(
        frame,
        None if current is None else frame.of(current),
        title=options.pop("title", "country"),
        reference_count=options.pop("reference_count", reference.total),
        current_count=0 if current is None else current.total,
        **options,
    )


def numeric(values):
    points, counts = np.unique(np.asarray(values, np.float64), return_counts=True)
    return NumericDistribution(points, np.cumsum(counts), len(values), points[0], points[-1], is_step=True)


def bars(svg, kind):
    """Those of the bins, without the one of the legend."""
    return [rect for rect in ET.fromstring(svg).iter(f"{SVG}rect") if rect.get("class") == kind][:-1]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name):
    """A picture stays well-formed XML of the elements we draw, whatever a column or a category is called."""
    svg = drawn({name: 5, f"{name}x": 3}, {name: 1, "new": 9}, title=name)

    elements = {element.tag.removeprefix(SVG) for element in ET.fromstring(svg).iter()}
    attributes = {attribute for element in ET.fromstring(svg).iter() for attribute in element.attrib}
    svg.encode()
    assert elements <= {"svg", "title", "desc", "g", "rect", "line", "text"}
    assert "style" not in attributes
    assert not any(attribute.startswith("on") or "href" in attribute for attribute in attributes)


@given(st.dictionaries(st.text(), st.integers(1, 10), min_size=1, max_size=30), st.text())
def test_any_names_are_well_formed(counts, title):
    """Of all characters there are."""
    svg = drawn(counts, counts, title=title)

    assert ET.fromstring(svg).tag == f"{SVG}svg"
    assert "NaN" not in re.sub(r">[^<]*<", "><", svg)


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_any_numbers_are_drawn_within_the_picture(values):
    """However large or small they are."""
    reference = numeric(values)
    frame = frame_of(reference)

    svg = overlay(frame, frame.of(reference), title="x", reference_count=reference.total, current_count=1)

    for rect in ET.fromstring(svg).iter(f"{SVG}rect"):
        x, y, width, height = (float(rect.get(name)) for name in ("x", "y", "width", "height"))
        assert -0.02 <= x <= x + width <= 560.02
        assert -0.02 <= y <= y + height <= 220.02


def test_it_says_where_the_largest_difference_is():
    """Who cannot see the bars is told."""
    root = ET.fromstring(drawn({"DE": 60, "FR": 40}, {"DE": 20, "FR": 80}))

    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "country"
    told = root.find(f"{SVG}desc").text
    assert told == "The largest difference is in DE: 60% of the baseline, 20% now."


@pytest.mark.parametrize(
    ("now", "options", "told"),
    [
        ({"DE": 6, "FR": 4}, {}, "Baseline and current values have the same shares in every bin."),
        (None, {}, "No current values. 60% of the baseline are in DE."),
        (None, {"is_alone": True}, "60% of the baseline are in DE."),
        ({"DE": 1, "FR": 3}, {"reference_count": 0}, "No baseline. 75% of the current values are in FR."),
    ],
)
def test_it_says_what_there_is(now, options, told):
    """As well as what there is not."""
    root = ET.fromstring(drawn({"DE": 6, "FR": 4}, now, **options))

    assert root.find(f"{SVG}desc").text == told


def test_bars_are_as_high_as_shares():
    """Those of both sides stand on one scale."""
    svg = drawn({"DE": 80, "FR": 20}, {"DE": 40, "FR": 60})

    reference, current = (
        [float(bar.get("height")) for bar in bars(svg, kind)] for kind in ("ml-reference", "ml-current")
    )
    assert reference[0] / current[0] == pytest.approx(2, abs=0.01)
    assert current[1] / reference[1] == pytest.approx(3, abs=0.01)


def test_a_small_share_is_seen_and_none_is_not():
    """One in a million is a line, nothing is nothing."""
    svg = drawn({"DE": 999_999, "FR": 1}, {"DE": 1})

    assert [bar.get("height") for bar in bars(svg, "ml-reference")][1] == "1.00"
    assert len(bars(svg, "ml-current")) == 1


def test_each_bin_tells_its_shares():
    """On pointing at it, without a script."""
    root = ET.fromstring(drawn({"DE": 60, "FR": 40}, {"DE": 20, "FR": 80}))

    told = [group.find(f"{SVG}title").text for group in root.iter(f"{SVG}g")]
    assert told == ["DE: baseline 60%, current 20%", "FR: baseline 40%, current 80%"]


def test_long_names_are_shortened_and_told_in_full():
    """There is room for few characters below a bin."""
    name = "a category with a name that is far too long"

    root = ET.fromstring(drawn({name: 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1}))

    (text,) = (text for text in root.iter(f"{SVG}text") if text.text.endswith("…"))
    assert len(text.text) <= 14
    assert text.find(f"{SVG}title").text == name


def test_labels_of_numbers_do_not_touch():
    """Some are left out."""
    frame = frame_of(numeric(np.linspace(1_000_000, 9_000_000, 500)))

    svg = overlay(frame, None, title="x", reference_count=500, current_count=0)

    below = [text for text in ET.fromstring(svg).iter(f"{SVG}text") if text.get("text-anchor") == "middle"]
    ends = [(float(text.get("x")), len(text.text) * 6) for text in below]
    assert len(ends) >= 3
    for (left, left_width), (right, right_width) in pairwise(ends):
        assert left + left_width / 2 < right - right_width / 2


def test_without_a_baseline_its_bars_are_not_there():
    """The frame of a column that nothing is known of is its own."""
    svg = drawn({"DE": 6, "FR": 4}, {"DE": 6, "FR": 4}, reference_count=0)

    assert bars(svg, "ml-reference") == []
    assert "no baseline" in svg


def test_shares_of_other_bins_are_refused():
    """Rather than drawn in the wrong ones."""
    frame = frame_of(CategoricalDistribution({"a": 1}))

    with pytest.raises(ValueError, match="3 shares \\(expected one for each of the 2 bins"):
        overlay(frame, np.ones(3) / 3, title="x", reference_count=1, current_count=1)

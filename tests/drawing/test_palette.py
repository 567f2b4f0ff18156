import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drawing.palette import DARK, LEVELS, LIGHT, level
from otel_ml.drawing.stylesheet import STYLESHEET


def luminance(colour):
    """As WCAG 2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(palette):
    """4.5 to 1 at least, as WCAG 2 asks of small text."""
    for name in ("text", "muted", "alert", "good"):
        for ground in ("surface", "raised"):
            assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground)
    for step in range(1, LEVELS):
        assert contrast(palette[f"on-level-{step}"], palette[f"level-{step}"]) >= 4.5, step


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_both_sides_are_told_apart_without_colours(palette):
    """Bars of current values stand before those of the reference, and on paper: 3 to 1 at least in greys."""
    assert contrast(palette["current"], palette["reference-fill"]) >= 2.5
    assert contrast(palette["current"], palette["surface"]) >= 3
    assert contrast(palette["reference"], palette["surface"]) >= 3


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_levels_are_steps_of_grey(palette):
    """Each further from the ground than the one before."""
    steps = [contrast(palette[f"level-{step}"], palette["surface"]) for step in range(1, LEVELS)]

    assert steps == sorted(steps)
    assert all(later / earlier > 1.08 for earlier, later in pairwise(steps))


def test_both_palettes_have_the_same_names():
    """A page that is dark misses nothing."""
    assert LIGHT.keys() == DARK.keys()
    for name, value in LIGHT.items():
        assert f"--ml-{name}: {value};" in STYLESHEET
        assert f"--ml-{name}: {DARK[name]};" in STYLESHEET


@given(st.floats(0, 1e300), st.floats(1e-300, 1e3))
def test_a_level_above_two_is_beyond_the_threshold(score, threshold):
    """And no other one is."""
    found = level(score, threshold)

    assert 0 <= found < LEVELS
    assert (found > 2) == (score > threshold)


@given(st.floats(0, 1e3), st.floats(0, 1e3), st.floats(0.001, 1e3))
def test_levels_grow_with_scores(one, other, threshold):
    """Never the other way."""
    low, high = sorted((one, other))

    assert level(low, threshold) <= level(high, threshold)


def test_what_has_no_score_has_no_level():
    """Nor has what is no distance; and what counts from 0 on is beyond the threshold at once."""
    assert level(math.nan, 0.2) == level(0.0, 0.2) == level(0.0, 0.0) == 0
    assert level(0.1, 0.0) == level(math.inf, 0.2) == LEVELS - 1

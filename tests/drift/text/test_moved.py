"""What people are told of a change of texts."""

import numpy as np

from otel_ml.drift.text import character_changes, moved_text
from tests.drift.text.text_samples import summary_of, texts_of


def texts(seed, **more):
    return texts_of(np.random.default_rng(seed), 400, **more)


def told(change, seed=2):
    return {cell.label: cell for cell in moved_text(summary_of(texts(1)), summary_of([*map(change, texts(seed))]))}


def test_nothing_is_told_where_nothing_changed():
    """Chance does not count."""
    assert told(str) == {}


def test_the_greatest_change_comes_first():
    """Of capitals, the share of capitals."""
    cells = told(str.upper)

    first = next(iter(cells.values()))
    assert first.label == "upper case"
    assert first.is_share
    assert first.reference < 0.02
    assert first.current > 0.8


def test_markup_is_told_from_other_punctuation():
    """Where tags came between the words."""
    assert "markup" in told(lambda text: text.replace(" ", "</b><b> "))


def test_numbers_of_words_are_no_shares():
    """They are means."""
    cell = told(lambda text: f"{text} {text}")["words"]

    assert not cell.is_share
    assert cell.current / cell.reference > 1.8


def test_parts_of_all_that_is_told_are_no_more_than_all():
    """Three things at most are told."""
    cells = told(lambda text: f"<p>{text.upper()} 12345</p>" * 3)

    assert len(cells) == 3
    assert 0 < sum(cell.part for cell in cells.values()) <= 1


def test_shares_are_those_of_the_texts():
    """Counted by hand: two in ten characters are digits, then five."""
    was, now = summary_of(["abcdefgh12"] * 50), summary_of(["abcde12345"] * 50)

    change = next(change for change in character_changes(was, now) if change.name == "digits")

    assert round(change.reference, 2) == 0.2
    assert round(change.current, 2) == 0.5
    assert change.p_value == 0

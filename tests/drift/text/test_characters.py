"""What texts are written with."""

import numpy as np
import pytest
from scipy.stats import poisson, ttest_ind

from otel_ml.drift.text import Characters, character_changes
from otel_ml.sketch.text_summary import TextSummary
from tests.drift.text.text_samples import summary_of, texts_of


def with_levels(*columns):
    """A summary of texts that have these levels of letters, of upper case and so on."""
    summary = TextSummary()
    levels = np.zeros((len(columns[0]), 9))
    for place, column in enumerate(columns):
        levels[:, place] = column
    summary.characters.add(levels)
    return summary


def test_the_effect_is_that_of_glass():
    """Difference of the means over the standard deviation of the reference, less what nine comparisons make."""
    rng = np.random.default_rng(1)
    was, now = rng.normal(100, 10, 50_000).round(), rng.normal(105, 20, 50_000).round()

    (change, *_) = character_changes(with_levels(was), with_levels(now))

    assert change.name == "letters"
    assert change.effect == pytest.approx((now.mean() - was.mean()) / was.std(), abs=0.02)


def test_the_p_value_is_that_of_a_test_of_means():
    """Student's, where there is no skewness and there are many texts."""
    rng = np.random.default_rng(2)
    was, now = rng.normal(100, 10, 900).round(), rng.normal(101, 10, 900).round()

    change = next(
        change for change in character_changes(with_levels(was), with_levels(now)) if change.name == "letters"
    )

    assert change.p_value == pytest.approx(ttest_ind(was, now).pvalue, rel=0.1)


def test_rare_characters_are_not_taken_for_news():
    """Five texts of 200 where one in 200 had them: a normal distribution would call that one in a hundred thousand."""
    was, now = np.zeros(20_000), np.zeros(200)
    was[:100], now[:5] = 100, 100

    change = next(
        change for change in character_changes(with_levels(was), with_levels(now)) if change.name == "letters"
    )

    assert change.p_value == pytest.approx(2 * poisson.sf(4, 1), rel=0.5)


def test_what_never_varied_may_not_move():
    """Not by a level; nothing else would be found where there is no spread."""
    result = Characters().compare(with_levels(np.full(50, 100)), with_levels(np.full(50, 103)))

    assert result.score == 3
    assert result.p_value == 0


@pytest.mark.parametrize(
    ("accident", "name"),
    [
        (str.upper, "upper case"),
        (lambda text: f"<p>{text}</p><br/>", "markup"),
        (lambda text: "".join(map(str, map(ord, text))), "digits"),
        (lambda text: text.replace(" ", ""), "word length"),
        (lambda text: text.replace("a", "é").encode().decode("latin-1"), "damage"),
        (lambda text: "как " + text, "non-ASCII"),
    ],
)
def test_accidents_are_found_and_named(accident, name):
    """By what changed most, or next to most: digits take the place of letters."""
    texts = texts_of(np.random.default_rng(3), 600)
    was, now = summary_of(texts[:400]), summary_of([accident(text) for text in texts[400:]])

    assert Characters().compare(was, now).drifted
    assert name in [change.name for change in character_changes(was, now)[:3]]

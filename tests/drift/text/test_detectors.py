"""What every detector of texts does."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift.text import METHODS, Characters, Content, Vocabulary, WordsPerText, compare_texts
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.text_bytes import read_texts
from otel_ml.sketch.text_summary import TextSummary
from otel_ml.sketch.text_sums import CharacterSums, VocabularySums
from tests.drift.text.text_samples import summary_of, texts_of

DETECTORS = [WordsPerText(), Characters(), Vocabulary(), Content()]
every_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
some_texts = st.lists(st.text("aB é語<1 .\n", max_size=12), min_size=1, max_size=40)


@every_detector
@given(reference=some_texts, current=some_texts)
def test_any_texts_compare(detector, reference, current):
    """With a finite score, and a probability where there is a test."""
    result = detector.compare(summary_of(reference), summary_of(current))

    if result is not None:
        assert 0 <= result.score < math.inf
        assert result.p_value is None or 0 <= result.p_value <= 1
        assert result.method == detector.name


@every_detector
def test_texts_that_are_the_same_score_nothing(detector):
    """To the last of them."""
    texts = texts_of(np.random.default_rng(1), 200)

    result = detector.compare(summary_of(texts), summary_of(texts))

    assert result.score == 0
    assert result.p_value > 0.9


@every_detector
def test_it_does_not_matter_how_texts_were_merged(detector):
    """In any order; but which texts are multiplied with each other is a matter of chance."""
    rng = np.random.default_rng(2)
    reference, parts = summary_of(texts_of(rng, 300)), [texts_of(rng, 100, offset=10 * part) for part in range(3)]
    merged = [TextSummary(), TextSummary()]
    for part in parts:
        merged[0].merge(summary_of(part))
    for part in reversed(parts):
        merged[1].merge(summary_of(part))

    first, second = (detector.compare(reference, summary) for summary in merged)

    assert first == second


@every_detector
def test_there_is_no_result_where_a_side_knows_nothing(detector):
    """Of a column without texts."""
    assert detector.compare(TextSummary(), summary_of(["a few words"] * 20)) is None
    assert detector.compare(summary_of(["a few words"] * 20), TextSummary()) is None


def test_a_baseline_without_characters_and_words_is_compared_by_what_it_has():
    """As one that an earlier version built."""
    old = replace(summary_of(["some words"] * 50), characters=CharacterSums(), vocabulary=VocabularySums())

    results = compare_texts(old, summary_of(["how many words are these"] * 50))

    assert [result.method for result in results] == ["words", "content"]
    assert all(result.drifted for result in results)


def test_only_what_is_asked_for_is_told():
    """By name; nothing of what is not known here."""
    texts = summary_of(["some words"] * 50)

    assert {result.method for result in compare_texts(texts, texts)} == METHODS
    assert [result.method for result in compare_texts(texts, texts, ["content"])] == ["content"]
    assert [result.method for result in compare_texts(texts, texts, ["words", "psi"])] == ["words"]
    assert compare_texts(texts, texts, ["psi"]) == []


@pytest.mark.parametrize("kind", [WordsPerText, Characters, Vocabulary, Content])
def test_a_threshold_is_above_zero(kind):
    """Or everything would be drift."""
    with pytest.raises(ConfigurationError, match=f"{kind.name}::threshold"):
        kind(threshold=0)


@pytest.mark.parametrize("detector", [Characters(), Vocabulary()], ids=lambda detector: detector.name)
@pytest.mark.parametrize(("n", "m"), [(60, 60), (400, 80)])
def test_one_clean_window_in_twenty_at_most_has_a_p_value_below_a_twentieth(detector, n, m):
    """Of texts whose words come in topics; 40 of 400 are more than chance makes of 20."""
    rng = np.random.default_rng(3)
    levels = _levels(texts_of(rng, 900, words=15))
    found = 0
    for _ in range(400):
        order = rng.permutation(len(levels[1]))[: n + m]
        found += detector.compare(_sums(levels, order[:n]), _sums(levels, order[n:])).p_value < 0.05

    assert found < 40


def _levels(texts):
    return [np.concatenate(kind) for kind in zip(*read_texts(texts), strict=True)]


def _sums(levels, places):
    summary = TextSummary()
    summary.characters.add(levels[0][places])
    summary.vocabulary.add(levels[1][places])
    return summary

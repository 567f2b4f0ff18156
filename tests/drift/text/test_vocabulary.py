"""The words of texts, by the buckets they fall into."""

import numpy as np
import pytest
from scipy.stats import chi2

from otel_ml.drift.text import Vocabulary
from otel_ml.drift.text.vocabulary import Means
from otel_ml.sketch.text_summary import TextSummary
from otel_ml.sketch.text_sums import VocabularySums
from tests.drift.text.text_samples import summary_of, texts_of


def texts(seed, count=600, **more):
    return texts_of(np.random.default_rng(seed), count, **more)


def test_longer_texts_do_not_have_other_words():
    """Their vectors are longer, and point where they did."""
    result = Vocabulary().compare(summary_of(texts(1, words=40)), summary_of(texts(2, words=60)))

    assert result.score < 0.02


def test_texts_on_other_topics_have_other_words():
    """Half of the words of each text are of its topic."""
    result = Vocabulary().compare(summary_of(texts(1)), summary_of(texts(2, 200, offset=250)))

    assert result.drifted
    assert result.p_value < 1e-20


def test_clean_texts_score_about_nothing_at_any_size():
    """Chance is taken off: two small windows are no further from each other than two large ones."""
    pool = [summary_of(texts(seed, count=40)) for seed in range(100)]
    cosines = [
        Means.of(left.vocabulary, right.vocabulary).cosine for left, right in zip(pool[::2], pool[1::2], strict=True)
    ]

    assert np.mean(cosines) == pytest.approx(1, abs=0.02)


def test_the_squared_distance_is_that_of_pearson_where_buckets_are_independent():
    """Of vectors with independent entries, the p-value is that of χ² with as many degrees of freedom."""
    rng = np.random.default_rng(4)
    sides = []
    for count in (4_000, 3_000):
        summary = TextSummary()
        summary.vocabulary.add(rng.integers(0, 5, (count, 256)).astype(np.float32))
        sides.append(summary)
    means = Means.of(*(side.vocabulary for side in sides))
    squared = float((np.square(means.current - means.reference) / means.variance).sum()) / (1 / 4_000 + 1 / 3_000)

    result = Vocabulary().compare(*sides)

    assert result.p_value == pytest.approx(chi2.sf(squared, 256), abs=0.02)


def test_pairs_of_differences_tell_how_buckets_go_together():
    """Entries that are all the same have 256 · 255 covariances of that variance; half of what two texts differ by."""
    levels = np.random.default_rng(5).integers(0, 2, (16_000, 1)).astype(np.float32).repeat(256, axis=1)
    sums = VocabularySums()

    sums.add(levels)

    assert sums.pairs == 1_000 * 28
    assert sums.pair_products / sums.pairs / 4 == pytest.approx(256 * 255 * 0.25**2, rel=0.05)


def test_few_texts_are_not_tested():
    """Nine are compared, and nothing is concluded."""
    result = Vocabulary().compare(summary_of(texts(1)), summary_of(texts(2, count=9)))

    assert result.p_value is None

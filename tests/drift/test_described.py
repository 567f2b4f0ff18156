"""Columns that are compared by numbers that describe them: texts, points in time, vectors."""

import numpy as np
import pytest
from drift_samples import (
    KEY,
    categorical_summary,
    datetime_summary,
    embedding_baseline,
    embedding_window,
    numeric_window,
    text_baseline,
    text_window,
)

from otel_ml.drift import create, distributions
from otel_ml.drift.quality import data_quality
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.sketch.feature import Counters
from otel_ml.sketch.summary import FeatureSummary, OpaqueSummary

DAY = 86_400.0
KS = create("ks")
CHI_SQUARED = create("chi_squared")


def texts(rows, words, seed=0):
    sizes = np.random.default_rng(seed).poisson(words, size=rows)
    return ["word " * size + "." for size in sizes]


def vectors(rows, scale=1.0, seed=0, dimensions=32):
    return np.random.default_rng(seed).normal(size=(rows, dimensions)) * scale


def moments(rows, hours, seed=0):
    """Points in time of some months, at certain hours of the day."""
    random = np.random.default_rng(seed)
    return random.integers(0, 100, rows) * DAY + random.choice(hours, rows) * 3600.0


@pytest.mark.parametrize("known", [True, False], ids=["bins", "no bins"])
def test_texts_are_compared_by_their_lengths(known):
    """Whether the process knew the baseline's bins or not."""
    baseline, layout = text_baseline(texts(3_000, 40))

    same = distributions(baseline, text_window(texts(1_000, 40, seed=1), layout if known else None), layout)
    longer = distributions(baseline, text_window(texts(1_000, 60, seed=1), layout if known else None), layout)

    assert KS.compare(*same).p_value > 0.01
    assert KS.compare(*longer).p_value < 1e-6
    assert KS.compare(*longer).drifted


@pytest.mark.parametrize("known", [True, False], ids=["bins", "no bins"])
def test_vectors_are_compared_by_their_norms(known):
    """Of 5 % longer vectors 32 dimensions tell."""
    baseline, layout = embedding_baseline(vectors(3_000))

    same = distributions(baseline, embedding_window(vectors(1_000, seed=1), layout if known else None), layout)
    longer = distributions(baseline, embedding_window(vectors(1_000, 1.05, seed=1), layout if known else None), layout)

    assert KS.compare(*same).p_value > 0.01
    assert KS.compare(*longer).p_value < 1e-6


def test_points_in_time_are_compared_by_the_hour():
    """Office hours against nights."""
    office, night = moments(2_000, range(8, 18)), moments(500, [22, 23, 0, 1], seed=1)

    same = distributions(datetime_summary(office), datetime_summary(moments(500, range(8, 18), seed=1)))
    moved = distributions(datetime_summary(office), datetime_summary(night))

    assert CHI_SQUARED.compare(*same).p_value > 0.01
    assert CHI_SQUARED.compare(*moved).p_value < 1e-6


def test_points_in_time_of_a_part_of_a_day_are_not_compared():
    """A window's own time, as a feature, has the hour of the window and would drift from every baseline."""
    baseline = datetime_summary(moments(2_000, range(24)))

    assert distributions(baseline, datetime_summary(DAY * 500 + np.linspace(0, 6 * 3600, 300))) is None
    assert distributions(baseline, datetime_summary(DAY * 500 + np.linspace(0, DAY - 1, 300))) is not None


def test_vectors_of_two_lengths_are_not_compared_but_mismatched():
    """Another embedding model: every value is of another kind, as its norm may not show."""
    baseline, layout = embedding_baseline(vectors(1_000))
    window = embedding_window(vectors(500, dimensions=64), layout)

    assert distributions(baseline, window, layout) is None
    assert data_quality(baseline, window, layout).type_mismatch_ratio == 1.0


@pytest.mark.parametrize("name", BUILTIN_DETECTORS)
def test_every_detector_takes_what_stands_for_a_column(name):
    """As it takes numbers and categories; that is how new kinds of columns need no new detectors."""
    detector = create(name)
    lengths, cut_for_lengths = text_baseline(texts(500, 40))
    norms, cut_for_norms = embedding_baseline(vectors(500))
    pairs = [
        distributions(lengths, text_window(texts(300, 40, seed=1)), cut_for_lengths),
        distributions(norms, embedding_window(vectors(300, seed=1)), cut_for_norms),
        distributions(datetime_summary(moments(500, range(8, 18))), datetime_summary(moments(300, range(6, 12)))),
    ]

    taken = [detector.compare(*pair) for pair in pairs if detector.applies_to(pair[0])]

    assert taken
    # Two that compare truth values say that hours of the day are none.
    assert all(
        np.isnan(result.score) if name in {"fisher", "proportions"} else np.isfinite(result.score) for result in taken
    )


@pytest.mark.parametrize(
    "summary", [text_window(["a b", "c d"] * 50), datetime_summary(np.arange(100.0)), embedding_window(vectors(100))]
)
def test_missing_and_mismatched_values_count_for_every_kind(summary):
    """Their ratios need the counters only."""
    summary.counters = Counters(rows=200, missing=60, mismatched=40)

    quality = data_quality(FeatureSummary(KEY, summary.content, Counters(rows=100)), summary)

    assert (quality.missing_ratio, quality.type_mismatch_ratio) == (0.3, 0.2)
    assert (quality.infinite, quality.out_of_range, quality.unseen_category) == (None, None, None)


def test_what_came_as_strings_is_no_mismatch():
    """A process without the baseline takes short texts, and points in time in JSON, for categories."""
    strings = categorical_summary({"2024-01-01": 50, "2024-01-02": 50})

    for baseline in (text_baseline(["a b c d"] * 100)[0], datetime_summary(np.arange(100.0))):
        assert data_quality(baseline, strings).type_mismatch_ratio == 0.0
        assert distributions(baseline, strings) is None


def test_numbers_in_place_of_texts_or_vectors_are_mismatched():
    """The whole column changed its kind, so its producer found nothing wrong with it."""
    numbers = numeric_window(exact=[1.0, 2.0])

    for baseline in (text_baseline(["a b"] * 9)[0], embedding_baseline(vectors(9))[0]):
        assert data_quality(baseline, numbers).type_mismatch_ratio == 1.0
        assert data_quality(baseline, FeatureSummary(KEY, OpaqueSummary(), Counters(9))).type_mismatch_ratio == 0.0

"""Texts, points in time and vectors on their way through windows, a restart and the evaluation."""

import numpy as np
import pytest
from processor_samples import MINUTE, START, Producer

from collector_processor.processors import checkpoint
from collector_processor.processors.alerts import AlertBook, AlertSettings
from collector_processor.processors.deduplication import Deduplicator
from collector_processor.processors.evaluation.correction import Correction
from collector_processor.processors.windows import WindowSettings, WindowStore
from otel_ml.baseline import Baseline
from otel_ml.drift import create, distributions
from otel_ml.sketch import codec
from otel_ml.sketch.datetime_summary import DatetimeSummary
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.summary import FeatureSummary
from otel_ml.sketch.text_summary import TextSummary

QUESTION, ASKED, MEANING = (FeatureKey(FeatureRole.FEATURE, name) for name in ("question", "asked", "meaning"))
BATCH = 500


def described(key, content, batch, *more):
    content.update(batch, *more)
    return FeatureSummary(key, content, Counters(rows=len(batch)))


def questions(seed, words=20):
    return ["why " * size for size in np.random.default_rng(seed).poisson(words, BATCH)]


def vectors(seed, dimensions=8):
    return np.random.default_rng(seed).normal(size=(BATCH, dimensions))


def columns(seed, dimensions=8):
    return [
        described(QUESTION, TextSummary(), questions(seed)),
        described(ASKED, DatetimeSummary(), np.random.default_rng(seed).uniform(0, 1e6, BATCH), 2e9),
        described(MEANING, EmbeddingSummary(), vectors(seed, dimensions)),
    ]


def sent(producer, *features):
    """As it comes off the wire."""
    return codec.decode(codec.encode(producer.snapshot(*features)))


@pytest.fixture
def windows():
    return WindowStore(WindowSettings(window="5m"), wall_clock_ns=lambda: START + 60 * MINUTE)


def parts_of(windows):
    (window,) = windows.close_all()
    return {kind: part for (_, kind), part in window.parts.items()}


def test_replicas_add_up(windows):
    """Two servers that saw half of it each: the window knows all of it."""
    for number in (1, 2):
        windows.merge(sent(Producer(producer_id=bytes([number]) * 16), *columns(seed=number)))

    parts = parts_of(windows)

    matrix = np.concatenate([vectors(1), vectors(2)])
    assert parts[FeatureKind.TEXT].content.count == parts[FeatureKind.DATETIME].content.ages.count == 2 * BATCH
    assert parts[FeatureKind.DATETIME].content.hours.sum() == 2 * BATCH
    assert np.allclose(parts[FeatureKind.EMBEDDING].content.products, matrix.T @ matrix, rtol=1e-4, atol=1e-3)


def test_vectors_of_another_length_are_dropped_and_counted(windows):
    """A replica with another embedding model must not spoil the window of the rest."""
    windows.merge(sent(Producer(producer_id=b"a" * 16), *columns(seed=1)))
    windows.merge(sent(Producer(producer_id=b"b" * 16), *columns(seed=2, dimensions=16)))

    parts = parts_of(windows)

    assert windows.features_dropped["incompatible"] == 1
    assert (parts[FeatureKind.EMBEDDING].content.dimensions, parts[FeatureKind.EMBEDDING].content.count) == (8, BATCH)
    assert parts[FeatureKind.TEXT].content.count == 2 * BATCH


def test_open_windows_survive_a_restart(windows):
    """What was merged before is there after, and can be added to."""
    windows.merge(sent(Producer(producer_id=b"a" * 16), *columns(seed=1)))
    kept = checkpoint.sections(windows, Deduplicator(10), AlertBook(AlertSettings()), Correction(0.05, 1_000), 0)
    restored = WindowStore(WindowSettings(window="5m"), wall_clock_ns=lambda: START + 60 * MINUTE)

    checkpoint.restore(Kept(kept), restored, Deduplicator(10), AlertBook(AlertSettings()), Correction(0.05, 1_000))
    restored.merge(sent(Producer(producer_id=b"b" * 16), *columns(seed=2)))

    assert {kind: part.content.count for kind, part in parts_of(restored).items()} == dict.fromkeys(
        (FeatureKind.TEXT, FeatureKind.DATETIME, FeatureKind.EMBEDDING), 2 * BATCH
    )


def test_a_window_is_compared_with_the_training_data(windows):
    """Longer questions and longer vectors have drifted, the times of day have not."""
    baseline = Baseline.build(
        {
            "question": questions(3),
            "asked": np.random.default_rng(3).uniform(0, 1e6, BATCH).astype("M8[s]"),
            "meaning": vectors(3),
        },
        model="fraud",
        version="3",
        text="question",
    )
    question, asked, meaning = columns(seed=4)
    question = described(QUESTION, TextSummary(), questions(4, words=40))
    meaning = described(MEANING, EmbeddingSummary(), 2 * vectors(4))
    windows.merge(sent(Producer(), question, asked, meaning))
    drifted = {}

    for part in parts_of(windows).values():
        detector = create("psi")
        pair = distributions(baseline.features[part.key], part, baseline.layout(part.key))
        drifted[part.key] = detector.compare(*pair).drifted

    assert drifted == {QUESTION: True, ASKED: False, MEANING: True}


class Kept:
    """A store that has what was kept."""

    def __init__(self, sections):
        self._sections = sections

    def read(self, section):
        return self._sections[section]

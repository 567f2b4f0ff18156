"""Texts: what decides about them, and what an alert says of them."""

import numpy as np
import pytest
from processor_samples import MODEL
from reference_samples import MONDAY, closed

from collector_processor.processors.evaluation import DRIFT, Evaluator
from collector_processor.processors.evaluation.settings import DecisionSettings
from collector_processor.processors.references.baselines import References
from collector_processor.processors.settings import DriftSettings
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.drift.text import METHODS
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.summary import FeatureSummary
from otel_ml.sketch.text_summary import TextSummary
from tests.drift.text.text_samples import texts_of

QUESTION = FeatureKey(FeatureRole.FEATURE, "question")


@pytest.fixture(scope="module")
def baseline():
    texts = texts_of(np.random.default_rng(1), 2_000, words=20)
    return Baseline.build({"question": texts}, model=MODEL.name, version=MODEL.version, text="question")


def evaluated(baseline, texts, decide_by="content"):
    settings = DriftSettings.model_validate({"window": "1h"})
    detectors = {name: create(name) for name in settings.detectors}
    evaluator = Evaluator(
        References([baseline]), detectors, DecisionSettings(text=decide_by), settings.quality, 100, settings.rule
    )
    content = TextSummary()
    content.update(texts)
    window = closed(MONDAY, FeatureSummary(QUESTION, content, Counters(rows=len(texts))))
    (feature,) = evaluator.evaluate(window).features
    return feature, next(check for check in feature.checks if check.name == DRIFT)


def questions(seed=2, **more):
    return texts_of(np.random.default_rng(seed), 500, words=20, **more)


def test_all_that_is_known_of_texts_is_measured(baseline):
    """Beside the lengths; and nothing of it is drift where nothing changed."""
    feature, check = evaluated(baseline, questions())

    assert {result.method for result in feature.scores} >= METHODS | {"psi"}
    assert not check.is_big
    assert feature.moved == ()


def test_other_characters_are_found_and_named(baseline):
    """The lengths are as before, and say nothing."""
    feature, check = evaluated(baseline, [text.translate({97: "é", 111: "ø"}) for text in questions()])

    assert check.method == "content"
    assert check.is_big
    assert feature.moved[0].label == "non-ASCII"
    assert feature.moved[0].reference == 0
    assert 0.1 < feature.moved[0].current < 0.4


def test_other_words_are_found(baseline):
    """Of the same length, in the same letters, and as many."""
    feature, check = evaluated(baseline, questions(offset=250), decide_by="vocabulary")

    assert check.method == "vocabulary"
    assert check.is_big
    assert "likeness of words" in {cell.label for cell in feature.moved}


def test_lengths_decide_where_that_is_asked_for(baseline):
    """As any other numbers, with their ranges."""
    feature, check = evaluated(baseline, [f"{text} {text}" for text in questions()], decide_by="psi")

    assert check.method == "psi"
    assert check.is_big
    assert any(cell.label.startswith(">") for cell in feature.moved)

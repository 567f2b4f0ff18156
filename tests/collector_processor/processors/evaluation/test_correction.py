"""q-values over columns, and levels over windows."""

import numpy as np
import pytest
from processor_samples import MODEL

from collector_processor.processors.evaluation import DRIFT, Check, FeatureEvaluation
from collector_processor.processors.evaluation.correction import Correction
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment


def features(p_values, name=DRIFT):
    return [
        FeatureEvaluation(
            FeatureKey(FeatureRole.FEATURE, f"f{index}"),
            FeatureKind.NUMERIC,
            Counters(rows=1_000),
            1_000,
            checks=[Check(name, "psi", 0.5, 0.2, is_big=True, p_value=p_value, n=1_000)],
        )
        for index, p_value in enumerate(p_values)
    ]


def significant(correction, p_values, *, model=MODEL, segment=None, name=DRIFT):
    found = correction.corrected(model, segment, features(p_values, name))
    return [check.is_significant(0.05) for feature in found for check in feature.checks]


def test_a_column_is_corrected_for_the_others_with_the_same_question():
    """Benjamini-Hochberg over the columns of a window; what was not tested does not count."""
    (first, *_), (second, *_), (third, *_) = (
        feature.checks for feature in Correction(0.05, 1).corrected(MODEL, None, features([0.01, None, 0.2]))
    )

    assert (first.q_value, second.q_value, third.q_value) == (pytest.approx(0.02), None, pytest.approx(0.2))
    assert first.family == 2


def test_watching_for_long_does_not_guarantee_a_false_alarm():
    """A thousand clean windows of twenty columns: in nineteen histories of twenty, nothing is ever significant."""
    random = np.random.default_rng(5)

    alarmed = 0
    for _ in range(40):
        correction = Correction(0.05, 1_000)
        alarmed += any(any(significant(correction, random.random(20).tolist())) for _ in range(1_000))

    assert alarmed <= 6


def test_drift_after_a_thousand_clean_windows_is_still_found():
    """The level of a window does not dwindle with those before."""
    correction = Correction(0.05, 1_000)
    random = np.random.default_rng(6)
    for _ in range(1_500):
        significant(correction, random.random(50).tolist())

    assert significant(correction, [1e-7, *random.random(49).tolist()])[0]


def test_families_use_up_nothing_of_each_other():
    """Another model, another segment, and another check have accounts of their own."""
    correction = Correction(0.05, 10)
    significant(correction, [1e-9] * 10)

    levels = [
        feature.checks[0].level
        for model, segment, name in (
            (MODEL, None, DRIFT),
            (ModelKey("other"), None, DRIFT),
            (MODEL, Segment("country", "NO"), DRIFT),
            (MODEL, None, "missing"),
        )
        for feature in correction.corrected(model, segment, features([0.5], name))
    ]

    assert levels[0] > levels[1] == levels[2] == levels[3] == pytest.approx(0.005)


def test_a_restart_changes_nothing():
    """What was used up is kept."""
    correction, restarted = Correction(0.05, 100), Correction(0.05, 100)
    for segment in (None, Segment("country", "NO")):
        significant(correction, [1e-9] * 5, segment=segment)

    restarted.restore(correction.encode())

    for segment in (None, Segment("country", "NO")):
        after, before = (
            found.corrected(MODEL, segment, features([1e-3] * 3))[0].checks[0] for found in (restarted, correction)
        )
        assert after == before

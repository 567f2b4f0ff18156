"""Windows that are not what the baseline knows: a defined result, a finding, or nothing, but never NaN or a crash."""

import math

import numpy as np
import pytest
from processor_samples import MODEL, categorical, numeric
from reference_samples import DAY, MONDAY, closed

from collector_processor.processors import report
from collector_processor.processors.evaluation import Evaluator, Rule
from collector_processor.processors.evaluation.settings import DecisionSettings, QualitySettings
from collector_processor.processors.record import window_record
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences
from collector_processor.processors.references.settings import ReferenceSettings
from otel_ml.baseline import Baseline
from otel_ml.drift.registry import BUILTIN_DETECTORS
from otel_ml.sketch.bins import AnchoredBins, BinLayout
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.summary import BooleanSummary, FeatureSummary, NumericSummary, OpaqueSummary

ROWS = 500
RANDOM = np.random.default_rng(1)
NORMAL = RANDOM.normal(size=ROWS)
OTHER_LAYOUT = BinLayout(np.array([-1.0, 0.0, 1.0]))
KEY = FeatureKey(FeatureRole.FEATURE, "x")

BASELINES = {
    "numbers": NORMAL,
    "a constant": np.full(ROWS, 5.0),
    "huge numbers": NORMAL * 1e300,
    "tiny numbers": NORMAL * 1e-310,
    "mostly missing": np.where(np.arange(ROWS) < 3, NORMAL, np.nan),
    "truth values": NORMAL > 0,
    "categories": RANDOM.choice(["a", "b", "c"], ROWS),
    "many categories": [f"c{number}" for number in range(ROWS)],
    "texts": ["some words of text"[: 5 + number % 12] + " and four more words" for number in range(ROWS)],
    "vectors": list(RANDOM.normal(size=(ROWS, 4))),
}


def of(content, rows=ROWS, **counters):
    return FeatureSummary(KEY, content, Counters(**{"rows": rows, **counters}))


def vectors(matrix):
    content = EmbeddingSummary()
    content.update(matrix)
    return of(content)


def empty_bins(layout):
    return of(NumericSummary(bins={layout.hash: AnchoredBins(layout.hash, np.zeros(layout.bins, dtype=np.int64))}))


def windows(layout):
    """Everything that may come, by what it is."""
    found = {
        "nothing but missing values": of(NumericSummary(), missing=ROWS),
        "nothing but values of another kind": of(OpaqueSummary(), mismatched=ROWS),
        "a constant": numeric("x", np.full(ROWS, 7.0)),
        "one value far out": numeric("x", np.append(np.full(ROWS - 1, 5.0), 1e308)),
        "numbers": numeric("x", NORMAL),
        "huge numbers": numeric("x", NORMAL * 1e300),
        "tiny numbers": numeric("x", NORMAL * 1e-310),
        "bins of another baseline": numeric("x", NORMAL, layout=OTHER_LAYOUT),
        "bins without values": empty_bins(OTHER_LAYOUT),
        "unknown categories": categorical("x", {"y": 300, "z": 200}),
        "one unknown category": categorical("x", {"a": ROWS - 1, "z": 1}),
        "no category": categorical("x", {}, missing=ROWS),
        "truth values, all true": of(BooleanSummary(0, ROWS)),
        "vectors": vectors(RANDOM.normal(size=(ROWS, 4))),
        "vectors of another length": vectors(RANDOM.normal(size=(ROWS, 3))),
        "equal vectors": vectors(np.ones((ROWS, 4))),
        "huge vectors": vectors(np.full((ROWS, 4), 1e300)),
    }
    if layout is not None:
        found["bins of the baseline, all in one"] = numeric("x", np.full(ROWS, layout.edges[0]), layout=layout)
        found["bins of the baseline, empty"] = empty_bins(layout)
    return found


@pytest.mark.parametrize("known", BASELINES)
@pytest.mark.filterwarnings("error")
def test_any_window_has_a_defined_result(known):
    """Against the baseline, yesterday, and every detector there is; what is reported is finite."""
    baseline = Baseline.build({"x": BASELINES[known]}, model=MODEL.name, version=MODEL.version)
    settings = ReferenceSettings()
    for window in windows(baseline.layout(KEY)).values():
        history, found = WindowHistory(settings, 3600.0), References([baseline])
        named = NamedReferences(settings, history, found.find, 1)
        evaluator = Evaluator(
            found,
            {name: detector() for name, detector in BUILTIN_DETECTORS.items()},
            DecisionSettings(),
            QualitySettings(),
            1,
            Rule(0.05, 1_000),
        )
        for start in (MONDAY, MONDAY + DAY):
            today = closed(start, window, rows=ROWS)
            history.remember(today)

            evaluation = evaluator.evaluate(today, named.of(today), named.rollup(today))

            assert evaluation.outcome == "evaluated"
            for feature in evaluation.features:
                scores = [*feature.scores, *(result for results in feature.elsewhere.values() for result in results)]
                assert all(math.isfinite(result.score) and result.score >= 0 for result in scores)
                assert all(result.p_value is None or 0 <= result.p_value <= 1 for result in scores)
                assert all(math.isfinite(check.score) for check in feature.checks)
            assert all(math.isfinite(gauge.value) for gauge in report.measurements(evaluation, 0.05))
            assert window_record(evaluation, 0.05).details


def test_what_is_not_what_the_baseline_knows_is_a_finding():
    """Missing, of another kind, unknown: each has its name, where there is nothing to compare."""
    numbers = Baseline.build({"x": NORMAL}, model=MODEL.name, version=MODEL.version)
    categories = Baseline.build({"x": BASELINES["categories"]}, model=MODEL.name, version=MODEL.version)
    expected = [
        (numbers, "nothing but missing values", "missing"),
        (numbers, "unknown categories", "type_mismatch"),
        (numbers, "vectors", "type_mismatch"),
        (numbers, "one value far out", "out_of_range"),
        (categories, "unknown categories", "unseen_category"),
        (categories, "a constant", "type_mismatch"),
    ]

    for baseline, window, finding in expected:
        evaluator = Evaluator(References([baseline]), {}, DecisionSettings(), QualitySettings(), 1, Rule(0.05, 1_000))
        evaluation = evaluator.evaluate(closed(MONDAY, windows(baseline.layout(KEY))[window]))
        (feature,) = evaluation.features
        assert getattr(feature.quality, finding).ratio > 0, (window, finding)

"""What may be behind a drift: attribution of a prediction's, and the order in which to look at features."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from processor_samples import MODEL, numeric
from reference_samples import HOUR, MONDAY, closed

from collector_processor.processors import report
from collector_processor.processors.alerts import AlertBook, AlertKey, AlertSettings
from collector_processor.processors.common_changes import Told
from collector_processor.processors.evaluation import Check, Evaluator, FeatureEvaluation
from collector_processor.processors.evaluation.causes import with_causes
from collector_processor.processors.evaluation.measurement import Measurement
from collector_processor.processors.record import window_record
from collector_processor.processors.references.baselines import References
from collector_processor.processors.settings import DriftSettings
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole

ROWS = 4_000
WEIGHTS = {"income": 3.0, "age": 1.0, "debt": 1.0, "idle": 0.0}
RISK = FeatureKey(FeatureRole.PREDICTION, "prediction")


def rows(seed, size, **shifts):
    """Rows of a model that adds up its features; "risk" shifts it without one of them."""
    random = np.random.default_rng(seed)
    data = {name: random.normal(shifts.get(name, 0.0), 1.0, size) for name in WEIGHTS}
    data["risk"] = sum(weight * data[name] for name, weight in WEIGHTS.items()) + shifts.get("risk", 0.0)
    return data


def baseline_of(**importances):
    return Baseline.build(
        rows(1, 40_000),
        model=MODEL.name,
        version=MODEL.version,
        predictions="risk",
        importances=importances or None,
    )


@pytest.fixture(scope="module")
def baseline():
    """One that knows how much the model relies on what."""
    return baseline_of(**WEIGHTS)


def evaluator_of(baseline):
    settings = DriftSettings()
    return Evaluator(
        References([baseline]),
        {name: create(name) for name in settings.detectors},
        settings.decide_by,
        settings.quality,
        settings.min_rows,
        settings.rule,
    )


def evaluate(baseline, *, number=0, evaluator=None, **shifts):
    columns = [
        numeric(RISK.name, values, role=RISK.role) if name == "risk" else numeric(name, values)
        for name, values in rows(2 + number, ROWS, **shifts).items()
    ]
    window = closed(MONDAY + number * HOUR, *columns)
    return (evaluator or evaluator_of(baseline)).evaluate(window)


def of(evaluation, name):
    (feature,) = [feature for feature in evaluation.features if feature.key.name == name]
    return feature


def drift_events(baseline, **shifts):
    """The events of drift that begin to fire, by column."""
    evaluator, book = evaluator_of(baseline), AlertBook(AlertSettings())
    events = [
        event
        for number in range(3)
        for transition in book.observe(evaluate(baseline, number=number, evaluator=evaluator, **shifts))
        for event in report.events(transition, 0)
        if event.name == semconv.EVENT_DRIFT_DETECTED
    ]
    return {
        event.attributes.get(semconv.FEATURE_NAME) or event.attributes[semconv.PREDICTION_NAME]: event.attributes
        for event in events
    }


def test_a_drift_of_the_prediction_is_attributed_to_the_features_that_moved(baseline):
    """The feature that moved and that the model leans on has most of it; what did not move has none."""
    attribution = of(evaluate(baseline, income=1.0, age=1.0), RISK.name).attribution

    assert attribution.shares["income"] > attribution.shares["age"] > 0.1
    assert attribution.shares["debt"] == attribution.shares["idle"] == 0.0
    assert attribution.unexplained < 0.1
    assert sum(attribution.shares.values()) + attribution.unexplained == pytest.approx(1.0)


def test_what_no_feature_accounts_for_is_unexplained(baseline):
    """The model itself changed, or what it does not report."""
    attribution = of(evaluate(baseline, risk=5.0), RISK.name).attribution

    assert attribution.unexplained == pytest.approx(1.0)


def test_a_feature_that_the_model_does_not_use_accounts_for_nothing(baseline):
    """However far it moved."""
    attribution = of(evaluate(baseline, risk=5.0, idle=3.0), RISK.name).attribution

    assert attribution.shares["idle"] == 0.0


def test_without_importances_all_features_count_the_same():
    """Nothing is known of any."""
    attribution = of(evaluate(baseline_of(), income=1.0, age=1.0), RISK.name).attribution

    assert attribution.shares["income"] == pytest.approx(attribution.shares["age"], rel=0.2)


def test_a_prediction_that_did_not_drift_is_not_attributed(baseline):
    """There is nothing to divide."""
    evaluation = evaluate(baseline, idle=1.0)

    assert of(evaluation, RISK.name).attribution is None
    assert of(evaluation, RISK.name).effect is None


def test_features_that_drift_together_are_ranked_by_what_matters_to_the_model(baseline):
    """The one that moved furthest is not the one to look at, if the model hardly uses it."""
    evaluation = evaluate(baseline, income=0.6, age=0.9, idle=2.0)

    assert [(of(evaluation, name).rank.place, of(evaluation, name).rank.of) for name in ("income", "age", "idle")] == [
        (1, 3),
        (2, 3),
        (3, 3),
    ]
    assert of(evaluation, "debt").rank is None
    assert of(evaluation, "idle").effect > of(evaluation, "age").effect > of(evaluation, "income").effect


def test_a_feature_that_drifts_alone_has_no_rank(baseline):
    """First of one says nothing."""
    assert of(evaluate(baseline, idle=1.0), "idle").rank is None


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_does_no_harm(score):
    """Vectors far beyond everything, say: the window is still worth reporting."""
    vector, idle = FeatureKey(FeatureRole.FEATURE, "vector"), FeatureKey(FeatureRole.FEATURE, "idle")
    features = [
        FeatureEvaluation(
            key,
            FeatureKind.EMBEDDING,
            Counters(rows=ROWS),
            ROWS,
            checks=[Check("drift", "mahalanobis", score, 0.2, True, 0.0, ROWS, q_value=0.0)],
        )
        for key in (vector, RISK)
    ]
    features.append(FeatureEvaluation(idle, FeatureKind.NUMERIC, Counters(rows=ROWS), ROWS))
    measured = {key: Measurement(ROWS, None) for key in (vector, RISK)}

    found = {feature.key: feature for feature in with_causes(features, {"baseline": measured}, {}, 0.05)}

    assert (found[vector].effect, found[RISK].effect) == ((None, None) if math.isnan(score) else (2.0, 2.0))
    assert found[idle].effect is None


def test_without_a_baseline_nothing_is_explained(baseline):
    """Of another model there is none."""
    other = replace(baseline, model=MODEL._replace(name="churn"))
    evaluation = evaluate(other, income=2.0)

    assert all(feature.attribution is None and feature.rank is None for feature in evaluation.features)


def test_the_event_names_features_and_shares(baseline):
    """Whoever is woken by it knows where to look."""
    told = drift_events(baseline, income=1.0, age=1.0)

    attribution = told[RISK.name][semconv.DRIFT_ATTRIBUTION]
    assert [part.split()[0] for part in attribution] == ["income", "age", "(unexplained)"]
    assert sum(float(part.split()[1]) for part in attribution) == pytest.approx(1.0, abs=0.02)
    assert told["income"][semconv.DRIFT_RANK] == "1 of 2"
    assert told["age"][semconv.DRIFT_RANK] == "2 of 2"
    assert semconv.DRIFT_ATTRIBUTION not in told["income"]
    assert semconv.DRIFT_RANK not in told[RISK.name]


def test_the_history_keeps_what_a_console_sorts_by(baseline):
    """Place, how far it moved, and the shares of a prediction."""
    record = window_record(evaluate(baseline, income=1.0, age=1.0), 0.05)
    features = {feature["name"]: feature for feature in json.loads(record.details)["features"]}

    assert [features[name]["rank"] for name in ("income", "age", "debt", RISK.name)] == [1, 2, None, None]
    assert features["income"]["effect"] > 0.5
    assert features["debt"]["effect"] is None
    assert features[RISK.name]["attribution"]["shares"]["income"] > 0.5
    assert features["debt"]["attribution"] is None


def test_a_common_change_names_the_most_important_feature_first(baseline):
    """Of many features, somebody has to be the first to be looked at."""
    window = evaluate(baseline, income=1.0, age=1.0, idle=1.0)
    event = report.common_change_event(Told(MODEL, True, ("age", "idle", "income"), "why", window), 0)

    assert event.attributes[semconv.ALERT_FEATURES] == ("income", "age", "idle")


def test_many_features_are_told_as_the_first_few_and_the_others():
    """An event is no table."""
    weights = {f"column {number}": 1.0 + number / 10 for number in range(9)}
    random = np.random.default_rng(3)
    trained = {name: random.normal(0, 1, 20_000) for name in weights}
    trained["risk"] = sum(trained[name] * weight for name, weight in weights.items())
    baseline = Baseline.build(trained, model=MODEL.name, version=MODEL.version, predictions="risk", importances=weights)
    evaluator, book, told = evaluator_of(baseline), AlertBook(AlertSettings()), []
    for number in range(2):
        moved = {name: random.normal(1, 1, ROWS) for name in weights}
        columns = [numeric(name, values) for name, values in moved.items()]
        risk = sum(moved[name] * weight for name, weight in weights.items())
        columns.append(numeric(RISK.name, risk, role=RISK.role))
        for transition in book.observe(evaluator.evaluate(closed(MONDAY + number * HOUR, *columns))):
            if transition.key == AlertKey(MODEL, RISK, "drift"):
                told += [event.attributes for event in report.events(transition, 0)]

    shares = told[0][semconv.DRIFT_ATTRIBUTION]
    assert [part.rsplit(" ", 1)[0] for part in shares] == [
        "column 8",
        "column 7",
        "column 6",
        "column 5",
        "column 4",
        "(others)",
        "(unexplained)",
    ]

"""Features together, from model servers to alerts."""

import dataclasses
import json
import math

import numpy as np
import pytest
from processor_samples import MINUTE, MODEL, START

from collector_processor.processors import report
from collector_processor.processors.alerts import AlertBook
from collector_processor.processors.columns import columns_of
from collector_processor.processors.evaluation import CORRELATION_DRIFT, GRADUAL_CORRELATION_DRIFT, Evaluator
from collector_processor.processors.record import window_record
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.named import NamedReference
from collector_processor.processors.settings import DriftSettings
from collector_processor.processors.windows import Window, WindowStore
from otel_ml import semconv
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.errors import CorruptSnapshotError
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch import codec
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import FeatureSummary

NAMES = ("amount", "income", "age", "size")
ALPHA = DriftSettings().alerts.alpha
ROWS = 2_000


def people(rows, seed, correlation=0.8, shift=0.0, scale=1.0):
    """Amounts are log-normal, and income goes with their logarithm; the other two are on their own."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(rows, 4))
    values[:, 1] = correlation * values[:, 0] + math.sqrt(1 - correlation**2) * values[:, 1]
    values = scale * values + shift
    values[:, 0] = np.exp(values[:, 0] / 2)
    return values


def baseline_of(values, names=NAMES):
    return Baseline.build(dict(zip(names, values.T, strict=True)), model=MODEL.name, version=MODEL.version)


@pytest.fixture(scope="module")
def baseline():
    return baseline_of(people(20_000, 1))


def payloads(baseline, parts, names=NAMES):
    """What as many replicas send, each having seen a part of the rows."""
    sent = []
    for number, part in enumerate(parts):
        accumulator = ModelAccumulator(MODEL, baseline=baseline)
        accumulator.add([Inference(ModelInfo(MODEL, feature_names=names), "predict", part)])
        drained = accumulator.drain()
        summaries = [column.summary for column in drained.columns]
        producer = number.to_bytes(16, "big")
        sent.append(codec.encode(Snapshot(producer, 1, MODEL, START, START + MINUTE, drained.rows, 0, summaries)))
    return sent


def window_of(*sent):
    store = WindowStore(DriftSettings())
    for payload in sent:
        store.merge(codec.decode(payload))
    (window,) = store.close_all()
    return window


def served(baseline, *parts):
    return window_of(*payloads(baseline, parts))


def evaluator(*baselines, **settings):
    chosen = DriftSettings.model_validate(settings)
    detectors = {name: create(name) for name in chosen.detectors}
    return Evaluator(References(baselines), detectors, chosen.decide_by, chosen.quality, chosen.min_rows, chosen.rule)


def evaluated(baseline, window, *references, rollup=None, **settings):
    return evaluator(baseline, **settings).evaluate(window, references, rollup)


def joint_of(evaluation):
    """The finding about features together, if there is one."""
    return next((feature for feature in evaluation.features if feature.key.role is FeatureRole.JOINT), None)


def breaches(evaluation):
    return {
        (feature.key.name if feature.key.role is FeatureRole.FEATURE else "together", check.name)
        for feature in evaluation.features
        for check in feature.checks
        if check.breaches(ALPHA)
    }


def test_a_correlation_that_broke_is_found_and_named_where_no_column_moved(baseline):
    """Each column alone is as it was."""
    evaluation = evaluated(baseline, served(baseline, people(ROWS, 2, correlation=0.0)))

    assert breaches(evaluation) == {("together", CORRELATION_DRIFT)}
    (pair,) = joint_of(evaluation).moved
    assert pair.label == "amount ~ income"
    assert (pair.reference, pair.current) == pytest.approx((0.75, 0.0), abs=0.08)


def test_what_is_as_it_was_is_no_alarm(baseline):
    """A hundred windows of clean rows, a few of which pass 5 %, and none the threshold as well."""
    evaluations = [evaluated(baseline, served(baseline, people(500, seed))) for seed in range(10, 60)]

    checks = [joint_of(evaluation).checks[0] for evaluation in evaluations]

    assert not any(breaches(evaluation) for evaluation in evaluations)
    # Five standard deviations around 5 %.
    assert np.mean([check.p_value < 0.05 for check in checks]) <= 0.2


def test_columns_that_move_alone_are_told_as_such(baseline):
    """Correlations do not depend on where values lie, nor how far apart, as long as few are beyond four deviations."""
    evaluation = evaluated(baseline, served(baseline, people(ROWS, 2, shift=0.5)))

    assert not any(subject == "together" for subject, _ in breaches(evaluation))
    assert {subject for subject, _ in breaches(evaluation)} == set(NAMES)


def test_an_event_says_which_pairs_changed(baseline):
    """In a sentence, and as an attribute; it is about the model and no column of it."""
    book, judge = AlertBook(DriftSettings().alerts), evaluator(baseline)
    for seed in (2, 3):
        evaluation = judge.evaluate(served(baseline, people(ROWS, seed, correlation=0.0)))
        transitions = book.observe(evaluation)

    alert, drift = report.events(transitions[0], 0)

    assert alert.name == semconv.EVENT_ALERT
    assert drift.name == semconv.EVENT_DRIFT_DETECTED
    assert alert.body.startswith("fraud 3: correlation_drift firing: CORRELATION 0.7")
    assert "(amount ~ income 0.7" in alert.body
    (moved,) = drift.attributes[semconv.DRIFT_MOVED]
    assert moved.startswith("amount ~ income: 0.7")
    assert not {semconv.FEATURE_NAME, semconv.PREDICTION_NAME} & alert.attributes.keys()


def test_gauges_are_the_models_and_no_columns(baseline):
    """No share of missing values, no part in the share of features that drifted."""
    evaluation = evaluated(baseline, served(baseline, people(ROWS, 2, correlation=0.0)))

    gauges = report.measurements(evaluation, ALPHA)

    by_name = {gauge.metric.name: gauge for gauge in gauges}
    assert by_name["ml.model.drift.correlation"].value == pytest.approx(0.72, abs=0.1)
    assert {"ml.model.drift.covariance", "ml.model.drift.pca_reconstruction"} <= by_name.keys()
    assert by_name["ml.model.drift.share"].value == 0
    named = {gauge.attributes.get(semconv.FEATURE_NAME) for gauge in gauges}
    assert named == {None, *NAMES}
    assert not any(name.startswith("ml.prediction") for name in by_name)
    json.loads(window_record(evaluation, 0.05).details)


def test_one_replica_or_64_find_the_same(baseline):
    """In any order, but for the rounding of floats on the wire."""
    values = people(6_400, 2, correlation=0.5)
    sent = payloads(baseline, np.split(values, 64))

    (whole,) = [joint_of(evaluated(baseline, served(baseline, values)))]
    for order in (sent, sent[::-1]):
        merged = joint_of(evaluated(baseline, window_of(*order)))

        assert merged.counters == whole.counters
        for one, many in zip(whole.scores, merged.scores, strict=True):
            assert many.score == pytest.approx(one.score, rel=1e-4, abs=1e-5)
            assert many.p_value == pytest.approx(one.p_value, rel=1e-2, abs=1e-12)


def test_servers_with_another_baseline_are_told_and_not_compared(baseline):
    """What was standardised otherwise would show drift where there is none."""
    other = baseline_of(people(20_000, 7, shift=3.0))

    evaluation = evaluated(baseline, served(other, people(ROWS, 2)))

    assert joint_of(evaluation) is None
    assert evaluation.joint_insufficient == "the servers have another baseline"
    assert evaluation.outcome == "evaluated"


def test_while_servers_change_their_baseline_those_that_have_it_are_compared(baseline):
    """Moments of the others are beside and not among them."""
    other = baseline_of(people(20_000, 7, shift=3.0))
    sent = payloads(baseline, [people(ROWS, 2)]) + payloads(other, [people(ROWS, 3, correlation=0.0)])

    evaluation = evaluated(baseline, window_of(*sent))

    assert joint_of(evaluation).n_current == ROWS
    assert evaluation.joint_insufficient is None
    assert ("together", CORRELATION_DRIFT) not in breaches(evaluation)


def test_a_baseline_of_an_earlier_version_compares_columns_only(baseline):
    """And says why there is no more."""
    earlier = dataclasses.replace(baseline, joint=None)

    evaluation = evaluated(earlier, served(baseline, people(ROWS, 2)))

    assert joint_of(evaluation) is None
    assert "build it anew" in evaluation.joint_insufficient
    assert all(feature.checks for feature in evaluation.features)


def test_servers_that_know_no_baseline_send_none_and_that_is_no_matter(baseline):
    """Columns are compared as ever."""
    evaluation = evaluated(baseline, served(None, people(ROWS, 2)))

    assert (joint_of(evaluation), evaluation.joint_insufficient) == (None, None)


def test_too_few_complete_rows_conclude_nothing(baseline):
    """A feature that is missing from nearly all rows is told as missing; correlations are not guessed."""
    values = people(ROWS, 2, correlation=0.0)
    values[100:, 2] = np.nan

    evaluation = evaluated(baseline, served(baseline, values))

    assert joint_of(evaluation).checks == []
    assert evaluation.joint_insufficient == "100 of 2000 rows have all features (at least 200)"


def test_a_model_without_a_baseline_has_columns_only(baseline):
    """Nobody knows what the numbers together would mean."""
    evaluation = evaluator().evaluate(served(baseline, people(ROWS, 2)))

    assert (evaluation.outcome, joint_of(evaluation)) == ("no_baseline", None)


def hostile(key, dimensions, count=500):
    summary = EmbeddingSummary.anchored(None, dimensions)
    summary.add(np.random.default_rng(1).normal(size=(count, dimensions)))
    return FeatureSummary(key, summary, Counters(count))


@pytest.mark.parametrize("dimensions", [1, 3, 64])
def test_vectors_of_a_length_that_cannot_be_are_told(baseline, dimensions):
    """Under the baseline's own hash, from anybody."""
    window = Window(MODEL, START, START + MINUTE, rows=ROWS)
    summary = hostile(baseline.joint.layout.key, dimensions)
    window.unbinned[summary.key, summary.kind] = summary

    evaluation = evaluated(baseline, window)

    assert joint_of(evaluation).checks == []
    assert evaluation.joint_insufficient == f"vectors of {dimensions} features (4)"


@pytest.mark.parametrize("name", ["", "correlations", "0" * 16, "amount"])
def test_a_name_of_no_layout_is_another_baseline(baseline, name):
    """Whatever it says."""
    window = Window(MODEL, START, START + MINUTE, rows=ROWS)
    summary = hostile(FeatureKey(FeatureRole.JOINT, name), 4)
    window.unbinned[summary.key, summary.kind] = summary

    evaluation = evaluated(baseline, window)

    assert joint_of(evaluation) is None
    assert evaluation.joint_insufficient == "the servers have another baseline"


def _as_numbers(feature):
    feature.kind = pb.KIND_OPAQUE
    feature.ClearField("embedding")


def _with_norms(feature):
    feature.embedding.norms.moments.count = feature.counters.rows


def _of_too_few_numbers(feature):
    del feature.embedding.scatter[0]


@pytest.mark.parametrize("change", [_as_numbers, _with_norms, _of_too_few_numbers])
def test_what_contradicts_itself_is_refused(baseline, change):
    """By name, and before anything is merged."""
    message = pb.Snapshot.FromString(payloads(baseline, [people(ROWS, 2)])[0])
    change(next(feature for feature in message.features if feature.role == pb.ROLE_JOINT))

    with pytest.raises(CorruptSnapshotError):
        codec.decode(message.SerializeToString())


def reference_of(window, name):
    columns = columns_of(window.parts, window.rows, {})
    return NamedReference(name, "some time", window.rows, columns=columns)


def test_a_season_that_is_known_overrules_the_baseline(baseline):
    """At night, features may go together in another way than on the average of a day."""
    night = people(ROWS, 2, correlation=0.5)
    yesterday, other = (people(ROWS, 3, correlation=of) for of in (0.5, 0.8))

    alone, usual, unusual = (
        evaluated(baseline, served(baseline, night), *references)
        for references in (
            (),
            (reference_of(served(baseline, yesterday), "last_day"),),
            (reference_of(served(baseline, other), "last_day"),),
        )
    )

    assert breaches(alone) == breaches(unusual) == {("together", CORRELATION_DRIFT)}
    assert breaches(usual) == set()
    assert joint_of(usual).checks[0].overruled_by == ("last_day",)


def test_what_adds_up_over_a_day_is_found(baseline):
    """By the merged windows of a whole day, a share of the threshold is enough."""
    window, day = (served(baseline, people(rows, 2, correlation=0.74)) for rows in (ROWS, 50_000))

    evaluation = evaluated(baseline, window, rollup=day)

    assert breaches(evaluation) == {("together", GRADUAL_CORRELATION_DRIFT)}


def test_another_method_can_decide(baseline):
    """Of those that tell how features vary together."""
    window = served(baseline, people(ROWS, 2, correlation=0.0))

    evaluation = evaluated(baseline, window, decide_by={"joint": "covariance"})

    assert [check.method for check in joint_of(evaluation).checks] == ["covariance"]
    with pytest.raises(ValueError, match="joint"):
        DriftSettings.model_validate({"decide_by": {"joint": "psi"}})


def test_an_alert_outlives_the_baseline_it_began_with(baseline):
    """It resolves by the next one: its subject is not the layout."""
    book = AlertBook(DriftSettings().alerts)
    judge = evaluator(baseline)
    for seed in (2, 3):
        book.observe(judge.evaluate(served(baseline, people(ROWS, seed, correlation=0.0))))
    rebuilt = baseline_of(people(20_000, 9, correlation=0.0))
    judge = evaluator(rebuilt)

    resolved = [
        transition
        for seed in (4, 5)
        for transition in book.observe(judge.evaluate(served(rebuilt, people(ROWS, seed, correlation=0.0))))
    ]

    assert [(transition.key.check, transition.state.name) for transition in resolved] == [(CORRELATION_DRIFT, "QUIET")]

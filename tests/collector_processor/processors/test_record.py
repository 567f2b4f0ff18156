"""What is kept of a window for people to look at."""

import json
import math

import numpy as np
import pytest
from processor_samples import MINUTE, MODEL, START
from reference_samples import AMOUNT

from collector_processor.component import Severity
from collector_processor.history import Column, Flag, Subject, WindowLine
from collector_processor.processors import report
from collector_processor.processors.alerts import AlertKey, AlertState, Transition
from collector_processor.processors.common_changes import SUBJECT, Told
from collector_processor.processors.evaluation import Check, FeatureEvaluation, WindowEvaluation
from collector_processor.processors.evaluation.findings import Rank
from collector_processor.processors.evaluation.shapes import Shape
from collector_processor.processors.record import alert_record, subject_of, window_record
from collector_processor.processors.series.alarms import alarm_event
from collector_processor.processors.series.concept import ConceptAlarm
from otel_ml.drawing.frame import frame_of
from otel_ml.drift.classifier import ClassifierResult
from otel_ml.drift.detector import DriftResult
from otel_ml.drift.explanation import Attribution, MovedCell
from otel_ml.drift.labels import LabelShift
from otel_ml.drift.labels.shift import LabelShare
from otel_ml.drift.quality import DataQuality, QualityRatio
from otel_ml.sketch.calls import CallSummary
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.snapshot import Segment

ALPHA = 0.05
END = START + 5 * MINUTE
CORRELATIONS = FeatureKey(FeatureRole.JOINT, "0123456789abcdef")
CLASSIFIER = FeatureKey(FeatureRole.JOINT, "classifier")
CLASS = FeatureKey(FeatureRole.PREDICTION, "class")
NORWAY = Segment("country", "NO")


def check(name="drift", score=0.31, *, is_big=True, q_value=1e-6, **changes):
    method = "increase" if name == "missing" else "psi"
    return Check(name, method, score, 0.2, is_big, q_value, 1_000, q_value=q_value, **changes)


def column(*checks, key=AMOUNT, kind=FeatureKind.NUMERIC, **changes):
    counters = changes.pop("counters", Counters(rows=1_000, missing=100))
    return FeatureEvaluation(key, kind, counters, 1_000, checks=checks, **changes)


def window(*features, **changes):
    given = {"baseline_id": "ab12cd34", "outcome": "evaluated", "is_partial": False, **changes}
    return WindowEvaluation(MODEL, START, END, 1_000, features=features, **given)


def flags(evaluation, firing=()):
    return [Flag(found) for found in window_record(evaluation, ALPHA, firing=firing).figures["flags"].tolist()]


def details(evaluation):
    """Read as strictly as a browser does, which knows no NaN."""

    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(window_record(evaluation, ALPHA).details, parse_constant=refuse)


def transition(evaluation, key=AMOUNT, name="drift", state=AlertState.FIRING, segment=None):
    (feature,) = evaluation.features
    return Transition(
        AlertKey(MODEL, key, name, segment), state, feature.checks[0], feature, evaluation, "psi 0.31 > 0.2"
    )


def told_of(found, key=AMOUNT):
    """What the first event of a transition told."""
    event = report.events(found, START)[0]
    return alert_record(event, MODEL, found.key.segment, key)


def test_a_window_is_one_line():
    """Whose it was, when, how large, and how many of its features drifted."""
    quiet = column(check(is_big=False), key=FeatureKey(FeatureRole.FEATURE, "age"))

    record = window_record(window(column(check()), quiet, producers={"d1": 2}, revision=1), ALPHA)

    assert record.subject == Subject("fraud", "3", "")
    assert record.line == WindowLine(START, END, 1_000, "evaluated", "ab12cd34", 1, 2, {"d1": 2}, None, revision=1)


def test_a_segment_is_named_by_its_dimension_and_value():
    """As pages and addresses name it."""
    assert subject_of(MODEL, NORWAY) == Subject("fraud", "3", "country=NO")
    assert subject_of(MODEL, Segment("country", "")) == Subject("fraud", "3", "country=")
    assert subject_of(MODEL, None) == Subject("fraud", "3", "")


def test_columns_have_the_importance_that_the_model_gives_them():
    """Features alone: a prediction that is named like one has none of it."""
    prediction = FeatureKey(FeatureRole.PREDICTION, "amount")

    record = window_record(window(column(), column(key=prediction)), ALPHA, importances={"amount": 3.0})

    assert record.columns == [
        Column("feature", "amount", "numeric", 3.0),
        Column("prediction", "amount", "numeric", 1.0),
    ]


def test_columns_together_have_the_name_of_their_alerts():
    """Whichever baseline puts them together, it is the same line in the picture."""
    together = column(check("correlation_drift"), key=CORRELATIONS, kind=FeatureKind.EMBEDDING)

    record = window_record(window(together), ALPHA)

    assert record.columns[0][:2] == ("joint", "correlations")
    assert json.loads(record.details)["features"][0]["name"] == "correlations"
    assert record.figures["score"].tolist() == pytest.approx([0.31])
    assert flags(window(together)) == [Flag.BREACH]


def test_the_question_of_drift_decides_over_those_that_look_further_back():
    """And that over what was measured without a question."""
    scores = [DriftResult("ks", 0.9, 0.1, None, 10, 10)]
    both = column(check("gradual_drift", 0.5), check("drift", 0.31), scores=scores)
    further_back = column(check("gradual_drift", 0.5), scores=scores)
    slice_of = column(scores=scores)
    nothing = column(check("missing", 0.7))

    figures = window_record(window(both, further_back, slice_of, nothing), ALPHA).figures

    assert figures["score"].tolist() == pytest.approx([0.31, 0.5, 0.9, math.nan], nan_ok=True)
    assert figures["threshold"].tolist() == pytest.approx([0.2, 0.2, 0.1, math.nan], nan_ok=True)
    assert figures["log_q"].tolist() == pytest.approx([-6, -6, math.nan, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("q_value", "kept"),
    [(1.0, 0.0), (0.01, -2.0), (0.0, -99.0), (5e-324, -99.0), (None, math.nan), (math.nan, math.nan)],
)
def test_q_values_are_kept_as_far_as_anybody_cares(q_value, kept):
    """One of 0 is tiny; where nothing was tested there is none."""
    figures = window_record(window(column(check(q_value=q_value))), ALPHA).figures

    assert figures["log_q"].tolist() == pytest.approx([kept], abs=0.01, nan_ok=True)


@pytest.mark.parametrize(("score", "kept"), [(math.inf, math.inf), (1e300, math.inf), (math.nan, math.nan)])
def test_scores_without_a_number_are_kept_as_such(score, kept):
    """What four bytes cannot hold is infinite in them."""
    figures = window_record(window(column(check(score=score))), ALPHA).figures

    assert figures["score"].tolist() == pytest.approx([kept], nan_ok=True)


def test_shares_of_bad_values_are_kept_and_those_nobody_asked_for_are_not_0():
    """A tenth is missing; without a reference nothing is out of range or in it."""
    figures = window_record(window(column()), ALPHA).figures

    assert figures["missing"].tolist() == pytest.approx([0.1], rel=1e-3)
    assert figures["type_mismatch"].tolist() == [0.0]
    assert np.isnan(figures["out_of_range"]).all()
    assert figures["rows"].tolist() == [1_000]


def test_measured_quality_is_what_is_kept():
    """Of a column that the baseline knows, all that was measured against it."""
    nothing = QualityRatio(0, 1_000, 0, 1_000, 1.0)
    quality = DataQuality(missing=nothing, out_of_range=QualityRatio(250, 1_000, 0, 1_000, 0.0))

    figures = window_record(window(column(quality=quality)), ALPHA).figures

    assert figures["missing"].tolist() == [0.0]
    assert figures["out_of_range"].tolist() == [0.25]
    assert np.isnan(figures["unseen_category"]).all()


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([check()], Flag.BREACH),
        ([check(is_big=False)], Flag(0)),
        ([check(q_value=0.5)], Flag(0)),
        ([check(overruled_by=("yesterday",))], Flag(0)),
        ([check("missing")], Flag.BAD_VALUES),
        ([check("slow_drift"), check("unseen_category")], Flag.BREACH | Flag.BAD_VALUES),
        ([check("label_shift")], Flag(0)),
    ],
)
def test_what_a_window_breaches_is_flagged(checks, expected):
    """Drift and bad values apart; what is small, chance or usual is none."""
    assert flags(window(column(*checks))) == [expected]


def test_alerts_that_fire_are_flagged_at_their_own_column():
    """Those of others, or of other checks, are not."""
    other = FeatureKey(FeatureRole.FEATURE, "age")
    evaluation = window(column(check(is_big=False), check("missing", is_big=False)), column(check(), key=other))

    found = flags(evaluation, [AlertKey(MODEL, AMOUNT, "drift"), AlertKey(MODEL, other, "missing")])

    assert found == [Flag.FIRING, Flag.BREACH | Flag.BAD_VALUES_FIRING]


def test_an_alert_goes_on_in_a_window_that_is_too_small_to_ask_its_question():
    """It fires until somebody finds that things are well again."""
    evaluation = window(column(), outcome="insufficient_rows")

    assert flags(evaluation, [AlertKey(MODEL, AMOUNT, "drift")]) == [Flag.FIRING]


def test_alerts_about_columns_together_are_flagged_at_these():
    """They are known by the name that no baseline changes."""
    evaluation = window(column(key=CORRELATIONS, kind=FeatureKind.EMBEDDING))
    key = AlertKey(MODEL, FeatureKey(FeatureRole.JOINT, "correlations"), "correlation_drift")

    assert flags(evaluation, [key]) == [Flag.FIRING]


def test_a_window_on_whose_occasion_something_was_told_is_notable():
    """Its details are kept as long as itself."""
    evaluation = window(column(check()))
    alert = told_of(transition(evaluation))

    assert window_record(evaluation, ALPHA, alerts=[alert]).is_notable
    assert not window_record(evaluation, ALPHA).is_notable


def test_shapes_are_kept_with_the_frames_that_they_are_drawn_in():
    """And none is kept of a column that has none."""
    frame = frame_of(CategoricalDistribution({"NO": 60, "SE": 40}))
    shape = Shape(frame, np.array([0.5, 0.5, 0.0]))

    record = window_record(window(column(shape=shape), column(key=CLASS)), ALPHA)

    assert record.frames == [frame, None]
    assert record.shapes[0] is shape.shares
    assert record.shapes[1] is None


def test_details_lead_to_calls_worth_a_look():
    """By trace, with the seconds they took; a window nobody told of calls has none."""
    calls = CallSummary(9, exemplars=[Exemplar(ExemplarReason.SLOWEST, 0xAB, 1, START, "", 2.5)])

    found = details(window(calls=calls))["calls"]

    assert found == [
        {
            "reason": "slowest",
            "trace_id": f"{0xAB:032x}",
            "prediction_id": "",
            "time_unix_nano": START,
            "duration_s": 2.5,
        }
    ]
    assert details(window())["calls"] == []


def test_details_tell_everything_that_was_found_out():
    """Scores of all detectors, against all references; what moved, why, and who to ask."""
    exemplars = [
        Exemplar(ExemplarReason.LARGEST, 0xAB, 1, START, "id-1", 9.5),
        Exemplar(ExemplarReason.MISSING, 0, 0, START),
    ]
    labels = LabelShift({"fraud": LabelShare(0.1, 0.2, 0.15, 0.25)}, 0.1, 0.01, False, None, 100, 100, 0)
    feature = column(
        check(method_reason="many values"),
        key=CLASS,
        scores=[DriftResult("psi", 0.31, 0.2, 1e-9, 10, 10)],
        elsewhere={"yesterday": [DriftResult("psi", 0.01, 0.2, 0.5, 10, 10)]},
        moved=[MovedCell("NO", 0.6, 0.3, 0.8)],
        effect=0.5,
        rank=Rank(1, 3),
        attribution=Attribution({"amount": 0.7}, 0.3),
        labels=labels,
        exemplars=exemplars,
    )

    (found,) = details(window(feature))["features"]

    assert found["drift"] == {"psi": {"score": 0.31, "threshold": 0.2, "p_value": 1e-9}}
    assert found["elsewhere"]["yesterday"]["psi"]["score"] == 0.01
    assert found["moved"] == ["NO: 60.0% → 30.0%"]
    assert (found["effect"], found["rank"]) == (0.5, 1)
    assert found["attribution"] == {"shares": {"amount": 0.7}, "unexplained": 0.3}
    assert found["labels"] == {"score": 0.1, "shares": {"fraud": [0.2, 0.15, 0.25]}}
    assert [exemplar["trace_id"] for exemplar in found["exemplars"]] == [f"{0xAB:032x}", ""]
    assert [exemplar["reason"] for exemplar in found["exemplars"]] == ["largest", "missing"]
    assert found["checks"]["drift"]["method_reason"] == "many values"


@pytest.mark.parametrize(("q_value", "breaches"), [(1e-6, True), (0.5, False)])
def test_details_tell_which_checks_breach(q_value, breaches):
    """At the level that counted then, whatever it is when somebody looks."""
    (found,) = details(window(column(check(q_value=q_value, level=1e-3))))["features"]

    assert found["checks"]["drift"]["breaches"] is breaches
    assert found["checks"]["drift"]["level"] == 1e-3


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_details_are_json_whatever_was_measured(value):
    """What is no number is nothing there."""
    feature = column(
        check(score=value, q_value=math.nan),
        scores=[DriftResult("psi", value, value, value, 10, 10)],
        effect=value,
        moved=[MovedCell("mean", value, value, 1.0, is_share=False)],
        attribution=Attribution({"amount": value}, value),
    )

    found = details(window(feature, classification=ClassifierResult(value, value, {"amount": value}, 10, 10)))

    assert found["classification"] == {"auc": None, "p_value": None, "importances": {"amount": None}}
    assert found["features"][0]["drift"] == {"psi": {"score": None, "threshold": None, "p_value": None}}
    assert found["features"][0]["effect"] is None


def test_names_stay_what_they_are():
    """Quotes, tags and line breaks are text."""
    name = '<script>"\n\N{PARROT}\0'

    record = window_record(window(column(key=FeatureKey(FeatureRole.FEATURE, name))), ALPHA)

    assert record.columns[0].name == name
    assert json.loads(record.details)["features"][0]["name"] == name


def test_an_alert_of_a_column_is_told_in_its_own_words():
    """When it fires, and when it is over, at the end of the window that said so."""
    evaluation = window(column(check(), moved=[MovedCell("NO", 0.6, 0.3, 0.8)]))
    fires = told_of(transition(evaluation))
    resolves = told_of(transition(evaluation, state=AlertState.QUIET))

    assert (fires.subject, fires.check, fires.role, fires.column) == (
        Subject("fraud", "3"),
        "drift",
        "feature",
        "amount",
    )
    assert (fires.state, fires.sentence, fires.time_unix_nano) == ("firing", "psi 0.31 > 0.2", END)
    assert fires.attributes["ml.drift.moved"] == ("NO: 60.0% → 30.0%",)
    assert (resolves.state, resolves.column) == ("resolved", "amount")


def test_an_alert_of_a_segment_is_the_segments():
    """Not of the whole model."""
    evaluation = window(column(check("canary_drift")), segment=NORWAY)
    told = told_of(transition(evaluation, name="canary_drift", segment=NORWAY))

    assert told.subject == Subject("fraud", "3", "country=NO")
    assert told.check == "canary_drift"


@pytest.mark.parametrize(("key", "name"), [(CORRELATIONS, "correlation_drift"), (CLASSIFIER, "classifier_drift")])
def test_an_alert_of_columns_together_is_of_no_single_one(key, name):
    """Their key means nothing to anybody."""
    evaluation = window(column(check(name), key=key, kind=FeatureKind.EMBEDDING))
    told = told_of(transition(evaluation, key, name), key)

    assert (told.check, told.role, told.column) == (name, "", "")


def test_a_change_that_features_have_in_common_is_of_the_model():
    """It names them itself."""
    event = report.common_change_event(Told(MODEL, True, ("amount", "age"), "why", window(column())), START)
    told = alert_record(event, MODEL)

    assert (told.check, told.role, told.column, told.state) == ("common_change", "", "", "firing")
    assert told.attributes["ml.alert.features"] == ("amount", "age")


def test_a_change_of_which_no_window_tells_any_more_ended_when_that_was_told():
    """There is no window of which it could be said."""
    event = report.common_change_event(Told(MODEL, False, ("amount", "age"), "why"), START)
    told = alert_record(event, MODEL)

    assert (told.check, told.state, told.time_unix_nano) == ("common_change", "resolved", START)
    assert event.severity is Severity.INFO


def test_what_fires_after_a_window_is_named_as_what_was_told():
    """So that the history can tell which of its alerts are no longer true."""
    keys = [AlertKey(MODEL, AMOUNT, "drift"), AlertKey(MODEL, SUBJECT, "common_change")]

    record = window_record(window(column()), ALPHA, firing=keys)

    assert record.firing == [("drift", "feature", "amount"), ("common_change", "", "")]


def test_a_series_that_changed_is_told_once():
    """Nothing fires that could resolve: it only happened."""
    event = alarm_event(ConceptAlarm(window(column()), CLASS, "adwin", "mean", 0.7), START)
    told = alert_record(event, MODEL, None, CLASS)

    assert (told.check, told.role, told.column, told.state) == ("mean", "prediction", "class", "told")
    assert "adwin found it at 0.7" in told.sentence

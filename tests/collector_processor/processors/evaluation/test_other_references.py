"""Vectors, segments and deployments against references other than the baseline."""

import numpy as np
import pytest
from drift_samples import text_window
from processor_samples import MODEL, categorical, numeric
from reference_samples import AMOUNT, DAY, HOUR, MONDAY, closed
from vector_samples import over_the_wire

from collector_processor.processors import report
from collector_processor.processors.evaluation import CANARY_DRIFT, DRIFT, GRADUAL_DRIFT, Evaluator
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.kept import KeptWindow, merge
from collector_processor.processors.references.named import NamedReferences
from collector_processor.processors.settings import DriftSettings
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.summary import FeatureSummary

ALPHA = DriftSettings().alerts.alpha
MEANING = FeatureKey(FeatureRole.FEATURE, "meaning")
DIMENSIONS = 8
ROWS = 1_000
CANARY = ModelKey(MODEL.name, "4")
OLD, NEW, NORWAY = Segment("service.version", "1.4"), Segment("service.version", "1.5"), Segment("country", "NO")


class Service:
    """History, references and evaluator as the processor wires them."""

    def __init__(self, *baselines, **references):
        settings = DriftSettings.model_validate({"references": references, "window": "1h"})
        found = References(baselines)
        self.history = WindowHistory(settings.references, settings.window)
        self.named = NamedReferences(settings.references, self.history, found.find, settings.min_rows)
        self.evaluator = Evaluator(
            found,
            {name: create(name) for name in settings.detectors},
            settings.decide_by,
            settings.quality,
            settings.min_rows,
            settings.rule,
            deployments=settings.references.stable.dimension,
        )

    def evaluate(self, *windows):
        """Evaluations of windows that close together."""
        for window in windows:
            self.history.remember(window)
        return [self.evaluator.evaluate(window, self.named.of(window), self.named.rollup(window)) for window in windows]


def directions(number, rows, *, turned=0.0, seed=0):
    """Vectors of length 1 that point elsewhere at night, and by an angle elsewhere where they are turned."""
    random = np.random.default_rng([number, seed, rows])
    mean = np.zeros(DIMENSIONS)
    mean[0 if number % 24 < 12 else 1] = 2.0 * np.cos(turned)
    mean[2] = 2.0 * np.sin(turned)
    vectors = random.normal(mean, 1.0, (rows, DIMENSIONS))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def meaning(number, rows=ROWS, layout=None, **changes):
    """The column of an hour, as a processor decodes it."""
    content = EmbeddingSummary.anchored(layout)
    content.update(directions(number, rows, **changes))
    return FeatureSummary(MEANING, over_the_wire(content), Counters(rows=rows))


def hour(number, *, model=MODEL, layout=None, **changes):
    return closed(
        MONDAY + number * HOUR, meaning(number, layout=layout, seed=int(model.version), **changes), model=model
    )


def amount(number, *, mean=0.0, segment=None, model=MODEL, rows=ROWS, missing=0):
    values = np.random.default_rng([number, rows, len(str(segment))]).normal(mean, 1.0, rows)
    return closed(
        MONDAY + number * HOUR,
        numeric("amount", values, missing=missing),
        categorical("color", {"red": rows // 2, "blue": rows - rows // 2 + missing}),
        segment=segment,
        model=model,
    )


@pytest.fixture(scope="module")
def baseline():
    """Days and nights in equal parts."""
    vectors = np.concatenate([directions(0, 5_000), directions(12, 5_000)])
    return Baseline.build({"meaning": list(vectors)}, model=MODEL.name, version=MODEL.version)


@pytest.fixture(scope="module")
def amounts():
    """Normal amounts, and two colors."""
    random = np.random.default_rng(7)
    data = {"amount": random.normal(size=10_000), "color": random.choice(["red", "blue"], 10_000)}
    return Baseline.build(data, model=MODEL.name, version=MODEL.version)


def feature(evaluation, key=MEANING):
    (found,) = [feature for feature in evaluation.features if feature.key == key]
    return found


def check(evaluation, name, key=MEANING):
    found = [check for check in feature(evaluation, key).checks if check.name == name]
    return found[0] if found else None


def test_vectors_that_are_usual_for_the_hour_are_no_alarm(baseline):
    """On the first day a night is unlike the average; on the second it is like the first."""
    service = Service(baseline)
    layout = baseline.layout(MEANING)

    days = [[service.evaluate(hour(24 * day + at, layout=layout))[0] for at in range(24)] for day in range(2)]

    first, second = ([check(evaluation, DRIFT) for evaluation in day] for day in days)
    assert all(found.method == "mahalanobis" and found.breaches(ALPHA) for found in first)
    assert not any(found.breaches(ALPHA) for found in second)
    assert {found.overruled_by for found in second} == {("last_day",)}


@pytest.mark.parametrize(
    ("settings", "back"),
    [({}, 24), ({"last_day": False}, 7 * 24), ({"last_day": False, "last_week": False, "trailing": 1}, 1)],
    ids=["last_day", "last_week", "trailing"],
)
def test_turned_vectors_drift_from_every_reference_without_a_baseline_too(settings, back, request):
    """Their lengths are what they were; of the methods for vectors only the deciding one is asked."""
    service = Service(**settings)
    reference = request.node.callspec.id
    service.evaluate(hour(5))

    (clean,) = service.evaluate(hour(5 + back))
    service = Service(**settings)
    service.evaluate(hour(5))
    (turned,) = service.evaluate(hour(5 + back, turned=0.5))

    assert [result.method for result in feature(clean).elsewhere[reference]] == ["mahalanobis"]
    assert check(clean, DRIFT).reference == check(turned, DRIFT).reference == reference
    assert not check(clean, DRIFT).breaches(ALPHA)
    assert check(turned, DRIFT).breaches(ALPHA)


def test_drift_of_vectors_is_confirmed_by_the_season(baseline):
    """Unlike the baseline, and unlike yesterday: an alarm that tomorrow must not take for an example."""
    service = Service(baseline)
    service.evaluate(hour(5))

    (evaluation,) = service.evaluate(hour(29, turned=0.5))

    found = check(evaluation, DRIFT)
    assert (found.reference, found.is_confirmed, found.overruled_by) == ("baseline", True, ())
    assert found.breaches(ALPHA)
    assert evaluation.confirmed == [MEANING]


def test_a_canary_whose_vectors_are_turned_is_told_from_the_stable_version():
    """In the same hour, whatever hour it is; a canary that embeds alike is not."""
    service = Service(last_day=False, last_week=False)
    service.evaluate(hour(0))

    stable, clean = service.evaluate(hour(13), hour(13, model=CANARY))
    _, turned = service.evaluate(hour(14), hour(14, model=CANARY, turned=0.5))

    assert check(stable, CANARY_DRIFT) is None
    assert not check(clean, CANARY_DRIFT).breaches(ALPHA)
    assert check(turned, CANARY_DRIFT).method == "mahalanobis"
    assert check(turned, CANARY_DRIFT).breaches(ALPHA)


def test_texts_of_other_words_drift_from_yesterday_and_from_the_stable_version():
    """Of the same lengths: like vectors, they are compared by all that their summaries hold."""
    words = {"usual": ["red", "blue", "gray", "pink", "teal"], "other": ["cat", "bird", "wolf", "lynx", "crow"]}

    def note(number, wording="usual", model=MODEL):
        random = np.random.default_rng([number, int(model.version)])
        column = text_window([" ".join(random.choice(words[wording], 8)) for _ in range(ROWS)])
        column.key = MEANING
        return closed(MONDAY + number * HOUR, column, model=model)

    service = Service()
    service.evaluate(note(5))
    (usual,) = service.evaluate(note(29))
    _, canary = service.evaluate(note(30), note(30, "other", model=CANARY))
    service = Service()
    service.evaluate(note(5))
    (other,) = service.evaluate(note(29, "other"))

    assert not check(usual, DRIFT).breaches(ALPHA)
    for found in (check(other, DRIFT), check(canary, CANARY_DRIFT)):
        assert found.method == "content"
        assert found.breaches(ALPHA)


def test_vectors_that_turn_slowly_show_on_the_roll_up_of_a_day(baseline):
    """Each hour is as yesterday's, and the day is not as the training data; days that stay are."""
    judged = {}
    for speed in (0.0, 0.05):
        service = Service(baseline)
        for number in range(24 * 6):
            (evaluation,) = service.evaluate(
                hour(number, layout=baseline.layout(MEANING), turned=speed * (number // 24))
            )
        judged[speed] = check(evaluation, GRADUAL_DRIFT)
        assert not check(evaluation, DRIFT).breaches(ALPHA)

    assert {found.method for found in judged.values()} == {"mahalanobis"}
    assert not judged[0.0].breaches(ALPHA)
    assert judged[0.05].breaches(ALPHA)


def test_vectors_are_compared_where_their_lengths_cannot_be(baseline):
    """A server that counts lengths in bins of a baseline nobody has here sends the same vectors."""
    unknown = BinLayout(np.array([0.25, 0.5, 0.75]))
    service = Service(baseline, last_day=False, last_week=False)

    (usual,) = service.evaluate(hour(0, layout=unknown, rows=4_000))
    (turned,) = service.evaluate(hour(1, layout=unknown, turned=1.5))

    assert {"mahalanobis", "covariance"} <= {result.method for result in feature(usual).scores}
    assert not {"psi", "ks"} & {result.method for result in feature(usual).scores}
    assert check(turned, DRIFT).score > check(usual, DRIFT).score
    assert check(turned, DRIFT).breaches(ALPHA)


def test_too_few_vectors_are_compared_with_nothing():
    """Though the window has rows enough."""
    service = Service()
    few = closed(MONDAY + DAY, meaning(0, rows=20), rows=ROWS)
    service.evaluate(hour(0))

    (evaluation,) = service.evaluate(few)

    assert feature(evaluation).elsewhere == {}
    assert feature(evaluation).checks == []


def test_kept_windows_hold_all_of_the_vectors_sums():
    """To the precision of the wire, over and over; and merged what all vectors together would have given."""
    layout = Baseline.build({"meaning": list(directions(0, 500))}, model="m").features[MEANING].content.projected.layout
    content = EmbeddingSummary.anchored(None, projections=layout)
    content.update(directions(0, 900))
    window = closed(MONDAY, FeatureSummary(MEANING, content, Counters(rows=900)))
    halves = []
    for part in np.split(directions(0, 900), [300]):
        half = EmbeddingSummary.anchored(None, projections=layout)
        half.update(part)
        halves.append(KeptWindow.of(closed(MONDAY, FeatureSummary(MEANING, half, Counters(rows=len(part))))))

    again = merge([merge([KeptWindow.of(window)]).kept(MONDAY, MONDAY + HOUR)])
    merged = merge(halves)

    for found in (again, merged):
        kept = found.parts[MEANING, FeatureKind.EMBEDDING].content
        assert (kept.count, kept.dimensions, kept.norms.count) == (900, DIMENSIONS, 900)
        np.testing.assert_allclose(kept.mean(), content.mean(), atol=1e-6)
        np.testing.assert_allclose(kept.scatter(), content.scatter(), rtol=1e-5, atol=1e-3)
        np.testing.assert_allclose(kept.radial_moments()[1], content.radial_moments()[1], rtol=1e-4)
        assert kept.projected.count == 900
        np.testing.assert_array_equal(kept.projected.counts, content.projected.counts)
        np.testing.assert_allclose(kept.projected.waves, content.projected.waves, rtol=1e-4, atol=1e-3)


def test_segments_are_measured_against_their_own_past_and_raise_no_alarm(amounts):
    """Norway today is compared with Norway yesterday; and a version that reads it otherwise is a canary."""
    service = Service(amounts, segments=True)
    service.evaluate(amount(5, segment=NORWAY), amount(5))

    (moved,) = service.evaluate(amount(29, mean=3.0, segment=NORWAY))
    _, canary = service.evaluate(amount(30, segment=NORWAY), amount(30, mean=3.0, segment=NORWAY, model=CANARY))

    (result,) = feature(moved, AMOUNT).elsewhere["last_day"]
    assert result.drifted
    assert [found for found in feature(moved, AMOUNT).checks if found.name in (DRIFT, CANARY_DRIFT)] == []
    gauges = [
        gauge.attributes
        for gauge in report.measurements(moved, ALPHA)
        if gauge.attributes.get("ml.drift.reference") == "last_day"
    ]
    assert {gauge["ml.segment.value"] for gauge in gauges} == {"NO"}
    assert check(canary, CANARY_DRIFT, AMOUNT).breaches(ALPHA)


def test_a_deployment_is_compared_with_the_stable_one_and_raises_no_other_alarm(amounts):
    """Measured against the baseline like the whole, which raises the alarms about that."""
    service = Service(amounts, stable={"dimension": "service.version"})
    service.evaluate(amount(0), amount(0, segment=OLD))
    windows = {
        None: amount(1, mean=1.0, missing=500),
        OLD: amount(1, segment=OLD, missing=500),
        NEW: amount(1, mean=2.0, segment=NEW, missing=500),
    }

    whole, old, new = service.evaluate(*windows.values())

    assert {found.name for found in feature(whole, AMOUNT).checks} >= {DRIFT, "missing"}
    assert feature(old, AMOUNT).checks == []
    assert [found.name for found in feature(new, AMOUNT).checks] == [CANARY_DRIFT]
    assert check(new, CANARY_DRIFT, AMOUNT).breaches(ALPHA)
    assert not check(new, CANARY_DRIFT, FeatureKey(FeatureRole.FEATURE, "color")).breaches(ALPHA)
    assert all(feature(found, AMOUNT).scores for found in (old, new))
    (reference,) = new.references
    assert reference.description == "service.version '1.4' in the same window"


def test_two_deployments_with_the_same_shift_are_no_canary(amounts):
    """What comes from upstream reaches both: the whole drifts, and neither deployment from the other."""
    service = Service(amounts, stable={"dimension": "service.version"})
    service.evaluate(amount(0), amount(0, segment=OLD))

    whole, _, new = service.evaluate(
        amount(1, mean=2.0), amount(1, mean=2.0, segment=OLD), amount(1, mean=2.0, segment=NEW)
    )

    assert check(whole, DRIFT, AMOUNT).breaches(ALPHA)
    assert not check(new, CANARY_DRIFT, AMOUNT).breaches(ALPHA)


@pytest.mark.parametrize(("old_rows", "new_rows"), [(50, ROWS), (ROWS, 50)])
def test_deployments_with_hardly_any_rows_are_not_compared(old_rows, new_rows):
    """A pod that vanishes within minutes, or has just come, and it is said which."""
    service = Service(stable={"dimension": "service.version"})
    service.evaluate(amount(0, segment=OLD))

    _, new = service.evaluate(amount(1, segment=OLD, rows=old_rows), amount(1, mean=2.0, segment=NEW, rows=new_rows))

    assert feature(new, AMOUNT).checks == ()
    if old_rows < new_rows:
        assert new.references[0].insufficient == "service.version '1.4' has 50 rows (at least 200)"
    else:
        assert new.outcome == "insufficient_rows"

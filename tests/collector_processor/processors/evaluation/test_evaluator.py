"""What a closed window says, against every reference it has."""

import numpy as np
import pytest
from processor_samples import MODEL, categorical, numeric
from reference_samples import AMOUNT, DAY, HOUR, MONDAY, closed

from collector_processor.processors.evaluation import CANARY_DRIFT, DRIFT, GRADUAL_DRIFT, LABEL_SHIFT, Evaluator
from collector_processor.processors.references.baselines import References
from collector_processor.processors.references.history import WindowHistory
from collector_processor.processors.references.named import NamedReferences
from collector_processor.processors.settings import DriftSettings
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch.binned_columns import packed
from otel_ml.sketch.embedding import EmbeddingSummary
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.sketched_columns import packed_sketches
from otel_ml.sketch.summary import FeatureSummary

ROWS = 1_000
NIGHT = 3.0
ALPHA = DriftSettings().alerts.alpha


class Service:
    """History, references and evaluator as the processor wires them."""

    def __init__(self, *baselines, **references):
        settings = DriftSettings.model_validate({"references": references, "window": "1h"})
        found = References(baselines)
        detectors = {name: create(name) for name in settings.detectors}
        self.history = WindowHistory(settings.references, settings.window)
        self.named = NamedReferences(settings.references, self.history, found.find, settings.min_rows)
        self.evaluator = Evaluator(
            found,
            detectors,
            settings.decide_by,
            settings.quality,
            settings.min_rows,
            settings.rule,
        )

    def evaluate(self, *windows):
        """Evaluations of windows that close together."""
        for window in windows:
            self.history.remember(window)
        found = []
        for window in windows:
            evaluation = self.evaluator.evaluate(window, self.named.of(window), self.named.rollup(window))
            self.history.mark_drifted(window, evaluation.confirmed)
            found.append(evaluation)
        return found


@pytest.fixture(scope="module")
def baseline():
    """Days and nights in equal parts, and two categories."""
    random = np.random.default_rng(1)
    amount = np.concatenate([random.normal(0, 1, 5_000), random.normal(NIGHT, 1, 5_000)])
    color = random.choice(["red", "blue"], 10_000, p=[0.7, 0.3])
    return Baseline.build({"amount": amount, "color": color}, model=MODEL.name, version=MODEL.version)


def hour(number, *, shift=0.0, layout=None, model=MODEL, red=0.7, rows=ROWS):
    """An hour of a world with days and nights."""
    random = np.random.default_rng([number, int(model.version)])
    mean = (NIGHT if number % 24 >= 12 else 0.0) + shift
    colors = random.multinomial(rows, [red, 1 - red]).tolist()
    return closed(
        MONDAY + number * HOUR,
        numeric("amount", random.normal(mean, 1, rows), layout=layout),
        categorical("color", dict(zip(("red", "blue"), colors, strict=True))),
        model=model,
    )


def checks(evaluation, key=AMOUNT):
    (feature,) = [feature for feature in evaluation.features if feature.key == key]
    return {check.name: check for check in feature.checks}


def breaching(evaluation):
    return {
        (feature.key.name, check.name)
        for feature in evaluation.features
        for check in feature.checks
        if check.breaches(ALPHA)
    }


def test_a_night_is_unlike_the_average_and_no_alarm_once_nights_are_known(baseline):
    """The baseline alone calls every hour drift; yesterday's same hour overrules it."""
    service = Service(baseline)

    days = [[breaching(service.evaluate(hour(24 * day + at))[0]) for at in range(24)] for day in range(2)]

    assert all(("amount", DRIFT) in found for found in days[0])
    assert not any(("amount", DRIFT) in found for found in days[1])


def test_the_same_shift_is_found_once_its_season_is_known(baseline):
    """On the first day nobody knows whether a mild change is the hour's own; a strong one is beyond doubt."""
    service = Service(baseline)

    first_day = [
        ("color", DRIFT) in breaching(service.evaluate(hour(at, red=red))[0]) for at, red in ((1, 0.6), (2, 0.1))
    ]
    service.evaluate(hour(3))
    (later,) = service.evaluate(hour(27, red=0.6))

    assert first_day == [False, True]
    assert ("color", DRIFT) in breaching(later)


def test_what_overruled_the_baseline_is_told(baseline):
    """A score above its threshold that is no alarm needs a reason."""
    service = Service(baseline)
    service.evaluate(hour(13))

    (evaluation,) = service.evaluate(hour(37))

    check = checks(evaluation)[DRIFT]
    assert (check.is_big, check.reference, check.overruled_by) == (True, "baseline", ("last_day",))
    assert {reference.name: reference.insufficient is None for reference in evaluation.references} == {
        "baseline": True,
        "last_day": True,
        "last_week": False,
        "stable": False,
    }


def test_drift_that_the_season_does_not_explain_is_an_alarm(baseline):
    """Against the baseline and against yesterday's same hour; the score is the baseline's."""
    service = Service(baseline)
    service.evaluate(hour(13))

    (evaluation,) = service.evaluate(hour(37, shift=2.0))

    check = checks(evaluation)[DRIFT]
    assert check.breaches(ALPHA)
    assert check.is_confirmed
    assert evaluation.confirmed == [AMOUNT]


def test_the_canary_is_compared_with_the_stable_version_of_the_same_hour(baseline):
    """No baseline of its own needed, and no season in the way; the stable one has no canary alarm."""
    stable, canary = MODEL, ModelKey(MODEL.name, "4")
    service = Service(baseline)
    service.evaluate(hour(0))

    clean = service.evaluate(hour(1), hour(1, model=canary))
    shifted = service.evaluate(hour(2), hour(2, model=canary, shift=1.0))

    assert [evaluation.model for evaluation in shifted] == [stable, canary]
    assert not any(name == CANARY_DRIFT for evaluation in clean for _, name in breaching(evaluation))
    assert ("amount", CANARY_DRIFT) in breaching(shifted[1])
    assert checks(shifted[1])[CANARY_DRIFT].reference == "stable"
    assert CANARY_DRIFT not in checks(shifted[0])


def test_slow_drift_shows_on_the_roll_up_of_a_day(baseline):
    """Each hour is like yesterday's same hour, but the day is unlike the training data."""
    service = Service(baseline)
    found = {}
    for number in range(24 * 6):
        (found[number],) = service.evaluate(hour(number, shift=number / 24 * 0.08, red=0.7))

    judged = {number: checks(evaluation).get(GRADUAL_DRIFT) for number, evaluation in found.items()}

    assert [number for number, check in judged.items() if check is not None][:3] == [23, 29, 35]
    assert not judged[23].breaches(ALPHA)
    assert judged[143].breaches(ALPHA)
    assert not any(("color", GRADUAL_DRIFT) in breaching(evaluation) for evaluation in found.values())


def test_without_a_baseline_the_season_decides():
    """Yesterday is reference enough; the first day says that there is nothing to compare with."""
    service = Service()

    first, *_ = service.evaluate(hour(13))
    usual, *_ = service.evaluate(hour(37))
    unusual, *_ = service.evaluate(hour(61, shift=2.0))

    assert first.outcome == "no_baseline"
    assert usual.outcome == "evaluated"
    assert breaching(usual) == set()
    assert ("amount", DRIFT) in breaching(unusual)
    assert checks(unusual)[DRIFT].reference == "last_day"


def test_what_moved_is_named_where_something_drifted(baseline):
    """The categories with their shares then and now; a column that did not drift has nothing to say."""
    service = Service(baseline, last_day=False, last_week=False)

    (evaluation,) = service.evaluate(hour(0, red=0.2))

    moved = {feature.key.name: feature.moved for feature in evaluation.features}
    assert {cell.label for cell in moved["color"]} == {"red", "blue"}
    (red,) = [cell for cell in moved["color"] if cell.label == "red"]
    assert red.reference == pytest.approx(0.7, abs=0.05)
    assert red.current == pytest.approx(0.2, abs=0.05)
    assert checks(evaluation, FeatureKey(FeatureRole.FEATURE, "color"))[DRIFT].breaches(ALPHA)


def test_bins_as_matrices_and_column_by_column_say_the_same(baseline):
    """However a window came, its scores are the same to the last bit that matters."""
    layout = baseline.layout(AMOUNT)
    service = Service(baseline, last_day=False, last_week=False, rollup=0)
    by_column = hour(0, layout=layout)
    as_matrix = hour(0, layout=layout)
    as_matrix.binned, others = packed(as_matrix.unbinned.values())
    as_matrix.unbinned = {(column.key, column.kind): column for column in others}

    one, other = service.evaluator.evaluate(by_column), service.evaluator.evaluate(as_matrix)

    assert len(as_matrix.binned) == 1
    for left, right in zip(one.features, other.features, strict=True):
        assert [score.method for score in left.scores] == [score.method for score in right.scores]
        assert [score.score for score in left.scores] == pytest.approx([score.score for score in right.scores])
        assert [score.p_value for score in left.scores] == pytest.approx([score.p_value for score in right.scores])


def test_sketches_as_matrices_and_column_by_column_say_the_same(baseline):
    """Those of servers that know no baseline, too."""
    service = Service(baseline, last_day=False, last_week=False, rollup=0)
    by_column, as_matrix = hour(0), hour(0)
    as_matrix.sketched, others = packed_sketches(as_matrix.unbinned.values())
    as_matrix.unbinned = {(column.key, column.kind): column for column in others}

    one, other = service.evaluator.evaluate(by_column), service.evaluator.evaluate(as_matrix)

    assert len(as_matrix.sketched) == 1
    assert any(feature.scores for feature in one.features)
    for left, right in zip(one.features, other.features, strict=True):
        assert [score.method for score in left.scores] == [score.method for score in right.scores]
        assert [score.score for score in left.scores] == pytest.approx([score.score for score in right.scores])
        assert [score.p_value for score in left.scores] == pytest.approx([score.p_value for score in right.scores])


def test_too_few_rows_conclude_nothing(baseline):
    """Neither the baseline nor yesterday makes ten rows a finding."""
    service = Service(baseline)
    service.evaluate(hour(13))

    (evaluation,) = service.evaluate(hour(37, shift=9.0, rows=10))

    assert evaluation.outcome == "insufficient_rows"
    assert breaching(evaluation) == set()


def test_a_quiet_day_has_no_alarms(baseline):
    """Clean data, days and nights, two columns, all references: nothing."""
    service = Service(baseline)
    for number in range(24):
        service.evaluate(hour(number))

    found = [breaching(service.evaluate(hour(24 + number))[0]) for number in range(2 * 24)]

    assert DAY == 24 * HOUR
    assert set().union(*found) == set()


def test_the_labels_that_predictions_point_to_are_estimated():
    """A baseline that knows how the model errs tells the labels of a window; a shift of them is a check of its own."""
    random = np.random.default_rng(3)
    label = random.choice(["spam", "ham"], 5_000, p=[0.3, 0.7])
    is_wrong = random.random(5_000) < 0.1
    prediction = np.where(is_wrong, np.where(label == "spam", "ham", "spam"), label)
    baseline = Baseline.build(
        {"amount": random.normal(size=5_000)}, model=MODEL.name, version=MODEL.version,
        predictions=prediction, labels=label,
    )  # fmt: skip
    service = Service(baseline)
    spam = round(ROWS * (0.6 * 0.9 + 0.4 * 0.1))
    column = categorical("prediction", {"spam": spam, "ham": ROWS - spam}, role=FeatureRole.PREDICTION)

    (evaluation,) = service.evaluate(closed(MONDAY, column))

    (feature,) = [feature for feature in evaluation.features if feature.key.role is FeatureRole.PREDICTION]
    assert feature.labels.labels["spam"].share == pytest.approx(0.6, abs=0.05)
    assert checks(evaluation, feature.key)[LABEL_SHIFT].breaches(ALPHA)


def test_vectors_are_compared_by_more_than_their_lengths():
    """All of one length, as embeddings mostly are, and turned: only what looks at directions sees it."""
    random = np.random.default_rng(4)

    def unit(mean, rows):
        vectors = random.normal(mean, 1.0, (rows, 8))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    there, here = np.eye(8)[0] * 2, np.eye(8)[1] * 2
    baseline = Baseline.build({"vector": list(unit(there, 3_000))}, model=MODEL.name, version=MODEL.version)
    key = FeatureKey(FeatureRole.FEATURE, "vector")
    window = FeatureSummary(key, EmbeddingSummary.anchored(baseline.layout(key)), Counters(rows=ROWS))
    window.content.update(unit(here, ROWS))
    service = Service(baseline)

    (evaluation,) = service.evaluate(closed(MONDAY, window))

    found = {result.method: result for result in evaluation.features[0].scores}
    assert not found["psi"].drifted
    assert {"mahalanobis", "covariance", "correlation", "pca_reconstruction"} <= set(found)
    assert found["mahalanobis"].drifted
    assert checks(evaluation, key)[DRIFT].method == "mahalanobis"
    assert checks(evaluation, key)[DRIFT].breaches(ALPHA)

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.drift.comparison import distributions
from otel_ml.drift.labels import Obstacle, estimate_label_shift
from otel_ml.recording.accumulator import ModelAccumulator
from otel_ml.recording.inference import Inference, ModelInfo
from otel_ml.sketch.confusion import ConfusionCounts
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.feature import FeatureKey, FeatureRole, ModelKey

PREDICTION = FeatureKey(FeatureRole.PREDICTION, "prediction")


def confusion(counts, labels=None):
    """A confusion matrix of rows predicted a, b, c, …, and, unless they are said, labels of the same names."""
    matrix = np.array(counts, np.int64)
    names = "abcdefghij"
    return ConfusionCounts(tuple(names[: len(matrix)]), tuple(labels or names[: matrix.shape[1]]), matrix)


def window(*counts, other=0):
    return CategoricalDistribution(dict(zip("abcdefghij", counts, strict=False)), other)


def noisy(classes, accuracy):
    """P(prediction | label) of a model whose mistakes are spread evenly."""
    return np.full((classes, classes), (1 - accuracy) / (classes - 1)) + np.eye(classes) * (
        accuracy - (1 - accuracy) / (classes - 1)
    )


def test_two_classes_give_the_textbook_prevalence():
    """For two classes the estimate is that of Rogan & Gladen, "Estimating prevalence from the results of a screening
    test" (Am. J. Epidemiology, 1978): (found + specificity - 1) / (sensitivity + specificity - 1).

    A screening test of sensitivity 0.9 and specificity 0.8 that finds 30 % of 1,000 people has found a prevalence of
    1/7; its variance has a term for the survey, and one each for sensitivity and specificity.
    """
    baseline = confusion([[800, 100], [200, 900]])

    shift = estimate_label_shift(baseline, window(700, 300))

    ill = shift.labels["b"]
    variance = (0.3 * 0.7 / 1_000 + (1 / 7) ** 2 * 0.09 / 1_000 + (6 / 7) ** 2 * 0.16 / 1_000) / 0.7**2
    assert ill.share == pytest.approx(1 / 7)
    assert (ill.upper - ill.lower) / 2 == pytest.approx(1.95996 * math.sqrt(variance), rel=0.005)
    assert ill.reference == 0.5
    assert ill.weight == pytest.approx(2 / 7)
    assert ill.weight_bounds == (2 * ill.lower, 2 * ill.upper)
    assert shift.obstacle is None
    assert shift.p_value < 1e-9


def test_the_labels_of_the_baseline_are_found_again():
    """The same predictions as in the baseline come from the same labels."""
    baseline = confusion([[50, 4, 6], [5, 60, 5], [5, 6, 29]])

    shift = estimate_label_shift(baseline, window(60, 70, 40))

    assert shift.score == 0.0
    assert shift.p_value == 1.0
    assert [label.share for label in shift.labels.values()] == pytest.approx([60 / 170, 70 / 170, 40 / 170])
    assert all(label.weight == pytest.approx(1.0) for label in shift.labels.values())
    assert not shift.clipped


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_a_known_mixture_is_taken_apart(classes):
    """Without chance the shares of the mixture are found exactly."""
    rates = noisy(classes, 0.7)
    baseline = confusion(rates * 9_000)
    true = np.arange(1, classes + 1) / sum(range(classes + 1))

    shift = estimate_label_shift(baseline, window(*(rates @ true * 990_000).round().astype(int).tolist()))

    assert [label.share for label in shift.labels.values()] == pytest.approx(true, abs=1e-4)
    assert shift.score == pytest.approx(np.abs(true - 1 / classes).sum() / 2, rel=0.02)


def test_more_predictions_than_labels_are_used_together():
    """A model that also says "don't know" tells the labels apart all the same; the shares still sum to 1."""
    baseline = confusion([[700, 50], [200, 250], [100, 700]], labels="no")

    shift = estimate_label_shift(baseline, window(180, 240, 580))

    assert sum(label.share for label in shift.labels.values()) == pytest.approx(1.0)
    assert [label.share for label in shift.labels.values()] == pytest.approx([0.2, 0.8])


@pytest.mark.parametrize(
    ("reference", "classes", "rows", "labelled"),
    [(500, 2, 100, 0.9), (10_000, 2, 1_000, 0.6), (2_000, 10, 500, 0.8), (100_000, 10, 20_000, 0.8)],
)
def test_clean_windows_are_rarely_called_shifted_and_bounds_hold(reference, classes, rows, labelled):
    """At 5 %, 3 to 7 % of windows without shift are; 95 % bounds hold the truth at least nine times in ten."""
    random = np.random.default_rng(7)
    rates, true = noisy(classes, labelled), np.full(classes, 1 / classes)
    found = []
    for _ in range(1_000):
        counts = random.multinomial(reference, (rates * true).ravel()).reshape(classes, classes)
        found.append(estimate_label_shift(confusion(counts), window(*random.multinomial(rows, rates @ true).tolist())))

    rejected = np.mean([shift.p_value <= 0.05 for shift in found])
    covered = np.mean([
        label.lower <= 1 / classes <= label.upper for shift in found if shift.labels for label in shift.labels.values()
    ])  # fmt: skip
    assert 0.03 <= rejected <= 0.07
    assert 0.92 <= covered <= 0.98


def test_a_share_that_came_out_negative_is_zero():
    """Fewer positives than false positives alone would make: none, and the upper bound is not below that."""
    baseline = confusion([[800, 100], [200, 900]])

    shift = estimate_label_shift(baseline, window(850, 150))

    assert shift.clipped
    assert (shift.labels["a"].share, shift.labels["b"].share) == (1.0, 0.0)
    assert shift.labels["b"].lower == 0.0
    assert shift.labels["b"].upper >= 0.0


def test_labels_of_few_rows_have_wide_bounds():
    """How such a label looks to the model is hardly known, and its share is known the worse the larger it is."""
    few = confusion([[400, 5, 0], [20, 400, 1], [5, 5, 4]])
    many = confusion([[400, 5, 0], [20, 400, 200], [5, 5, 800]])

    rare, frequent = (estimate_label_shift(baseline, window(400, 400, 400)).labels["c"] for baseline in (few, many))
    still_rare = estimate_label_shift(few, window(400, 400, 20)).labels["c"]

    assert rare.upper - rare.lower > 5 * (frequent.upper - frequent.lower)
    assert rare.upper - rare.lower > 5 * (still_rare.upper - still_rare.lower)


@pytest.mark.parametrize(
    ("baseline", "predictions", "obstacle"),
    [
        (confusion([[50, 5], [5, 50]]), window(20, 29), Obstacle.TOO_FEW_ROWS),
        (confusion([[50, 5], [5, 50]]), window(), Obstacle.TOO_FEW_ROWS),
        (confusion([[50, 50], [50, 50]]), window(90, 10), Obstacle.SINGULAR),
        (confusion([[50, 48], [52, 49]]), window(90, 10), Obstacle.SINGULAR),
        (confusion([[50, 5, 5], [5, 50, 55]]), window(90, 10), Obstacle.SINGULAR),
        (confusion([[90, 0, 0], [0, 44, 46], [0, 46, 44]]), window(90, 10, 10), Obstacle.SINGULAR),
        (confusion([[3, 2], [2, 3]]), window(90, 10), Obstacle.SINGULAR),
        (confusion([[500, 500]]), window(90), Obstacle.ONE_CLASS),
        (confusion([[500], [500]]), window(90, 10), Obstacle.ONE_CLASS),
        (confusion([[50, 5], [5, 50]]), window(90, 10, 5), Obstacle.UNKNOWN_PREDICTIONS),
        (confusion([[50, 5], [5, 50]]), window(90, 10, other=5), Obstacle.UNKNOWN_PREDICTIONS),
        (confusion([[50, 5], [5, 50]]), window(0, 0, 99), Obstacle.UNKNOWN_PREDICTIONS),
    ],
)
def test_what_cannot_be_estimated_says_why(baseline, predictions, obstacle):
    """There is a named obstacle in place of labels, and the test answers where it can."""
    shift = estimate_label_shift(baseline, predictions)

    assert shift.obstacle is obstacle
    assert shift.labels is None
    assert shift.score is None
    assert shift.p_value is None or 0 <= shift.p_value <= 1


def test_one_unknown_prediction_keeps_nothing_from_being_estimated():
    """A single new value among many is left out, and does not make the labels shifted."""
    shift = estimate_label_shift(confusion([[500, 50], [50, 500]]), window(5_000, 5_000, 1))

    assert shift.unknown == 1
    assert sum(label.share for label in shift.labels.values()) == pytest.approx(1.0)
    assert shift.p_value > 0.9


def test_rare_classes_that_the_baseline_lacks_are_no_shift():
    """Of a small baseline many rare classes are missing; what a large window has of them is chance, and called so."""
    random = np.random.default_rng(11)
    shares = 1 / np.arange(1, 61) ** 1.2
    shares /= shares.sum()
    names = [f"class {place}" for place in range(60)]
    places = dict(zip(names, range(60), strict=True))
    p_values = []
    for _ in range(400):
        baseline = ConfusionCounts.of(places, places, np.diag(random.multinomial(300, shares)))
        counts = random.multinomial(1_000, shares).tolist()
        predictions = CategoricalDistribution(dict(zip(names, counts, strict=True)))
        p_values.append(estimate_label_shift(baseline, predictions).p_value)

    assert 0.02 <= np.mean([p_value <= 0.05 for p_value in p_values]) <= 0.08


def test_new_predictions_are_a_shift():
    """Many predictions of a class that the baseline has not are significant, though their labels are not estimated."""
    shift = estimate_label_shift(confusion([[500, 50], [50, 500]]), window(400, 400, 200))

    assert shift.obstacle is Obstacle.UNKNOWN_PREDICTIONS
    assert shift.p_value < 1e-9


counts = st.integers(0, 40) | st.integers(0, 10**15)


@given(st.data())
def test_whatever_was_counted_gives_a_defined_answer(data):
    """No matrix and no window raises, or gives NaN; shares sum to 1 and lie within their bounds."""
    rows, columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    matrix = np.array(data.draw(st.lists(counts, min_size=rows * columns, max_size=rows * columns)), np.int64)
    names = list("abcdefghij")
    baseline = ConfusionCounts.of(
        dict(zip(names[:rows], range(rows), strict=True)),
        dict(zip(names[:columns], range(columns), strict=True)),
        matrix.reshape(rows, columns),
    )
    if baseline is None:
        return

    shift = estimate_label_shift(baseline, window(*data.draw(st.lists(counts, max_size=8)), other=data.draw(counts)))

    assert (shift.labels is None) == (shift.obstacle is not None)
    assert shift.p_value is None or 0 <= shift.p_value <= 1
    if shift.labels is not None:
        assert sum(label.share for label in shift.labels.values()) == pytest.approx(1.0)
        assert all(0 <= label.lower <= label.share <= label.upper <= 1 for label in shift.labels.values())
        assert 0 <= shift.score <= 1


@given(st.permutations(range(4)), st.lists(st.integers(1, 500), min_size=4, max_size=4))
def test_the_order_of_the_classes_means_nothing(order, predictions):
    """The same counts in another order give the same labels."""
    matrix = np.array([[90, 5, 3, 2], [4, 70, 6, 1], [8, 2, 60, 9], [1, 3, 2, 40]])
    names = np.array(list("abcd"))[list(order)]
    mixed = ConfusionCounts(tuple(names), tuple(names), matrix[np.ix_(order, order)])

    expected = estimate_label_shift(confusion(matrix), window(*predictions))
    found = estimate_label_shift(mixed, window(*predictions))

    assert found.p_value == pytest.approx(expected.p_value)
    assert (found.labels is None) == (expected.labels is None)
    for name, label in (expected.labels or {}).items():
        assert found.labels[name].share == pytest.approx(label.share, abs=1e-9)
        assert found.labels[name].upper == pytest.approx(label.upper, abs=1e-9)


@pytest.mark.parametrize("kind", ["numbers", "truth values", "names", "many numbers"])
@pytest.mark.parametrize("knows_baseline", [True, False])
def test_what_servers_record_is_enough(kind, knows_baseline):
    """Whatever the classes are, and whether servers have the baseline or not, windows count them one by one."""
    random = np.random.default_rng(2)
    classes = {
        "numbers": np.arange(3),
        "truth values": np.array([False, True]),
        "names": np.array(["x", "y", "z"], object),
        "many numbers": np.arange(40),
    }[kind]

    def rows(n, shares):
        true = random.choice(len(classes), n, p=shares)
        predicted = np.where(random.random(n) < 0.9, true, random.integers(0, len(classes), n))
        return classes[predicted], classes[true]

    even = np.full(len(classes), 1 / len(classes))
    skewed = np.append(even[1:] * 0.5, 1 - even[1:].sum() * 0.5)
    predicted, true = rows(20_000, even)
    baseline = Baseline.build({"x": random.normal(size=20_000)}, model="m", predictions=predicted, labels=true)
    accumulator = ModelAccumulator(ModelKey("m"), baseline=baseline if knows_baseline else None)
    served, _ = rows(10_000, skewed)
    model = ModelInfo("m")
    accumulator.add([Inference(model, "predict", {"x": random.normal(size=10_000)}, served, None)])
    summary = next(d.summary for d in accumulator.drain().columns if d.summary.key == PREDICTION)

    pair = distributions(baseline.features[PREDICTION], summary, baseline.layout(PREDICTION))
    shift = estimate_label_shift(baseline.confusion, pair[1], confidence=0.999)

    last = list(shift.labels.values())[baseline.confusion.labels.index(_name(classes[-1]))]
    assert shift.unknown == 0
    assert last.lower <= skewed[-1] <= last.upper
    assert last.upper - last.lower < 0.08
    assert shift.p_value < 1e-6


def _name(value):
    return str(value).lower() if isinstance(value, np.bool_) else str(value)

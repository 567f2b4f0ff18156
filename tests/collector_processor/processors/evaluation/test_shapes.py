"""What columns look like, with their reference behind them and without."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from processor_samples import MODEL, categorical, numeric
from reference_samples import HOUR, MONDAY, closed
from vector_samples import summary_of

from collector_processor.processors.evaluation import Evaluator
from collector_processor.processors.evaluation.shapes import Shapes, shape_alone
from collector_processor.processors.references.baselines import References
from collector_processor.processors.settings import DriftSettings
from otel_ml.baseline import Baseline
from otel_ml.drift import create
from otel_ml.sketch.distribution import CategoricalDistribution, NumericDistribution
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.snapshot import Segment
from otel_ml.sketch.summary import FeatureSummary

COUNTRY = FeatureKey(FeatureRole.FEATURE, "country")
THEN = CategoricalDistribution({"NO": 60, "SE": 40})
COUNTS = {"NO": 300, "SE": 500, "DK": 200}


@pytest.fixture(scope="module")
def baseline():
    """Amounts around 0, and two countries."""
    random = np.random.default_rng(1)
    columns = {"amount": random.normal(size=10_000), "country": ["NO"] * 6_000 + ["SE"] * 4_000}
    return Baseline.build(columns, model=MODEL.name, version=MODEL.version)


def evaluator(*baselines):
    settings = DriftSettings()
    detectors = {name: create(name) for name in settings.detectors}
    return Evaluator(
        References(baselines), detectors, settings.decide_by, settings.quality, settings.min_rows, settings.rule
    )


def hour(number=0, *, rows=1_000, segment=None, **changes):
    random = np.random.default_rng(number)
    counts = changes.pop("counts", {name: count * rows // 1_000 for name, count in COUNTS.items()})
    return closed(
        MONDAY + number * HOUR,
        numeric("amount", random.normal(size=rows)),
        categorical("country", counts),
        segment=segment,
    )


def shapes_of(evaluation):
    return {feature.key.name: feature.shape for feature in evaluation.features}


def test_shares_stand_in_the_bins_of_the_reference():
    """What the reference has not is in a bin of its own."""
    shape = Shapes().of("b1", COUNTRY, (THEN, CategoricalDistribution(COUNTS)))

    assert shape.frame.names == ("NO", "SE", "(unseen)")
    assert shape.frame.shares == pytest.approx([0.6, 0.4, 0.0])
    assert shape.shares == pytest.approx([0.3, 0.5, 0.2])
    assert shape.frame.count == 100


def test_a_baselines_frame_stays_the_same_object():
    """However many windows there are, it is kept once."""
    shapes = Shapes()
    first = shapes.of("b1", COUNTRY, (THEN, CategoricalDistribution(COUNTS)))
    second = shapes.of("b1", COUNTRY, (THEN, CategoricalDistribution({"SE": 1})))

    assert second.frame is first.frame
    assert second.shares == pytest.approx([0.0, 1.0, 0.0])


def test_another_baseline_has_frames_of_its_own():
    """So have other columns of the same one."""
    shapes = Shapes()
    now = CategoricalDistribution(COUNTS)
    first = shapes.of("b1", COUNTRY, (THEN, now))
    other = shapes.of("b2", COUNTRY, (CategoricalDistribution({"DK": 1}), now))
    beside = shapes.of("b1", COUNTRY._replace(name="city"), (CategoricalDistribution({"Oslo": 1}), now))

    assert other.frame.names == ("DK", "(unseen)")
    assert beside.frame.names == ("Oslo", "(unseen)")
    assert shapes.of("b1", COUNTRY, (THEN, now)).frame is first.frame


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (THEN, CategoricalDistribution({})),
        (CategoricalDistribution({}), THEN),
        (THEN, NumericDistribution(np.array([0.0, 1.0]), np.array([5, 10]), 10, 0.0, 1.0, is_step=True)),
    ],
)
def test_what_cannot_be_drawn_has_no_shape(reference, current):
    """Nothing came, nothing was, or something of another kind."""
    assert Shapes().of("b1", COUNTRY, (reference, current)) is None


def test_a_window_without_values_does_not_keep_later_ones_from_being_drawn():
    """The frame is the reference's."""
    shapes = Shapes()
    shapes.of("b1", COUNTRY, (THEN, CategoricalDistribution({})))

    assert shapes.of("b1", COUNTRY, (THEN, THEN)).shares == pytest.approx([0.6, 0.4, 0.0])


def test_alone_a_column_is_its_own_frame():
    """Of 0 values, which tells that there is no reference."""
    shape = shape_alone(categorical("country", COUNTS))

    assert shape.frame.count == 0
    assert dict(zip(shape.frame.names, shape.shares, strict=True)) == pytest.approx(
        {"NO": 0.3, "SE": 0.5, "DK": 0.2, "(unseen)": 0.0}
    )


@pytest.mark.parametrize(
    "summary", [categorical("country", {}), numeric("amount", []), categorical("c", {}, missing=9)]
)
def test_alone_nothing_is_not_drawn(summary):
    """Neither where all values are missing."""
    assert shape_alone(summary) is None


def test_columns_together_are_not_drawn():
    """Their vectors are no distribution that anybody reads."""
    vectors = summary_of(np.random.default_rng(1).normal(size=(100, 3)))
    together = FeatureSummary(FeatureKey(FeatureRole.JOINT, "0123"), vectors, Counters(100))

    assert shape_alone(together) is None


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50))
def test_shares_of_any_numbers_add_up(values):
    """The largest doubles and the smallest ones among them."""
    shape = shape_alone(numeric("amount", values))

    assert shape.shares.sum() == pytest.approx(1.0)
    assert len(shape.shares) == len(shape.frame.names)


def test_a_model_without_a_baseline_is_drawn_alone():
    """So that there is something to look at from the first window on."""
    shapes = shapes_of(evaluator().evaluate(hour()))

    assert shapes.keys() == {"amount", "country"}
    assert [shape.frame.count for shape in shapes.values()] == [0, 0]


def test_windows_of_a_baseline_are_drawn_in_the_same_frames(baseline):
    """Window after window the same objects, with the baseline's values behind them."""
    evaluates = evaluator(baseline)
    first, second = (shapes_of(evaluates.evaluate(hour(number))) for number in (0, 1))

    for name in ("amount", "country"):
        assert first[name].frame is second[name].frame
        assert first[name].frame.count == 10_000
    assert second["country"].shares == pytest.approx([0.3, 0.5, 0.2])


def test_what_a_baseline_does_not_know_is_drawn_alone(baseline):
    """Beside the others, which it knows."""
    window = hour()
    extra = categorical("city", {"Oslo": 1_000})
    window = replace(window, unbinned={**window.unbinned, (extra.key, extra.kind): extra})

    shapes = shapes_of(evaluator(baseline).evaluate(window))

    assert shapes["city"].frame.count == 0
    assert shapes["country"].frame.count == 10_000


def test_slices_and_windows_of_few_rows_have_no_shapes(baseline):
    """Pictures are of the whole, and of what anything can be concluded from."""
    of_slice = evaluator(baseline).evaluate(hour(segment=Segment("country", "NO")))
    unknown_slice = evaluator().evaluate(hour(segment=Segment("country", "NO")))
    of_few = evaluator(baseline).evaluate(hour(rows=10))

    assert of_few.outcome == "insufficient_rows"
    for evaluation in (of_slice, unknown_slice, of_few):
        assert set(shapes_of(evaluation).values()) == {None}


def test_a_column_that_nobody_sends_any_more_has_no_shape(baseline):
    """It is missing from every row."""
    window = hour(counts={"NO": 1_000})
    parts = {key: part for key, part in window.unbinned.items() if key[0].name != "amount"}

    shapes = shapes_of(evaluator(baseline).evaluate(replace(window, unbinned=parts)))

    assert shapes["amount"] is None
    assert shapes["country"].shares == pytest.approx([1.0, 0.0, 0.0])

"""What every drift detector promises; to be registered is to be tested here."""

import dataclasses
import math

import numpy as np
import pytest
from drift_samples import binned, categories, exact, layout_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift import BUILTIN_DETECTORS, DriftResult, create
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.distribution import CategoricalDistribution

DETECTORS = [create(name) for name in BUILTIN_DETECTORS]
NUMERIC = [detector for detector in DETECTORS if detector.applies_to(exact([1.0]))]
CATEGORICAL = [detector for detector in DETECTORS if detector.applies_to(categories(a=1))]
# Cells are cut from the reference, so that for numbers only this one treats both sides alike.
SYMMETRIC_ON_NUMBERS = [detector for detector in NUMERIC if detector.name == "ks"]
TESTING_NUMBERS = [d for d in NUMERIC if d.compare(exact([1.0]), exact([1.0])).p_value is not None]

any_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
numeric_detector = pytest.mark.parametrize("detector", NUMERIC, ids=lambda detector: detector.name)
categorical_detector = pytest.mark.parametrize("detector", CATEGORICAL, ids=lambda detector: detector.name)

values = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40)
counts = st.dictionaries(st.text(max_size=3), st.integers(0, 10**6), min_size=1, max_size=12).filter(
    lambda found: sum(found.values()) > 0
)


def is_sound(result):
    return (
        math.isfinite(result.score)
        and result.score >= 0
        and (result.p_value is None or 0 <= result.p_value <= 1)
        and isinstance(result.score, float)
    )


@any_detector
def test_a_detector_is_registered_under_its_own_name(detector):
    """The name is the metric's suffix, the configuration's key and the result's method."""
    assert BUILTIN_DETECTORS[detector.name] is type(detector)


@any_detector
def test_a_detector_is_an_immutable_value(detector):
    """Equal settings make equal detectors, which can be shared between threads."""
    assert detector == create(detector.name)
    assert not hasattr(detector, "__dict__")
    with pytest.raises(dataclasses.FrozenInstanceError):
        detector.threshold = 1.0


@any_detector
@pytest.mark.parametrize("threshold", [0, -1, math.nan, "0.1", None, True])
def test_a_threshold_that_makes_no_sense_is_refused_by_name(detector, threshold):
    """The error says which setting, what it was and what would be valid."""
    with pytest.raises(ConfigurationError) as raised:
        create(detector.name, {"threshold": threshold})

    message = str(raised.value)
    assert message.startswith(f"{detector.name}::threshold: {threshold!r} is not valid (a number above 0")


@numeric_detector
@given(values=values)
def test_equal_numbers_have_not_drifted(detector, values):
    """The same distribution on both sides scores 0."""
    result = detector.compare(exact(values), exact(values))

    assert result.score == 0
    assert not result.drifted
    assert result.p_value in {None, 1.0}


@categorical_detector
@given(counts=counts)
def test_equal_categories_have_not_drifted(detector, counts):
    """The same counts on both sides score 0."""
    result = detector.compare(CategoricalDistribution(counts), CategoricalDistribution(counts))

    assert result.score == pytest.approx(0, abs=1e-6)
    assert not result.drifted
    assert result.p_value == pytest.approx(1)


@numeric_detector
@pytest.mark.parametrize("where", [-100.0, 100.0])
def test_numbers_that_share_nothing_have_drifted(detector, where):
    """Values below or above everything the reference had are drift, and no accident."""
    rng = np.random.default_rng(1)
    reference, current = rng.normal(size=500), rng.normal(where, size=500)
    layout = layout_of(reference)

    for pair in [(exact(reference), exact(current)), (binned(reference, layout), binned(current, layout))]:
        result = detector.compare(*pair)

        assert result.drifted
        assert result.p_value is None or result.p_value < 1e-6


@numeric_detector
@pytest.mark.parametrize("moved_to", [4.0, np.nextafter(5.0, 6.0), 700.0, -700.0])
def test_a_constant_that_becomes_another_has_drifted(detector, moved_to):
    """A reference without spread is a reference all the same."""
    result = detector.compare(exact([5.0] * 300), exact([moved_to] * 300))

    assert result.drifted


@categorical_detector
def test_categories_that_share_nothing_have_drifted(detector):
    """Only unseen categories are drift, and no accident."""
    result = detector.compare(categories(a=500, b=500), categories(c=500, d=500))

    assert result.drifted
    assert result.p_value < 1e-6


@numeric_detector
@given(reference=values, current=values)
def test_any_numbers_give_a_finite_answer(detector, reference, current):
    """Single values, constants, empty bins and the ends of the range of doubles included."""
    result = detector.compare(exact(reference), exact(current))

    assert is_sound(result)
    assert (result.n_reference, result.n_current) == (len(reference), len(current))


@numeric_detector
@given(reference=values, current=values)
def test_any_bins_give_a_finite_answer(detector, reference, current):
    """Bins are cut from the reference; current values may lie in none but the outermost."""
    layout = layout_of(reference)

    assert is_sound(detector.compare(binned(reference, layout), binned(current, layout)))
    assert is_sound(detector.compare(binned(reference, layout), exact(current)))
    assert is_sound(detector.compare(exact(reference), binned(current, layout)))
    assert is_sound(detector.compare(binned(reference, layout), binned(current, layout_of(current))))


@categorical_detector
@given(reference=counts, current=counts, other=st.integers(0, 1000), error=st.integers(0, 10))
def test_any_categories_give_a_finite_answer(detector, reference, current, other, error):
    """Unseen categories, absent ones and the remainder of a heavy-hitters summary included."""
    result = detector.compare(
        CategoricalDistribution(reference), CategoricalDistribution(current, other, min(error, other))
    )

    assert is_sound(result)


@any_detector
def test_the_same_question_has_the_same_answer(detector):
    """Nothing is random, and nothing remembers what it was asked before."""
    rng = np.random.default_rng(2)
    if detector in NUMERIC:
        first, second, third = (exact(rng.normal(shift, size=200)) for shift in (0.0, 0.2, 3.0))
    else:
        first, second, third = categories(a=10, b=30), categories(a=20, b=20), categories(a=1, c=300)

    answers = [detector.compare(first, second), detector.compare(first, third), detector.compare(first, second)]

    assert answers[0] == answers[2] != answers[1]
    assert isinstance(answers[0], DriftResult)


@categorical_detector
@given(reference=counts, current=counts)
def test_for_categories_it_does_not_matter_which_side_came_first(detector, reference, current):
    """None of the distances over categories has a direction."""
    left, right = CategoricalDistribution(reference), CategoricalDistribution(current)

    there, back = detector.compare(left, right), detector.compare(right, left)

    assert there.score == pytest.approx(back.score, abs=1e-6)
    assert there.p_value == pytest.approx(back.p_value, abs=1e-6)


@pytest.mark.parametrize("detector", SYMMETRIC_ON_NUMBERS, ids=lambda detector: detector.name)
@given(reference=values, current=values)
def test_for_numbers_it_does_not_matter_to_symmetric_detectors(detector, reference, current):
    """What needs no cells cut from the reference has no direction."""
    left, right = exact(reference), exact(current)

    assert detector.compare(left, right).score == detector.compare(right, left).score


@pytest.mark.parametrize("detector", TESTING_NUMBERS, ids=lambda detector: detector.name)
@pytest.mark.parametrize("n", [200, 1_000, 10_000])
def test_without_drift_one_test_in_twenty_is_below_five_percent(detector, n):
    """Nominal false positives at every size; a supremum over 64 bins may have fewer, never many more."""
    rng = np.random.default_rng(n)
    repeats = 400
    alarms = 0
    for _ in range(repeats):
        reference, current = rng.normal(size=n), rng.normal(size=n)
        layout = layout_of(reference)
        alarms += detector.compare(binned(reference, layout), binned(current, layout)).p_value < 0.05

    # Three standard deviations of 400 fair draws around 5 %, and what the bins cost below.
    assert 0.01 <= alarms / repeats <= 0.083


@categorical_detector
@pytest.mark.parametrize("n", [200, 1_000, 10_000])
@pytest.mark.parametrize("distinct", [2, 10, 100, 1_000])
def test_without_drift_rare_categories_raise_no_alarms(detector, n, distinct):
    """Many categories of few values each are where textbook χ² goes wrong."""
    rng = np.random.default_rng(n + distinct)
    shares = 1 / np.arange(1, distinct + 1)
    names = [f"c{position}" for position in range(distinct)]
    repeats = 150
    alarms = 0
    for _ in range(repeats):
        reference, current = (
            CategoricalDistribution(dict(zip(names, rng.multinomial(n, shares / shares.sum()).tolist(), strict=True)))
            for _ in range(2)
        )
        alarms += detector.compare(reference, current).p_value < 0.05

    assert alarms / repeats <= 0.104


@categorical_detector
@pytest.mark.parametrize("rows", [1, 20, 1_000])
def test_one_unseen_value_never_alarms_alone(detector, rows):
    """However large the reference, one value of a new category is no evidence."""
    reference = categories(a=60_000, b=30_000, c=10_000)
    current = CategoricalDistribution({"a": (rows - 1) * 6 // 10, "b": rows - 1 - (rows - 1) * 6 // 10, "new": 1})

    without = CategoricalDistribution({"a": (rows - 1) * 6 // 10 + 1, "b": rows - 1 - (rows - 1) * 6 // 10})

    assert detector.compare(reference, current).p_value >= min(0.01, detector.compare(reference, without).p_value / 10)

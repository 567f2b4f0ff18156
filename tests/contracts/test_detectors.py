"""What every drift detector promises; to be registered is to be tested here."""

import dataclasses
import functools
import math

import numpy as np
import pytest
from contracts.textbook import TEXTBOOK
from drift_samples import binned, categories, exact, layout_of, moments_of
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.drift import BUILTIN_DETECTORS, DriftResult, create
from otel_ml.drift.columns import Columns
from otel_ml.errors import ConfigurationError
from otel_ml.sketch.bins import AnchoredBins
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.distribution import CategoricalDistribution
from otel_ml.sketch.exact import ExactCounts

DETECTORS = [create(name) for name in BUILTIN_DETECTORS]
NUMERIC = [detector for detector in DETECTORS if detector.applies_to(exact([1.0]))]
CATEGORICAL = [detector for detector in DETECTORS if detector.applies_to(categories(a=1))]
SYMMETRIC_ON_NUMBERS = [detector for detector in NUMERIC if detector.is_symmetric]
TESTING_NUMBERS = [d for d in NUMERIC if d.compare(exact([1.0]), exact([1.0])).p_value is not None]

any_detector = pytest.mark.parametrize("detector", DETECTORS, ids=lambda detector: detector.name)
numeric_detector = pytest.mark.parametrize("detector", NUMERIC, ids=lambda detector: detector.name)
categorical_detector = pytest.mark.parametrize("detector", CATEGORICAL, ids=lambda detector: detector.name)
# A shift is none of its business.
OF_SPREAD = {"levene"}
detector_of_location = pytest.mark.parametrize(
    "detector", [d for d in NUMERIC if d.name not in OF_SPREAD], ids=lambda detector: detector.name
)
# Truth values and the like: there is no answer about three categories.
OF_TWO_CATEGORIES = {"fisher", "proportions"}
OF_MEAN = {"welch", "anova"}
# Where a sum of squares is beyond the range of doubles, there is no answer.
FROM_MOMENTS = {"welch", "anova", "levene"}

values = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=40)
counts = st.dictionaries(st.text(max_size=3), st.integers(0, 10**6), min_size=1, max_size=12).filter(
    lambda found: sum(found.values()) > 0
)


def has_answer(detector, *sides):
    """Whether the detector compares these categories."""
    names = {name for side in sides for name, count in side.counts.items() if count}
    return detector.name not in OF_TWO_CATEGORIES or (len(names) <= 2 and not any(side.other for side in sides))


@functools.cache
def clean_numbers(n):
    """Columns of two samples of the same normal distribution."""
    rng = np.random.default_rng(n)
    pairs = []
    for _ in range(400):
        reference, current = rng.normal(size=n), rng.normal(size=n)
        layout = layout_of(reference)
        pairs.append((binned(reference, layout), binned(current, layout)))
    return Columns(pairs)


def is_sound_about(detector, result, *sides):
    """Whether an answer about numbers is sound, or there can be none."""
    has_overflowed = max(abs(value) for side in sides for value in side) > 1e150
    return is_sound(result) or (has_overflowed and detector.name in FROM_MOMENTS and is_no_answer(result))


def is_no_answer(result):
    return math.isnan(result.score) and result.p_value is None and not result.drifted


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

    if math.isnan(result.score):
        assert is_sound_about(detector, result, values)
        return
    assert result.score == 0
    assert not result.drifted
    assert result.p_value in {None, 1.0}


@categorical_detector
@given(counts=counts)
def test_equal_categories_have_not_drifted(detector, counts):
    """The same counts on both sides score 0."""
    side = CategoricalDistribution(counts)
    result = detector.compare(side, side)

    if not has_answer(detector, side):
        assert is_no_answer(result)
        return
    assert result.score == pytest.approx(0, abs=1e-6)
    assert not result.drifted
    assert result.p_value == pytest.approx(1)


@detector_of_location
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


@detector_of_location
@pytest.mark.parametrize("moved_to", [4.0, np.nextafter(5.0, 6.0), 700.0, -700.0])
def test_a_constant_that_becomes_another_has_drifted(detector, moved_to):
    """A reference without spread is a reference all the same."""
    result = detector.compare(exact([5.0] * 300), exact([moved_to] * 300))

    assert result.drifted


@numeric_detector
def test_a_spread_that_doubles_has_drifted(detector):
    """Whatever looks at more than the mean sees it."""
    rng = np.random.default_rng(3)
    reference, current = rng.normal(size=5_000), 2 * rng.normal(size=5_000)
    layout = layout_of(reference)

    for pair in [(exact(reference), exact(current)), (binned(reference, layout), binned(current, layout))]:
        result = detector.compare(*pair)

        assert result.drifted != (detector.name in OF_MEAN)
        assert result.p_value is None or result.p_value < 1e-6 or detector.name in OF_MEAN


@categorical_detector
def test_categories_that_share_nothing_have_drifted(detector):
    """Only unseen categories are drift, and no accident."""
    if detector.name in OF_TWO_CATEGORIES:
        result = detector.compare(categories(a=1000), categories(b=1000))
    else:
        result = detector.compare(categories(a=500, b=500), categories(c=500, d=500))

    assert result.drifted
    assert result.p_value < 1e-6


@numeric_detector
@given(reference=values, current=values)
def test_any_numbers_give_a_finite_answer(detector, reference, current):
    """Single values, constants, empty bins and the ends of the range of doubles included."""
    result = detector.compare(exact(reference), exact(current))

    assert is_sound_about(detector, result, reference, current)
    assert (result.n_reference, result.n_current) == (len(reference), len(current))


@numeric_detector
@given(reference=values, current=values)
def test_any_bins_give_a_finite_answer(detector, reference, current):
    """Bins are cut from the reference; current values may lie in none but the outermost."""
    layout = layout_of(reference)

    for pair in [
        (binned(reference, layout), binned(current, layout)),
        (binned(reference, layout), exact(current)),
        (exact(reference), binned(current, layout)),
        (binned(reference, layout), binned(current, layout_of(current))),
    ]:
        assert is_sound_about(detector, detector.compare(*pair), reference, current)


@categorical_detector
@given(reference=counts, current=counts, other=st.integers(0, 1000), error=st.integers(0, 10))
def test_any_categories_give_a_finite_answer(detector, reference, current, other, error):
    """Unseen categories, absent ones and the remainder of a heavy-hitters summary included."""
    left, right = CategoricalDistribution(reference), CategoricalDistribution(current, other, min(error, other))

    result = detector.compare(left, right)

    assert is_sound(result) if has_answer(detector, left, right) else is_no_answer(result)


@any_detector
def test_no_columns_have_no_scores(detector):
    """A model whose columns are all of the other kind is no special case."""
    if detector in CATEGORICAL:
        assert detector.results(Columns([])) == []


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
    """None of the distances over categories has a direction but KL, and of its test neither."""
    left, right = CategoricalDistribution(reference), CategoricalDistribution(current)

    there, back = detector.compare(left, right), detector.compare(right, left)

    if detector.name != "kl":
        assert there.score == pytest.approx(back.score, abs=1e-6, nan_ok=True)
    assert there.p_value == pytest.approx(back.p_value, abs=1e-6)


@pytest.mark.parametrize("detector", SYMMETRIC_ON_NUMBERS, ids=lambda detector: detector.name)
@given(reference=values, current=values)
def test_for_numbers_it_does_not_matter_to_symmetric_detectors(detector, reference, current):
    """What needs no cells cut from the reference has no direction."""
    left, right = exact(reference), exact(current)

    back = detector.compare(right, left).score
    assert detector.compare(left, right).score == pytest.approx(back, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("detector", TESTING_NUMBERS, ids=lambda detector: detector.name)
@pytest.mark.parametrize("n", [200, 1_000, 10_000])
def test_without_drift_one_test_in_twenty_is_below_five_percent(detector, n):
    """Nominal false positives at every size; a supremum over 64 bins may have fewer, never many more."""
    p_values = detector.measure(clean_numbers(n)).p_value

    # Three standard deviations of 400 fair draws around 5 %, and what the bins cost below.
    assert 0.01 <= np.mean(p_values < 0.05) <= 0.083


@categorical_detector
@pytest.mark.parametrize("n", [200, 1_000, 10_000])
@pytest.mark.parametrize("distinct", [2, 10, 100, 1_000])
def test_without_drift_rare_categories_raise_no_alarms(detector, n, distinct):
    """Many categories of few values each are where textbook χ² goes wrong."""
    if detector.name in OF_TWO_CATEGORIES and distinct > 2:
        pytest.skip("compares two categories")
    rng = np.random.default_rng(n + distinct)
    shares = 1 / np.arange(1, distinct + 1)
    names = [f"c{position}" for position in range(distinct)]
    drawn = rng.multinomial(n, shares / shares.sum(), size=(150, 2)).tolist()
    pairs = [[CategoricalDistribution(dict(zip(names, side, strict=True))) for side in pair] for pair in drawn]

    p_values = detector.measure(Columns(pairs)).p_value

    assert np.mean(p_values < 0.05) <= 0.104


@categorical_detector
@pytest.mark.parametrize("rows", [1, 20, 1_000])
@pytest.mark.parametrize("reference_rows", [100, 10_000, 1_000_000])
def test_one_unseen_value_never_alarms_alone(detector, rows, reference_rows):
    """However large the reference, one value of a new category is no evidence."""
    shares = {"a": 1.0} if detector.name in OF_TWO_CATEGORIES else {"a": 0.6, "b": 0.3, "c": 0.1}
    reference = CategoricalDistribution({name: round(share * reference_rows) for name, share in shares.items()})
    seen = {name: int(share * (rows - 1)) for name, share in shares.items()}
    seen["a"] += rows - 1 - sum(seen.values())

    result = detector.compare(reference, CategoricalDistribution({**seen, "new": 1}))
    without = detector.compare(reference, CategoricalDistribution({**seen, "a": seen["a"] + 1}))

    assert result.p_value >= min(0.05, without.p_value / 10)


def _in_parts(values, parts, rng):
    """The values in an order of chance, cut at random into as many parts, some of them empty."""
    cuts = np.sort(rng.integers(0, len(values) + 1, size=parts - 1))
    return np.split(rng.permutation(values), cuts)


def _summed_up(kind, values, layout):
    """What one replica knows of its values."""
    if kind == "bins":
        return AnchoredBins.of(layout, values)
    if kind == "exact":
        return ExactCounts.of(np.round(values, 1))
    names, found = np.unique(np.round(values * 2).astype(int), return_counts=True)
    counts = CategoryCounts()
    counts.update({f"c{name}": count for name, count in zip(names.tolist(), found.tolist(), strict=True)})
    return counts


def _merged(kind, parts, layout, moments):
    whole = _summed_up(kind, parts[0], layout)
    for part in parts[1:]:
        whole.merge(_summed_up(kind, part, layout))
    return whole.distribution(layout, moments) if kind == "bins" else whole.distribution()


@any_detector
@pytest.mark.parametrize("kind", ["bins", "exact", "categories"])
@pytest.mark.parametrize("seed", range(3))
def test_replicas_in_any_order_give_the_same_bits(detector, kind, seed):
    """Rows seen by 1 or by 64 replicas, merged in any order, are the same rows: counts are whole numbers."""
    if detector not in (CATEGORICAL if kind == "categories" else NUMERIC):
        pytest.skip("compares other columns")
    rng = np.random.default_rng(seed)
    rows, now = rng.normal(size=2_000), rng.normal(0.1, size=1_000)
    if detector.name in OF_TWO_CATEGORIES and kind == "categories":
        rows, now = (rows > 0) * 1.0, (now > 0) * 1.0
    layout = layout_of(rows)

    def results(parts):
        reference = _merged(kind, _in_parts(rows, parts, rng), layout, moments_of(rows))
        return detector.compare(reference, _merged(kind, _in_parts(now, parts, rng), layout, moments_of(now)))

    alone = results(1)

    assert is_sound(alone)
    assert all(results(parts) == alone for parts in (1, 2, 64, 64))


@any_detector
@pytest.mark.parametrize("row", range(max(map(len, TEXTBOOK.values()))))
def test_the_textbook_is_right(detector, row):
    """Worked examples that others have published, or compute."""
    assert TEXTBOOK.get(detector.name), "every detector has a worked example in tests/contracts/textbook.py"
    if row >= len(TEXTBOOK[detector.name]):
        pytest.skip("no further example")
    example = TEXTBOOK[detector.name][row]

    result = create(detector.name, example.settings).compare(example.reference, example.current)

    if example.score is not None:
        assert result.score == pytest.approx(example.score, rel=example.tolerance), example.source
    if example.p_value is not None:
        assert result.p_value == pytest.approx(example.p_value, rel=example.tolerance), example.source
